// sql/datetime.hpp: dates and timestamps under the pinned settings: DateStyle 'ISO, DMY', zone UTC.
//
// A date is a count of days, a timestamp one of microseconds, both from 2000-01-01 on and in the
// proleptic Gregorian calendar. The smallest and the largest int64 are -infinity and infinity.
#pragma once

#include "sql/value.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace busbar::sql {

/// Accepts ISO 8601 (also 20240101), day/month/year with four digits of year, and month names;
/// a time of day, AM or PM, a numeric zone and BC behind it. `unsupported`: PostgreSQL may know it.
reading read_date(std::string_view text, std::int64_t& days) noexcept;

/// Likewise. Without `with_zone`, a zone is read and ignored, as PostgreSQL does.
reading read_timestamp(std::string_view text, bool with_zone, std::int64_t& micros) noexcept;

std::string write_date(std::int64_t days);
std::string write_timestamp(std::int64_t micros, bool with_zone);

/// Midnight of that day, in place; false if timestamps do not reach so far.
bool date_to_timestamp(std::int64_t& moment) noexcept;

/// Midnight of that day; a day that timestamps do not reach is above every finite one.
std::int64_t date_to_instant(std::int64_t days) noexcept;

std::int64_t timestamp_to_date(std::int64_t micros) noexcept;

} // namespace busbar::sql
