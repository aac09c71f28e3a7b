// http/cursor.hpp: the number that makes the URL of the next long poll a new one (spec 13.5).
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

namespace busbar::http {

/// What a request's `cursor` counts as: 0 unless it is a plain integer.
std::int64_t parse_cursor(std::string_view text) noexcept;

/// Always greater than `previous`. `jitter` is uniform in 1..3600.
std::int64_t next_cursor(std::int64_t previous, std::chrono::seconds long_poll,
                         std::chrono::sys_seconds now, std::int64_t jitter) noexcept;

} // namespace busbar::http
