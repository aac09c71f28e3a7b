// Reads intervals as PostgreSQL's DecodeInterval and DecodeISO8601Interval do.
#include "sql/calendar.hpp"
#include "sql/interval.hpp"
#include "sql/text.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace busbar::sql {
namespace {

enum class unit : std::uint8_t {
  microsecond,
  millisecond,
  second,
  minute,
  hour,
  day,
  week,
  month,
  year,
  decade,
  century,
  millennium,
  none,
};

struct unit_name {
  std::string_view text;
  unit is;
};
constexpr unit_name unit_names[] = {
    {"us", unit::microsecond},
    {"usec", unit::microsecond},
    {"usecs", unit::microsecond},
    {"usecond", unit::microsecond},
    {"useconds", unit::microsecond},
    {"microsecond", unit::microsecond},
    {"microseconds", unit::microsecond},
    {"ms", unit::millisecond},
    {"msec", unit::millisecond},
    {"msecs", unit::millisecond},
    {"msecond", unit::millisecond},
    {"mseconds", unit::millisecond},
    {"millisecond", unit::millisecond},
    {"milliseconds", unit::millisecond},
    {"s", unit::second},
    {"sec", unit::second},
    {"secs", unit::second},
    {"second", unit::second},
    {"seconds", unit::second},
    {"m", unit::minute},
    {"min", unit::minute},
    {"mins", unit::minute},
    {"minute", unit::minute},
    {"minutes", unit::minute},
    {"h", unit::hour},
    {"hr", unit::hour},
    {"hrs", unit::hour},
    {"hour", unit::hour},
    {"hours", unit::hour},
    {"d", unit::day},
    {"day", unit::day},
    {"days", unit::day},
    {"w", unit::week},
    {"week", unit::week},
    {"weeks", unit::week},
    {"mon", unit::month},
    {"mons", unit::month},
    {"month", unit::month},
    {"months", unit::month},
    {"y", unit::year},
    {"yr", unit::year},
    {"yrs", unit::year},
    {"year", unit::year},
    {"years", unit::year},
    {"dec", unit::decade},
    {"decs", unit::decade},
    {"decade", unit::decade},
    {"decades", unit::decade},
    {"c", unit::century},
    {"cent", unit::century},
    {"century", unit::century},
    {"centuries", unit::century},
    {"mil", unit::millennium},
    {"mils", unit::millennium},
    {"millennium", unit::millennium},
    {"millennia", unit::millennium},
};

unit unit_named(std::string_view word) noexcept {
  for (const auto& name : unit_names)
    if (is_word(word, name.text))
      return name.is;
  return unit::none;
}

/// A number as written: what is before and behind the point, both with its sign.
struct quantity {
  std::int64_t whole = 0;
  double fraction = 0;
};

/// Adds quantities up; false on overflow.
class sum {
public:
  bool add(const quantity& q, unit u) noexcept {
    switch (u) {
    case unit::microsecond:
      return add_micros(q, 1);
    case unit::millisecond:
      return add_micros(q, 1000);
    case unit::second:
      return add_micros(q, second_micros);
    case unit::minute:
      return add_micros(q, minute_micros);
    case unit::hour:
      return add_micros(q, hour_micros);
    case unit::day:
      return add_to(days, q.whole, 1) && add_fraction(q.fraction, day_micros);
    case unit::week:
      return add_to(days, q.whole, 7) && add_days(q.fraction * 7);
    case unit::month:
      return add_to(months, q.whole, 1) && add_days(q.fraction * 30);
    case unit::year:
      return add_years(q, 1);
    case unit::decade:
      return add_years(q, 10);
    case unit::century:
      return add_years(q, 100);
    case unit::millennium:
      return add_years(q, 1000);
    case unit::none:
      break;
    }
    return false;
  }

