#include "app/finding.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string_view>

namespace busbar::app {

namespace {

std::string_view word(verdict is) {
  constexpr std::array<std::string_view, 4> words{"ok", "warn", "wrong", "unknown"};
  return words[static_cast<std::size_t>(is)];
}

bool has(const findings& found, verdict wanted) {
  return std::ranges::any_of(found, [&](const auto& f) { return f.is == wanted; });
}

verdict worst(const findings& found) {
  for (const auto is : {verdict::wrong, verdict::unknown, verdict::warn})
    if (has(found, is))
      return is;
  return verdict::ok;
}

std::string padded(std::string_view text, std::size_t width) {
  std::string out{text};
  out.resize(std::max(width, out.size()), ' ');
  return out + " ";
}

} // namespace

std::string as_text(const findings& found) {
  constexpr std::size_t verdict_width = 7;
  std::size_t check_width = 0;
  for (const auto& f : found)
    check_width = std::max(check_width, f.check.size());
  std::string out;
  for (const auto& f : found) {
    out += padded(word(f.is), verdict_width) + padded(f.check, check_width) + f.says + "\n";
    for (const auto& line : f.mend)
      out += std::string(verdict_width + 1, ' ') + "mend: " + line + "\n";
  }
  return out;
}

std::string as_json(const findings& found) {
  auto checks = nlohmann::ordered_json::array();
  for (const auto& f : found)
    checks.push_back(
        {{"check", f.check}, {"verdict", word(f.is)}, {"says", f.says}, {"mend", f.mend}});
  const nlohmann::ordered_json all{{"verdict", word(worst(found))}, {"checks", checks}};
  // What a server or a disk says may hold anything.
  return all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int exit_status(const findings& found) {
  return has(found, verdict::wrong) ? 2 : has(found, verdict::unknown) ? 1 : 0;
}

} // namespace busbar::app
