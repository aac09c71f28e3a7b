#include "sql/calendar.hpp"

namespace busbar::sql {

/// Counts years from March on, so that the leap day is a year's last: then months have a formula.
std::int64_t days_of(const calendar_day& d) noexcept {
  const auto year = d.month <= 2 ? d.year - 1 : d.year;
  const auto month = d.month <= 2 ? d.month + 9 : d.month - 3; // March = 0
  const auto day_of_year = (153 * month + 2) / 5 + d.day - 1;
  const auto leap_days = floor_div(year, 4) - floor_div(year, 100) + floor_div(year, 400);
  constexpr std::int64_t epoch = 730'425; // 2000-01-01, counted from 0000-03-01
  return year * 365 + leap_days + day_of_year - epoch;
}

calendar_day day_of(std::int64_t days) noexcept {
  const auto since_march = days + 730'425;
  const auto era = floor_div(since_march, 146'097); // 400 years
  const auto of_era = since_march - era * 146'097;
  const auto year_of_era = (of_era - of_era / 1'460 + of_era / 36'524 - of_era / 146'096) / 365;
  const auto of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const auto month = (5 * of_year + 2) / 153;
  calendar_day out;
  out.day = of_year - (153 * month + 2) / 5 + 1;
  out.month = month < 10 ? month + 3 : month - 9;
  out.year = era * 400 + year_of_era + (out.month <= 2 ? 1 : 0);
  return out;
}

} // namespace busbar::sql