  std::int64_t micros = 0;
  std::int32_t days = 0;
  std::int32_t months = 0;

private:
  static bool add_to(std::int32_t& to, std::int64_t count, std::int64_t size) noexcept {
    std::int64_t product = 0;
    std::int64_t total = 0;
    if (__builtin_mul_overflow(count, size, &product) ||
        __builtin_add_overflow(product, std::int64_t{to}, &total) ||
        total < std::numeric_limits<std::int32_t>::min() ||
        total > std::numeric_limits<std::int32_t>::max())
      return false;
    to = static_cast<std::int32_t>(total);
    return true;
  }
  bool add_micros(const quantity& q, std::int64_t size) noexcept {
    std::int64_t product = 0;
    return !__builtin_mul_overflow(q.whole, size, &product) &&
           !__builtin_add_overflow(micros, product, &micros) && add_fraction(q.fraction, size);
  }
  bool add_fraction(double fraction, std::int64_t size) noexcept {
    fraction *= static_cast<double>(size);
    auto whole = static_cast<std::int64_t>(fraction);
    fraction -= static_cast<double>(whole);
    whole += fraction > 0.5 ? 1 : fraction < -0.5 ? -1 : 0;
    return !__builtin_add_overflow(micros, whole, &micros);
  }
  bool add_days(double fraction) noexcept {
    const auto whole = static_cast<int>(fraction);
    return add_to(days, whole, 1) && add_fraction(fraction - whole, day_micros);
  }
  bool add_years(const quantity& q, std::int64_t years) noexcept {
    return add_to(months, q.whole, 12 * years) &&
           add_to(months, static_cast<int>(std::rint(q.fraction * static_cast<double>(years) * 12)),
                  1);
  }
};

class interval_reader {
public:
  interval_reader(std::string_view text, std::int32_t fields)
      : rest_{trim_spaces(text)}, fields_{fields} {}

  reading read(value& out) noexcept {
    if (rest_.empty())
      return reading::malformed;
    const auto how = rest_.front() == 'P' ? read_iso() : read_verbose();
    if (how != reading::ok)
      return how;
    out.integer = sum_.micros;
    out.span = {sum_.months, sum_.days};
    keep_fields(out, fields_);
    return reading::ok;
  }

private:
  bool take(char c) noexcept {
    if (!rest_.starts_with(c))
      return false;
    rest_.remove_prefix(1);
    return true;
  }
  void skip_spaces() noexcept {
    while (!rest_.empty() && is_space(rest_.front()))
      rest_.remove_prefix(1);
  }
  std::string_view take_word() noexcept {
    std::size_t size = 0;
    while (size < rest_.size() && is_letter(rest_[size]))
      ++size;
    const auto word = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return word;
  }

  /// Digits with or without a point, their sign already taken.
  reading read_quantity(bool negative, quantity& out) noexcept {
    out = {};
    const auto digits = take_digits(rest_);
    if (!digits.empty() &&
        std::from_chars(digits.data(), digits.data() + digits.size(), out.whole).ec != std::errc{})
      return reading::out_of_range;
    bool any = !digits.empty();
    if (rest_.starts_with('.')) {
      const char* point = rest_.data();
      rest_.remove_prefix(1);
      const auto behind = take_digits(rest_);
      any = any || !behind.empty();
      if (!behind.empty() && std::from_chars(point, rest_.data(), out.fraction).ec != std::errc{})
        return reading::unsupported;
    }
    if (!any)
      return reading::malformed;
    if (negative) {
      out.whole = -out.whole;
      out.fraction = -out.fraction;
    }
    return reading::ok;
  }

  reading add(const quantity& q, unit u) noexcept {
    // PostgreSQL refuses a unit that comes twice.
    const auto bit = 1u << static_cast<unsigned>(u);
    const auto seconds = 1u << static_cast<unsigned>(unit::second) |
                         1u << static_cast<unsigned>(unit::millisecond) |
                         1u << static_cast<unsigned>(unit::microsecond);
    const auto bits = u == unit::second && q.fraction != 0 ? seconds : bit;
    if ((seen_ & bits) != 0)
      return reading::malformed;
    seen_ |= bits;
    return sum_.add(q, u) ? reading::ok : reading::out_of_range;
  }

