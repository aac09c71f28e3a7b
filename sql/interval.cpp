#include "sql/interval.hpp"

#include "sql/calendar.hpp"

#include <cmath>
#include <limits>

namespace busbar::sql {
namespace {

constexpr std::int32_t month_days = 30;
constexpr double day_seconds = 86'400;
__extension__ using wide = __int128;

std::string_view trailing(std::int64_t x, char unit, std::string& buffer) {
  buffer = std::to_string(x) + unit;
  return buffer;
}

bool fits_int32(double x) {
  return x >= -2147483648.0 && x < 2147483648.0;
}

double round_micros_of(double x) {
  return std::rint(x * 1e6) / 1e6;
}

bool add(std::int32_t& a, std::int64_t b) noexcept {
  std::int32_t sum = 0;
  if (b < std::numeric_limits<std::int32_t>::min() ||
      b > std::numeric_limits<std::int32_t>::max() ||
      __builtin_add_overflow(a, static_cast<std::int32_t>(b), &sum))
    return false;
  a = sum;
  return true;
}

/// Both directions of PostgreSQL's interval_mul and interval_div; `scale` multiplies or divides.
template <class Scale>
bool scaled(const value& a, Scale scale, value& out) noexcept {
  const auto months = scale(static_cast<double>(a.span.months));
  const auto days = scale(static_cast<double>(a.span.days));
  if (std::isnan(months) || std::isnan(days) || !fits_int32(months) || !fits_int32(days))
    return false;
  out.span = {static_cast<std::int32_t>(months), static_cast<std::int32_t>(days)};
  const auto month_rest = round_micros_of((months - out.span.months) * month_days);
  auto seconds = round_micros_of(
      (days - out.span.days + month_rest - static_cast<int>(month_rest)) * day_seconds);
  if (std::fabs(seconds) >= day_seconds) {
    const auto whole = static_cast<int>(seconds / day_seconds);
    if (!add(out.span.days, whole))
      return false;
    seconds -= whole * day_seconds;
  }
  if (!add(out.span.days, static_cast<int>(month_rest)))
    return false;
  const auto micros = std::rint(scale(static_cast<double>(a.integer)) + seconds * 1e6);
  if (std::isnan(micros) || micros < -9223372036854775808.0 || micros >= 9223372036854775808.0)
    return false;
  out.integer = static_cast<std::int64_t>(micros);
  return true;
}

/// Makes hours and days agree in sign.
void align_hours(value& v) noexcept {
  if (v.span.days > 0 && v.integer < 0) {
    v.integer += day_micros;
    --v.span.days;
  } else if (v.span.days < 0 && v.integer > 0) {
    v.integer -= day_micros;
    ++v.span.days;
  }
}

} // namespace

void keep_fields(value& v, std::int32_t fields) noexcept {
  using namespace interval_fields;
  if ((fields & second) != 0 || fields == all)
    return;
  if ((fields & minute) != 0) {
    v.integer = v.integer / minute_micros * minute_micros;
  } else if ((fields & hour) != 0) {
    v.integer = v.integer / hour_micros * hour_micros;
  } else {
    v.integer = 0;
    if ((fields & day) == 0)
      v.span.days = 0;
    if ((fields & (day | month)) == 0)
      v.span.months = v.span.months / 12 * 12;
  }
}

void append_interval(std::string& out, const value& v) {
  const auto years = v.span.months / 12;
  const auto months = v.span.months % 12;
  const auto seconds = v.integer % minute_micros;
  if (v.span.months == 0 && v.span.days == 0 && v.integer == 0) {
    out += "PT0S";
    return;
  }
  std::string buffer;
  out += 'P';
  if (years != 0)
    out += trailing(years, 'Y', buffer);
  if (months != 0)
    out += trailing(months, 'M', buffer);
  if (v.span.days != 0)
    out += trailing(v.span.days, 'D', buffer);
  if (v.integer == 0)
    return;
  out += 'T';
  if (const auto hours = v.integer / hour_micros; hours != 0)
    out += trailing(hours, 'H', buffer);
  if (const auto minutes = v.integer / minute_micros % 60; minutes != 0)
    out += trailing(minutes, 'M', buffer);
  if (seconds == 0)
    return;
  if (seconds < 0)
    out += '-';
  out += std::to_string(std::abs(seconds / second_micros));
  if (const auto fraction = std::abs(seconds % second_micros); fraction != 0) {
    auto digits = std::to_string(second_micros + fraction);
    digits.front() = '.';
    while (digits.back() == '0')
      digits.pop_back();
    out += digits;
  }
  out += 'S';
}

int compare_intervals(const value& a, const value& b) noexcept {
  const auto length = [](const value& v) {
    return (wide{v.span.months} * month_days + v.span.days) * day_micros + v.integer;
  };
  const auto x = length(a);
  const auto y = length(b);
  return x < y ? -1 : x > y;
}

bool add_intervals(const value& a, const value& b, value& out) noexcept {
  value sum = a;
  if (!add(sum.span.months, b.span.months) || !add(sum.span.days, b.span.days) ||
      __builtin_add_overflow(a.integer, b.integer, &sum.integer))
    return false;
  out = sum;
  return true;
}

bool negate_interval(const value& a, value& out) noexcept {
  constexpr auto least = std::numeric_limits<std::int32_t>::min();
  if (a.span.months == least || a.span.days == least || a.integer == minus_infinity)
    return false;
  out = a;
  out.span = {-a.span.months, -a.span.days};
  out.integer = -a.integer;
  return true;
}

bool multiply_interval(const value& a, double factor, value& out) noexcept {
  return scaled(
      a, [factor](double x) { return x * factor; }, out);
}

bool divide_interval(const value& a, double divisor, value& out) noexcept {
  return divisor != 0 && scaled(
                             a, [divisor](double x) { return x / divisor; }, out);
}

bool justify_hours(value& v) noexcept {
  const auto whole = v.integer / day_micros;
  v.integer -= whole * day_micros;
  if (!add(v.span.days, whole))
    return false;
  align_hours(v);
  return true;
}

bool justify_days(value& v) noexcept {
  const auto whole = v.span.days / month_days;
  v.span.days -= whole * month_days;
  if (!add(v.span.months, whole))
    return false;
  if (v.span.months > 0 && v.span.days < 0) {
    v.span.days += month_days;
    --v.span.months;
  } else if (v.span.months < 0 && v.span.days > 0) {
    v.span.days -= month_days;
    ++v.span.months;
  }
  return true;
}

bool justify_interval(value& v) noexcept {
  const auto whole = v.integer / day_micros;
  v.integer -= whole * day_micros;
  const auto days = v.span.days + whole;
  const auto months = days / month_days;
  v.span.days = static_cast<std::int32_t>(days - months * month_days);
  if (!add(v.span.months, months))
    return false;
  if (v.span.months > 0 && (v.span.days < 0 || (v.span.days == 0 && v.integer < 0))) {
    v.span.days += month_days;
    --v.span.months;
  } else if (v.span.months < 0 && (v.span.days > 0 || (v.span.days == 0 && v.integer > 0))) {
    v.span.days -= month_days;
    ++v.span.months;
  }
  align_hours(v);
  return true;
}

} // namespace busbar::sql
