// Dates, times and intervals. The session's zone is UTC, always.
#include "sql/calendar.hpp"
#include "sql/datetime.hpp"
#include "sql/functions.hpp"
#include "sql/interval.hpp"
#include "sql/text.hpp"
#include "sql/time_zone.hpp"

#include <limits>

namespace busbar::sql {
namespace {

std::int64_t first(const call& c) noexcept {
  return c.args[0].v.integer;
}
std::int64_t second(const call& c) noexcept {
  return c.args[1].v.integer;
}

outcome moment_in_range(std::int64_t micros, value& out) noexcept {
  out.integer = micros;
  return micros < micros_min || micros >= micros_end ? outcome::failed : outcome::ok;
}

// --- Dates -----------------------------------------------------------------------------------

outcome move_days(std::int64_t days, std::int64_t by, value& out) noexcept {
  out.integer = days;
  if (!is_finite(days))
    return outcome::ok;
  out.integer = days + by;
  return out.integer < days_min || out.integer > days_max ? outcome::failed : outcome::ok;
}
outcome date_plus(const call& c, value& out) noexcept {
  return move_days(first(c), second(c), out);
}
outcome plus_date(const call& c, value& out) noexcept {
  return move_days(second(c), first(c), out);
}
outcome date_minus(const call& c, value& out) noexcept {
  return move_days(first(c), -second(c), out);
}
outcome days_between(const call& c, value& out) noexcept {
  if (!is_finite(first(c)) || !is_finite(second(c)))
    return outcome::failed;
  out.integer = first(c) - second(c);
  return outcome::ok;
}

outcome at_time(std::int64_t days, std::int64_t time, value& out) noexcept {
  auto moment = days;
  if (!date_to_timestamp(moment))
    return outcome::failed;
  if (!is_finite(moment)) {
    out.integer = moment;
    return outcome::ok;
  }
  return __builtin_add_overflow(moment, time, &moment) ? outcome::failed
                                                       : moment_in_range(moment, out);
}
outcome date_plus_time(const call& c, value& out) noexcept {
  return at_time(first(c), second(c), out);
}
outcome time_plus_date(const call& c, value& out) noexcept {
  return at_time(second(c), first(c), out);
}

// --- Moments and intervals -------------------------------------------------------------------

/// Months first, clamped to the month's end; then days; then the time.
outcome move_moment(std::int64_t micros, const value& by, value& out) noexcept {
  out.integer = micros;
  if (!is_finite(micros))
    return outcome::ok;
  auto days = floor_div(micros, day_micros);
  const auto of_day = micros - days * day_micros;
  if (by.span.months != 0) {
    auto day = day_of(days);
    const auto months = day.year * 12 + day.month - 1 + by.span.months;
    day.year = floor_div(months, 12);
    day.month = floor_mod(months, 12) + 1;
    day.day = std::min(day.day, month_length(day.year, day.month));
    days = days_of(day);
    if (days < days_min || days > micros_end / day_micros)
      return outcome::failed;
  }
  if (by.span.days != 0) {
    days += by.span.days;
    if (days < days_min || days > micros_end / day_micros)
      return outcome::failed;
  }
  std::int64_t moment = 0;
  if (__builtin_mul_overflow(days, day_micros, &moment) ||
      __builtin_add_overflow(moment, of_day, &moment) || moment < micros_min ||
      moment >= micros_end || __builtin_add_overflow(moment, by.integer, &moment))
    return outcome::failed;
  return moment_in_range(moment, out);
}

outcome move_back(std::int64_t micros, const value& by, value& out) noexcept {
  value negated;
  return negate_interval(by, negated) ? move_moment(micros, negated, out) : outcome::failed;
}

bool start_of_date(std::int64_t& moment, const call& c, std::size_t i) noexcept {
  moment = c.args[i].v.integer;
  return date_to_timestamp(moment);
}

outcome moment_plus(const call& c, value& out) noexcept {
  return move_moment(first(c), c.args[1].v, out);
}
outcome plus_moment(const call& c, value& out) noexcept {
  return move_moment(second(c), c.args[0].v, out);
}
outcome moment_minus(const call& c, value& out) noexcept {
  return move_back(first(c), c.args[1].v, out);
}
outcome date_plus_interval(const call& c, value& out) noexcept {
  std::int64_t moment = 0;
  return start_of_date(moment, c, 0) ? move_moment(moment, c.args[1].v, out) : outcome::failed;
}
outcome interval_plus_date(const call& c, value& out) noexcept {
  std::int64_t moment = 0;
  return start_of_date(moment, c, 1) ? move_moment(moment, c.args[0].v, out) : outcome::failed;
}
outcome date_minus_interval(const call& c, value& out) noexcept {
  std::int64_t moment = 0;
  return start_of_date(moment, c, 0) ? move_back(moment, c.args[1].v, out) : outcome::failed;
}

outcome time_between(const call& c, value& out) noexcept {
  if (!is_finite(first(c)) || !is_finite(second(c)) ||
      __builtin_sub_overflow(first(c), second(c), &out.integer))
    return outcome::failed;
  out.span = {0, 0};
  return justify_hours(out) ? outcome::ok : outcome::failed;
}

// --- Times of day ----------------------------------------------------------------------------

outcome time_plus(const call& c, value& out) noexcept {
  out.integer = floor_mod(first(c) + second(c) % day_micros, day_micros);
  return outcome::ok;
}
outcome plus_time(const call& c, value& out) noexcept {
  out.integer = floor_mod(first(c) % day_micros + second(c), day_micros);
  return outcome::ok;
}
outcome time_minus(const call& c, value& out) noexcept {
  out.integer = floor_mod(first(c) - second(c) % day_micros, day_micros);
  return outcome::ok;
}
outcome between_times(const call& c, value& out) noexcept {
  out.integer = first(c) - second(c);
  out.span = {0, 0};
  return outcome::ok;
}

// --- Intervals -------------------------------------------------------------------------------

outcome done(bool ok) noexcept {
  return ok ? outcome::ok : outcome::failed;
}
outcome interval_plus(const call& c, value& out) noexcept {
  return done(add_intervals(c.args[0].v, c.args[1].v, out));
}
outcome interval_minus(const call& c, value& out) noexcept {
  const auto& a = c.args[0].v;
  const auto& b = c.args[1].v;
  value difference;
  const bool overflow =
      __builtin_sub_overflow(a.span.months, b.span.months, &difference.span.months) ||
      __builtin_sub_overflow(a.span.days, b.span.days, &difference.span.days) ||
      __builtin_sub_overflow(a.integer, b.integer, &difference.integer);
  out = difference;
  return done(!overflow);
}
outcome interval_times(const call& c, value& out) noexcept {
  return done(multiply_interval(c.args[0].v, c.args[1].v.real, out));
}
outcome times_interval(const call& c, value& out) noexcept {
  return done(multiply_interval(c.args[1].v, c.args[0].v.real, out));
}
outcome interval_over(const call& c, value& out) noexcept {
  return done(divide_interval(c.args[0].v, c.args[1].v.real, out));
}
outcome minus_interval(const call& c, value& out) noexcept {
  return done(negate_interval(c.args[0].v, out));
}
template <bool (*Justify)(value&) noexcept>
outcome justified(const call& c, value& out) noexcept {
  out = c.args[0].v;
  return done(Justify(out));
}

// --- Zones, fields, truncation ---------------------------------------------------------------

/// The program has looked the zone up already; while a clause is checked there is none yet.
std::shared_ptr<const time_zone> zone_of(const call& c) {
  if (c.zone != nullptr)
    return {std::shared_ptr<const time_zone>{}, c.zone};
  return time_zone::find(c.args[0].v.text);
}

outcome to_instant(const call& c, value& out) noexcept {
  const auto local = second(c);
  out.integer = local;
  if (!is_finite(local))
    return outcome::ok;
  const auto zone = zone_of(c);
  if (zone == nullptr)
    return outcome::failed;
  const auto seconds = floor_div(local, second_micros) - unix_epoch_days * 86'400;
  const auto offset = zone->offset_of_local(seconds) * second_micros;
  return __builtin_sub_overflow(local, offset, &out.integer) ? outcome::failed
                                                             : moment_in_range(out.integer, out);
}
outcome to_local(const call& c, value& out) noexcept {
  const auto instant = second(c);
  out.integer = instant;
  if (!is_finite(instant))
    return outcome::ok;
  const auto zone = zone_of(c);
  if (zone == nullptr)
    return outcome::failed;
  const auto seconds = floor_div(instant, second_micros) - unix_epoch_days * 86'400;
  const auto offset = zone->offset_at(seconds) * second_micros;
  return __builtin_add_overflow(instant, offset, &out.integer) ? outcome::failed
                                                               : moment_in_range(out.integer, out);
}

outcome write_integer(std::int64_t x, value& out) noexcept {
  out.integer = x;
  out.text = {};
  return outcome::ok;
}

/// A field that grows for ever is infinite for infinity; a field that comes again is NULL.
outcome field_of_infinity(std::int64_t moment, bool grows, value& out) noexcept {
  if (!grows)
    return outcome::null;
  out.text = moment == infinity ? "Infinity" : "-Infinity";
  return outcome::ok;
}

outcome field_of_day(std::string_view field, std::int64_t days, value& out) noexcept {
  const auto day = day_of(days);
  const auto weekday = floor_mod(days + 6, 7); // 2000-01-01 was a Saturday
  if (is_word(field, "year"))
    return write_integer(day.year > 0 ? day.year : day.year - 1, out);
  if (is_word(field, "quarter"))
    return write_integer((day.month - 1) / 3 + 1, out);
  if (is_word(field, "month"))
    return write_integer(day.month, out);
  if (is_word(field, "day"))
    return write_integer(day.day, out);
  if (is_word(field, "dow"))
    return write_integer(weekday, out);
  if (is_word(field, "isodow"))
    return write_integer(weekday == 0 ? 7 : weekday, out);
  if (is_word(field, "doy"))
    return write_integer(days - days_of({day.year, 1, 1}) + 1, out);
  return outcome::failed;
}

outcome field_of_time(std::string_view field, std::int64_t micros, value& out) noexcept {
  if (is_word(field, "hour"))
    return write_integer(micros / hour_micros, out);
  if (is_word(field, "minute"))
    return write_integer(micros / minute_micros % 60, out);
  if (is_word(field, "microseconds"))
    return write_integer(micros % minute_micros, out);
  return outcome::failed;
}

outcome field_of_date(const call& c, value& out) noexcept {
  const auto field = c.args[0].v.text;
  if (!is_finite(second(c)))
    return field_of_infinity(second(c), is_word(field, "year"), out);
  return field_of_day(field, second(c), out);
}
outcome field_of_moment(const call& c, value& out) noexcept {
  const auto field = c.args[0].v.text;
  if (!is_finite(second(c)))
    return field_of_infinity(second(c), is_word(field, "year"), out);
  const auto days = floor_div(second(c), day_micros);
  const auto found = field_of_day(field, days, out);
  return found == outcome::failed ? field_of_time(field, second(c) - days * day_micros, out)
                                  : found;
}
outcome field_of_clock(const call& c, value& out) noexcept {
  return field_of_time(c.args[0].v.text, second(c), out);
}

outcome truncate_moment(const call& c, value& out) noexcept {
  const auto field = c.args[0].v.text;
  out.integer = second(c);
  if (!is_finite(out.integer))
    return outcome::ok;
  for (const auto& [name, unit] :
       {std::pair{"second", second_micros}, std::pair{"minute", minute_micros},
        std::pair{"hour", hour_micros}, std::pair{"day", day_micros}}) {
    if (is_word(field, name)) {
      out.integer = floor_div(out.integer, unit) * unit;
      return outcome::ok;
    }
  }
  const auto days = floor_div(out.integer, day_micros);
  auto day = day_of(days);
  day.day = 1;
  if (is_word(field, "week")) {
    out.integer = (days - floor_mod(days + 5, 7)) * day_micros; // back to Monday
    return outcome::ok;
  }
  if (is_word(field, "quarter"))
    day.month = (day.month - 1) / 3 * 3 + 1;
  else if (is_word(field, "year"))
    day.month = 1;
  else if (!is_word(field, "month"))
    return outcome::failed;
  out.integer = days_of(day) * day_micros;
  return outcome::ok;
}

constexpr auto none = type::unknown;
constexpr auto da = type::date;
constexpr auto ti = type::time;
constexpr auto ts = type::timestamp;
constexpr auto tz = type::timestamptz;
constexpr auto iv = type::interval;
constexpr auto i4 = type::int4;
constexpr auto f8 = type::float8;
constexpr auto t = type::text;

constexpr function operators[] = {
    {"+", {da, i4, none}, da, date_plus},          {"+", {i4, da, none}, da, plus_date},
    {"+", {da, ti, none}, ts, date_plus_time},     {"+", {ti, da, none}, ts, time_plus_date},
    {"+", {da, iv, none}, ts, date_plus_interval}, {"+", {iv, da, none}, ts, interval_plus_date},
    {"+", {ts, iv, none}, ts, moment_plus},        {"+", {iv, ts, none}, ts, plus_moment},
    {"+", {tz, iv, none}, tz, moment_plus},        {"+", {iv, tz, none}, tz, plus_moment},
    {"+", {ti, iv, none}, ti, time_plus},          {"+", {iv, ti, none}, ti, plus_time},
    {"+", {iv, iv, none}, iv, interval_plus},      {"-", {da, i4, none}, da, date_minus},
    {"-", {da, da, none}, i4, days_between},       {"-", {da, iv, none}, ts, date_minus_interval},
    {"-", {ts, iv, none}, ts, moment_minus},       {"-", {ts, ts, none}, iv, time_between},
    {"-", {tz, iv, none}, tz, moment_minus},       {"-", {tz, tz, none}, iv, time_between},
    {"-", {ti, iv, none}, ti, time_minus},         {"-", {ti, ti, none}, iv, between_times},
    {"-", {iv, iv, none}, iv, interval_minus},     {"-", {iv, none, none}, iv, minus_interval},
    {"*", {iv, f8, none}, iv, interval_times},     {"*", {f8, iv, none}, iv, times_interval},
    {"/", {iv, f8, none}, iv, interval_over},
};

constexpr function functions[] = {
    {"justify_hours", {iv, none, none}, iv, justified<justify_hours>},
    {"justify_days", {iv, none, none}, iv, justified<justify_days>},
    {"justify_interval", {iv, none, none}, iv, justified<justify_interval>},
    {"timezone", {t, ts, none}, tz, to_instant},
    {"timezone", {t, tz, none}, ts, to_local},
    {"extract", {t, da, none}, type::numeric, field_of_date},
    {"extract", {t, ti, none}, type::numeric, field_of_clock},
    {"extract", {t, ts, none}, type::numeric, field_of_moment},
    {"extract", {t, tz, none}, type::numeric, field_of_moment},
    {"date_trunc", {t, ts, none}, ts, truncate_moment},
    {"extract", {t, iv, none}, type::numeric, not_supported},
    {"date_trunc", {t, tz, none}, tz, truncate_moment},
    {"date_trunc", {t, iv, none}, iv, not_supported},
};

} // namespace

std::span<const function> time_operators() noexcept {
  return operators;
}
std::span<const function> time_functions() noexcept {
  return functions;
}

} // namespace busbar::sql
