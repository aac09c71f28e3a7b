#include "http/cursor.hpp"

#include <charconv>

namespace busbar::http {

std::int64_t parse_cursor(std::string_view text) noexcept {
  // Room is kept above the largest cursor we accept, so that adding to it cannot overflow.
  constexpr std::int64_t cursor_max = std::int64_t{1} << 62;
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc{} || parsed.ptr != end || value > cursor_max)
    return 0;
  return value;
}

std::int64_t next_cursor(std::int64_t previous, std::chrono::seconds long_poll,
                         std::chrono::sys_seconds now, std::int64_t jitter) noexcept {
  using namespace std::chrono_literals;
  constexpr std::chrono::sys_seconds epoch = std::chrono::sys_days{2024y / 10 / 9};
  const std::int64_t period = long_poll.count();
  std::int64_t next = 0;
  if (period > 0) {
    const std::int64_t seconds = (now - epoch).count();
    next = (seconds + period - 1) / period * period;
  }
  return next > previous || period <= 0 ? next : previous + jitter;
}

} // namespace busbar::http
