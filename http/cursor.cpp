#include "http/cursor.hpp"

#include <algorithm>

namespace busbar::http {

namespace {

/// The sum; `digits` may be longer than any number type.
std::string added(std::string_view digits, std::uint64_t more) {
  std::string sum{digits};
  for (auto at = sum.size(); more > 0; more /= 10) {
    if (at == 0)
      sum.insert(at++, 1, '0');
    more += static_cast<std::uint64_t>(sum[--at] - '0');
    sum[at] = static_cast<char>('0' + more % 10);
  }
  return sum;
}

} // namespace

std::string_view parse_cursor(std::string_view text) noexcept {
  if (text.find_first_not_of("0123456789") != std::string_view::npos)
    return {};
  text.remove_prefix(std::min(text.find_first_not_of('0'), text.size()));
  return text;
}

std::string next_cursor(std::string_view previous, std::chrono::seconds long_poll,
                        std::chrono::sys_seconds now, std::int64_t jitter) {
  using namespace std::chrono_literals;
  constexpr std::chrono::sys_seconds epoch = std::chrono::sys_days{2024y / 10 / 9};
  const std::int64_t period = long_poll.count();
  if (period <= 0)
    return "0";
  const std::int64_t seconds = (now - epoch).count();
  const std::int64_t next = (seconds + period - 1) / period * period;
  auto text = std::to_string(next);
  const bool is_greater =
      previous.size() != text.size() ? previous.size() < text.size() : previous < text;
  // Before the epoch any positive number will do.
  return next > 0 && is_greater ? text : added(previous, static_cast<std::uint64_t>(jitter));
}

} // namespace busbar::http
