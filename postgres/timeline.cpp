#include "postgres/timeline.hpp"

#include <algorithm>
#include <charconv>

namespace busbar::postgres {

std::vector<timeline_switch> parse_timeline_history(std::string_view text) {
  constexpr std::string_view blanks = " \t\r";
  std::vector<timeline_switch> found;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
    timeline_switch one;
    const auto [next, problem] =
        std::from_chars(line.data(), line.data() + line.size(), one.timeline);
    if (problem != std::errc{})
      continue;
    line.remove_prefix(static_cast<std::size_t>(next - line.data()));
    line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
    if (const auto at = parse_lsn(line.substr(0, line.find_first_of(blanks)))) {
      one.at = *at;
      found.push_back(one);
    }
  }
  return found;
}

} // namespace busbar::postgres