  // --- 1 year 2 mons -3 days 04:05:06.7 ago --------------------------------------------------

  reading read_verbose() noexcept {
    if (take('@'))
      skip_spaces();
    bool any = false;
    bool ago = false;
    while (!rest_.empty()) {
      if (is_letter(rest_.front())) {
        if (!any || !is_word(take_word(), "ago") || !rest_.empty())
          return reading::malformed;
        ago = true;
        break;
      }
      if (const auto how = read_part(); how != reading::ok)
        return how;
      any = true;
      skip_spaces();
    }
    if (!any)
      return reading::malformed;
    if (ago) {
      value v;
      v.integer = sum_.micros;
      v.span = {sum_.months, sum_.days};
      if (!negate_interval(v, v))
        return reading::out_of_range;
      sum_.micros = v.integer;
      sum_.months = v.span.months;
      sum_.days = v.span.days;
    }
    return reading::ok;
  }

  reading read_part() noexcept {
    const bool negative = take('-');
    const bool is_signed = negative || take('+');
    if (is_signed)
      skip_spaces();
    quantity q;
    if (const auto how = read_quantity(negative, q); how != reading::ok)
      return how;
    if (rest_.starts_with(':'))
      return q.fraction == 0 ? read_clock(negative, q) : reading::malformed;
    if (rest_.starts_with('-') && q.fraction == 0)
      return read_years_months(negative, q);
    const bool attached = !rest_.empty() && is_letter(rest_.front());
    skip_spaces();
    if (!rest_.empty() && is_letter(rest_.front())) {
      const auto before = rest_;
      const auto word = take_word();
      const auto u = unit_named(word);
      if (u != unit::none)
        return add(q, u);
      rest_ = before;
      if (attached || !is_word(word, "ago"))
        return word.size() > 9 ? reading::unsupported : reading::malformed;
    }
    if (rest_.empty() || is_letter(rest_.front()))
      return add(q, default_unit());
    return is_clock_ahead() ? add(q, unit::day) : reading::unsupported;
  }

  bool is_clock_ahead() const noexcept {
    auto text = rest_;
    if (text.starts_with('-') || text.starts_with('+'))
      text.remove_prefix(1);
    return !take_digits(text).empty() && text.starts_with(':');
  }

  unit default_unit() const noexcept {
    using namespace interval_fields;
    if (fields_ == all || (fields_ & second) != 0)
      return unit::second;
    return (fields_ & minute) != 0  ? unit::minute
           : (fields_ & hour) != 0  ? unit::hour
           : (fields_ & day) != 0   ? unit::day
           : (fields_ & month) != 0 ? unit::month
                                    : unit::year;
  }

  /// hh:mm or hh:mm:ss.f; the hours are in `q` already.
  reading read_clock(bool negative, const quantity& hours) noexcept {
    using namespace interval_fields;
    if (fields_ == (minute | second)) // 1:30 is then one minute
      return reading::unsupported;
    take(':');
    const auto minutes = take_digits(rest_);
    std::int64_t seconds = 0;
    double fraction = 0;
    if (minutes.empty() || minutes.size() > 2)
      return reading::unsupported;
    if (take(':')) {
      quantity q;
      const auto start = rest_;
      if (const auto how = read_quantity(false, q); how != reading::ok)
        return how;
      if (start.find_first_not_of("0123456789") < 1 || q.whole > 60)
        return q.whole > 60 ? reading::out_of_range : reading::unsupported;
      seconds = q.whole;
      fraction = q.fraction;
    } else if (rest_.starts_with('.')) {
      return reading::unsupported;
    }
    const auto minute_count = (minutes[0] - '0') * (minutes.size() > 1 ? 10 : 1) +
                              (minutes.size() > 1 ? minutes[1] - '0' : 0);
    if (minute_count > 59 || seconds > 60 || (seconds == 60 && fraction > 0))
      return reading::out_of_range;
    constexpr auto clock = 1u << static_cast<unsigned>(unit::hour) |
                           1u << static_cast<unsigned>(unit::minute) |
                           1u << static_cast<unsigned>(unit::second);
    if ((seen_ & clock) != 0)
      return reading::malformed;
    seen_ |= clock;
    const std::int64_t sign = negative ? -1 : 1;
    const quantity part{sign * (minute_count * 60 + seconds),
                        static_cast<double>(sign) * std::rint(fraction * 1e6) / 1e6};
    return sum_.add(hours, unit::hour) && sum_.add(part, unit::second) ? reading::ok
                                                                       : reading::out_of_range;
  }

