// http/cursor.hpp: the number that makes the URL of the next long poll a new one (spec 13.5).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace busbar::http {

/// What a request's `cursor` counts as, however long it is: its digits without leading zeros;
/// empty, which is 0, unless it is a plain integer above 0.
std::string_view parse_cursor(std::string_view text) noexcept;

/// The cursor to answer with: greater than `previous`, a parse_cursor(), unless long polls take no
/// time at all. `jitter` in 1…3600 keeps clients that share a URL from moving on together.
std::string next_cursor(std::string_view previous, std::chrono::seconds long_poll,
                        std::chrono::sys_seconds now, std::int64_t jitter);

} // namespace busbar::http
