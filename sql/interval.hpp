// sql/interval.hpp: intervals as text and back, and what can be done with them alone.
#pragma once

#include "sql/value.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace busbar::sql {

/// Which fields an interval keeps: the bits of PostgreSQL's type modifier.
namespace interval_fields {
inline constexpr std::int32_t month = 1 << 1;
inline constexpr std::int32_t year = 1 << 2;
inline constexpr std::int32_t day = 1 << 3;
inline constexpr std::int32_t hour = 1 << 10;
inline constexpr std::int32_t minute = 1 << 11;
inline constexpr std::int32_t second = 1 << 12;
inline constexpr std::int32_t all = 0x7fff;
} // namespace interval_fields

/// Accepts quantities with units, hh:mm:ss, years-months, ISO 8601 and `ago`. A quantity without
/// unit is in the last of the `fields`.
reading read_interval(std::string_view text, std::int32_t fields, value& out) noexcept;

/// Zeroes what is smaller than the last of the `fields`.
void keep_fields(value& v, std::int32_t fields) noexcept;

/// ISO 8601: P1Y2M3DT4H5M6.7S, each part with a sign of its own.
void append_interval(std::string& out, const value& v);

/// In the order of their lengths, a month being thirty days and a day 24 hours.
int compare_intervals(const value& a, const value& b) noexcept;

/// False on overflow, here and below.
bool add_intervals(const value& a, const value& b, value& out) noexcept;
bool negate_interval(const value& a, value& out) noexcept;

/// What does not make whole months becomes days, and of those the rest becomes time.
bool multiply_interval(const value& a, double factor, value& out) noexcept;
bool divide_interval(const value& a, double divisor, value& out) noexcept;

bool justify_hours(value& v) noexcept;
bool justify_days(value& v) noexcept;
bool justify_interval(value& v) noexcept;

} // namespace busbar::sql
