// sql/datetime.hpp: dates, times of day and timestamps under the pinned settings: DateStyle
// 'ISO, DMY', zone UTC. What the numbers count: calendar.hpp.
#pragma once

#include "sql/value.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace busbar::sql {

/// Accepts ISO 8601 (also 20240101), day/month/year with four digits of year, and month names;
/// a time of day, AM or PM, a zone and BC behind it. `unsupported`: PostgreSQL may know it.
reading read_date(std::string_view text, std::int64_t& days) noexcept;

/// Likewise; the day may be missing, and does not count.
reading read_time(std::string_view text, std::int64_t& micros) noexcept;

/// Likewise. Without `with_zone`, a zone is read and ignored, as PostgreSQL does.
reading read_timestamp(std::string_view text, bool with_zone, std::int64_t& micros) noexcept;

void append_date(std::string& out, std::int64_t days);
void append_time(std::string& out, std::int64_t micros);
void append_timestamp(std::string& out, std::int64_t micros, bool with_zone);

/// Midnight of that day, in place; false if timestamps do not reach so far.
bool date_to_timestamp(std::int64_t& moment) noexcept;

/// Midnight of that day; a day that timestamps do not reach is above every finite one.
std::int64_t date_to_instant(std::int64_t days) noexcept;

std::int64_t timestamp_to_date(std::int64_t micros) noexcept;

/// To that many digits of a second, 0 to 6, in place; halves away from zero. Keeps infinity.
void round_micros(std::int64_t& micros, std::int32_t digits) noexcept;

} // namespace busbar::sql
