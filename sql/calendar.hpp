// sql/calendar.hpp: days and the proleptic Gregorian calendar, counted from 2000-01-01.
#pragma once

#include <array>
#include <cstdint>
#include <limits>

namespace busbar::sql {

/// Of dates and moments.
inline constexpr std::int64_t infinity = std::numeric_limits<std::int64_t>::max();
inline constexpr std::int64_t minus_infinity = std::numeric_limits<std::int64_t>::min();

inline constexpr std::int64_t second_micros = 1'000'000;
inline constexpr std::int64_t minute_micros = 60 * second_micros;
inline constexpr std::int64_t hour_micros = 60 * minute_micros;
inline constexpr std::int64_t day_micros = 24 * hour_micros;
inline constexpr std::int64_t days_min = -2'451'545;                  ///< 4714-11-24 BC.
inline constexpr std::int64_t days_max = 2'145'031'948;               ///< 5874897-12-31.
inline constexpr std::int64_t micros_min = -211'813'488'000'000'000;  ///< 4714-11-24 BC.
inline constexpr std::int64_t micros_end = 9'223'371'331'200'000'000; ///< 294277-01-01.
inline constexpr std::int64_t unix_epoch_days = -10'957;              ///< 1970-01-01.

struct calendar_day {
  std::int64_t year = 0; ///< 0 is 1 BC.
  std::int64_t month = 0;
  std::int64_t day = 0;
};

constexpr bool is_finite(std::int64_t moment) noexcept {
  return moment != infinity && moment != minus_infinity;
}

constexpr std::int64_t floor_div(std::int64_t a, std::int64_t b) noexcept {
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
constexpr std::int64_t floor_mod(std::int64_t a, std::int64_t b) noexcept {
  return a - floor_div(a, b) * b;
}

constexpr bool is_leap(std::int64_t year) noexcept {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/// `month` is 1 to 12.
constexpr std::int64_t month_length(std::int64_t year, std::int64_t month) noexcept {
  constexpr std::array<int, 13> lengths{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return lengths[static_cast<std::size_t>(month)] + (month == 2 && is_leap(year));
}

constexpr bool is_calendar_day(const calendar_day& d) noexcept {
  return d.month >= 1 && d.month <= 12 && d.day >= 1 && d.day <= month_length(d.year, d.month);
}

std::int64_t days_of(const calendar_day& d) noexcept;
calendar_day day_of(std::int64_t days) noexcept;

} // namespace busbar::sql