  reading read_years_months(bool negative, quantity years) noexcept {
    take('-');
    const auto digits = take_digits(rest_);
    std::int64_t months = 0;
    if (digits.empty() || digits.size() > 2 || (!rest_.empty() && !is_space(rest_.front())))
      return reading::unsupported;
    std::from_chars(digits.data(), digits.data() + digits.size(), months);
    if (months >= 12)
      return reading::out_of_range;
    std::int64_t total = 0;
    if (__builtin_mul_overflow(years.whole, 12, &total))
      return reading::out_of_range;
    return add({total + (negative ? -months : months), 0}, unit::month);
  }

  // --- P1Y2M3DT4H5M6.7S ----------------------------------------------------------------------

  reading read_iso() noexcept {
    take('P');
    bool of_day = false;
    bool any = false;
    while (!rest_.empty()) {
      if (take('T')) {
        if (of_day)
          return reading::malformed;
        of_day = true;
        continue;
      }
      const bool negative = take('-');
      if (!negative)
        take('+');
      quantity q;
      const auto start = rest_.data();
      if (const auto how = read_quantity(negative, q); how != reading::ok)
        return how;
      if (rest_.empty() || rest_.front() == 'T' || !is_letter(rest_.front()))
        return any || negative || !rest_.starts_with('-') || rest_.data() - start != 4
                   ? reading::unsupported
                   : read_iso_alternative(q);
      const auto u = iso_unit(rest_.front(), of_day);
      rest_.remove_prefix(1);
      if (u == unit::none)
        return reading::malformed;
      if (!sum_.add(q, u))
        return reading::out_of_range;
      any = true;
    }
    return any ? reading::ok : reading::unsupported;
  }

  static unit iso_unit(char letter, bool of_day) noexcept {
    switch (letter) {
    case 'Y':
      return of_day ? unit::none : unit::year;
    case 'M':
      return of_day ? unit::minute : unit::month;
    case 'W':
      return of_day ? unit::none : unit::week;
    case 'D':
      return of_day ? unit::none : unit::day;
    case 'H':
      return of_day ? unit::hour : unit::none;
    case 'S':
      return of_day ? unit::second : unit::none;
    default:
      return unit::none;
    }
  }

  /// P0001-02-03T04:05:06, the years already read.
  reading read_iso_alternative(const quantity& years) noexcept {
    constexpr std::array<unit, 5> units{unit::month, unit::day, unit::hour, unit::minute,
                                        unit::second};
    constexpr std::string_view separators = "--T::";
    if (years.fraction != 0 || !sum_.add(years, unit::year))
      return reading::unsupported;
    for (std::size_t i = 0; i < units.size(); ++i) {
      if (i == 2 && rest_.empty())
        return reading::ok;
      quantity q;
      if (!take(separators[i]) || read_quantity(false, q) != reading::ok ||
          (q.fraction != 0 && units[i] != unit::second) || !sum_.add(q, units[i]))
        return reading::unsupported;
    }
    return rest_.empty() ? reading::ok : reading::unsupported;
  }

  std::string_view rest_;
  std::int32_t fields_;
  unsigned seen_ = 0;
  sum sum_;
};

} // namespace

reading read_interval(std::string_view text, std::int32_t fields, value& out) noexcept {
  return interval_reader{text, fields}.read(out);
}

} // namespace busbar::sql
