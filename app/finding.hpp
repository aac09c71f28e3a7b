// app/finding.hpp: what `busbar doctor` found, and how it is told to humans and to programs.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace busbar::app {

enum class verdict : std::uint8_t {
  ok,
  warn,    ///< It works, but will not always, or not as one would want.
  wrong,   ///< It cannot work so.
  unknown, ///< It could not be checked.
};

struct finding {
  verdict is = verdict::ok;
  std::string check;             ///< A word or two, the same at every run: scripts look for it.
  std::string says;              ///< One line.
  std::vector<std::string> mend; ///< SQL, settings or deeds, a line each; for all but ok.
};
using findings = std::vector<finding>;

/// A line for each check, `mend:` lines below those that are not ok.
std::string as_text(const findings& found);
/// {"verdict":"warn","checks":[{"check":…,"verdict":…,"says":…,"mend":[…]},…]}
std::string as_json(const findings& found);

/// 0: nothing is wrong (there may be warnings). 1: something could not be checked, and nothing that
/// was is wrong. 2: something is wrong.
int exit_status(const findings& found);

} // namespace busbar::app
