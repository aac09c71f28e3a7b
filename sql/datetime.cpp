#include "sql/datetime.hpp"

#include "sql/text.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>

namespace busbar::sql {
namespace {

constexpr std::int64_t infinity = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t minus_infinity = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t second_micros = 1'000'000;
constexpr std::int64_t day_micros = 86'400 * second_micros;
constexpr std::int64_t days_min = -2'451'545;                  ///< 4714-11-24 BC, Julian day 0.
constexpr std::int64_t days_max = 2'145'031'948;               ///< 5874897-12-31.
constexpr std::int64_t micros_min = -211'813'488'000'000'000;  ///< 4714-11-24 BC.
constexpr std::int64_t micros_end = 9'223'371'331'200'000'000; ///< 294277-01-01.

struct calendar_day {
  std::int64_t year = 0; ///< 0 is 1 BC.
  std::int64_t month = 0;
  std::int64_t day = 0;
};

/// What a text says, before it is checked.
struct moment_fields {
  calendar_day date;
  bool has_time = false;
  std::int64_t hour = 0;
  std::int64_t minute = 0;
  std::int64_t second = 0;
  std::int64_t micros = 0;
  char half = 0;                 ///< 'a' or 'p' for AM and PM.
  std::int64_t zone_seconds = 0; ///< East of Greenwich.
};

/// What a text means: a special value, or fields.
struct moment {
  enum class kind_type : std::uint8_t { fields, infinity, minus_infinity, epoch };
  kind_type kind = kind_type::fields;
  std::int64_t days = 0;
  std::int64_t time_micros = 0; ///< Up to a day and a second: 24:00:00 and leap seconds roll over.
  std::int64_t zone_seconds = 0;
};

bool is_leap(std::int64_t year) noexcept {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) noexcept {
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

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

bool is_calendar_day(const calendar_day& d) noexcept {
  constexpr std::array<int, 13> lengths{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (d.month < 1 || d.month > 12 || d.day < 1 ||
      d.day > lengths[static_cast<std::size_t>(d.month)])
    return false;
  return d.month != 2 || d.day != 29 || is_leap(d.year);
}

std::int64_t number(std::string_view digits) noexcept {
  std::int64_t out = 0;
  for (const char c : digits)
    out = out * 10 + (c - '0');
  return out;
}

/// 1 to 12; 0 for any other word.
int month_named(std::string_view word) noexcept {
  constexpr std::array<std::string_view, 12> names{"january",   "february", "march",    "april",
                                                   "may",       "june",     "july",     "august",
                                                   "september", "october",  "november", "december"};
  for (std::size_t i = 0; i < names.size(); ++i)
    if (is_word(word, names[i]) || is_word(word, names[i].substr(0, 3)))
      return static_cast<int>(i) + 1;
  return is_word(word, "sept") ? 9 : 0;
}

/// Reads the parts of a date-time from left to right.
class moment_reader {
public:
  explicit moment_reader(std::string_view text) : rest_{trim_spaces(text)} {}

  reading read(moment& out) noexcept {
    if (rest_.empty())
      return reading::malformed;
    if (read_special(out))
      return reading::ok;
    if (mentions_now())
      return reading::volatile_now;
    if (!read_day())
      return reading::unsupported;
    if (!read_time() || !read_half() || !read_zone() || !read_era())
      return reading::unsupported;
    if (!rest_.empty())
      return reading::unsupported;
    return settle(out);
  }

private:
  bool read_special(moment& out) const noexcept {
    using kind_type = moment::kind_type;
    if (is_word(rest_, "infinity"))
      out.kind = kind_type::infinity;
    else if (is_word(rest_, "-infinity"))
      out.kind = kind_type::minus_infinity;
    else if (is_word(rest_, "epoch"))
      out.kind = kind_type::epoch;
    else
      return false;
    return true;
  }

  bool mentions_now() const noexcept {
    for (auto text = rest_; !text.empty();) {
      const auto word = leading_word(text);
      for (const auto* name : {"now", "today", "tomorrow", "yesterday"})
        if (is_word(word, name))
          return true;
      text.remove_prefix(word.empty() ? 1 : word.size());
    }
    return false;
  }

  static std::string_view leading_word(std::string_view text) noexcept {
    std::size_t size = 0;
    while (size < text.size() && is_letter(text[size]))
      ++size;
    return text.substr(0, size);
  }

  bool take(char c) noexcept {
    if (!rest_.starts_with(c))
      return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take_word(std::string_view lower) noexcept {
    if (!is_word(leading_word(rest_), lower))
      return false;
    rest_.remove_prefix(lower.size());
    return true;
  }
  bool skip_spaces() noexcept {
    const auto before = rest_.size();
    while (!rest_.empty() && is_space(rest_.front()))
      rest_.remove_prefix(1);
    return rest_.size() != before;
  }
  static bool is_year(std::string_view digits) noexcept {
    return digits.size() >= 4 && digits.size() <= 7;
  }
  static bool is_small(std::string_view digits) noexcept {
    return digits.size() == 1 || digits.size() == 2;
  }

  bool read_day() noexcept {
    auto& date = fields_.date;
    if (is_letter(rest_.front())) // January 8, 2024
      return read_month_name() && skip_spaces() && read_small(date.day) &&
             (take(',') ? (skip_spaces(), true) : skip_spaces()) && read_year();
    const auto first = take_digits(rest_);
    if (first.size() == 8 && (rest_.empty() || is_space(rest_.front()) || rest_[0] == 'T')) {
      date = {number(first.substr(0, 4)), number(first.substr(4, 2)), number(first.substr(6))};
      return true;
    }
    if (is_small(first) && !rest_.empty() && is_space(rest_.front())) { // 8 January 2024
      date.day = number(first);
      return skip_spaces() && read_month_name() && skip_spaces() && read_year();
    }
    const char separator = rest_.empty() ? 0 : rest_.front();
    if (separator != '-' && separator != '/')
      return false;
    rest_.remove_prefix(1);
    const auto second = take_digits(rest_);
    if (!is_small(second) || !take(separator))
      return false;
    const auto third = take_digits(rest_);
    date.month = number(second);
    if (is_year(first) && is_small(third)) {
      date.year = number(first);
      date.day = number(third);
      return true;
    }
    date.day = number(first);
    date.year = number(third);
    return is_small(first) && is_year(third);
  }

  bool read_month_name() noexcept {
    const auto word = leading_word(rest_);
    fields_.date.month = month_named(word);
    rest_.remove_prefix(word.size());
    return fields_.date.month != 0;
  }
  bool read_small(std::int64_t& out) noexcept {
    const auto digits = take_digits(rest_);
    out = number(is_small(digits) ? digits : std::string_view{});
    return is_small(digits);
  }
  bool read_year() noexcept {
    const auto digits = take_digits(rest_);
    if (!is_year(digits))
      return false;
    fields_.date.year = number(digits);
    return true;
  }

  bool read_time() noexcept {
    const bool marked = rest_.size() > 1 && to_lower(rest_[0]) == 't' && is_digit(rest_[1]);
    if (marked)
      rest_.remove_prefix(1);
    else if (!rest_.empty() && !skip_spaces())
      return false;
    if (rest_.empty() || !is_digit(rest_.front()))
      return true;
    fields_.has_time = true;
    if (!read_small(fields_.hour) || !take(':') || !read_small(fields_.minute))
      return false;
    if (!take(':'))
      return true;
    if (!read_small(fields_.second))
      return false;
    return !take('.') || read_fraction();
  }

  bool read_fraction() noexcept {
    const char* point = rest_.data() - 1;
    const auto digits = take_digits(rest_);
    if (digits.empty())
      return false;
    if (digits.size() <= 6) {
      fields_.micros = number(digits);
      for (auto i = digits.size(); i < 6; ++i)
        fields_.micros *= 10;
      return true;
    }
    // More digits are rounded, and by PostgreSQL in floating point.
    double fraction = 0;
    if (std::from_chars(point, rest_.data(), fraction).ec != std::errc{})
      return false;
    fields_.micros = static_cast<std::int64_t>(std::rint(fraction * 1e6));
    return true;
  }

  bool read_half() noexcept {
    skip_spaces();
    if (take_word("am"))
      fields_.half = 'a';
    else if (take_word("pm"))
      fields_.half = 'p';
    else
      return true;
    skip_spaces();
    return fields_.has_time;
  }

  bool read_zone() noexcept {
    if (take_word("z") || take_word("utc") || take_word("gmt")) {
      skip_spaces();
      return fields_.has_time;
    }
    if (rest_.empty() || (rest_.front() != '+' && rest_.front() != '-'))
      return true;
    const std::int64_t sign = take('-') ? -1 : 1;
    if (sign > 0)
      take('+');
    const auto digits = take_digits(rest_);
    std::int64_t hours = 0;
    std::int64_t minutes = 0;
    std::int64_t seconds = 0;
    if (digits.size() == 4) {
      hours = number(digits.substr(0, 2));
      minutes = number(digits.substr(2));
    } else if (is_small(digits)) {
      hours = number(digits);
      if (take(':') && !read_small(minutes))
        return false;
      if (take(':') && !read_small(seconds))
        return false;
    } else {
      return false;
    }
    fields_.zone_seconds = sign * ((hours * 60 + minutes) * 60 + seconds);
    skip_spaces();
    return fields_.has_time && hours <= 15 && minutes < 60 && seconds < 60;
  }

  bool read_era() noexcept {
    skip_spaces();
    if (take_word("ad"))
      return fields_.date.year > 0;
    if (!take_word("bc"))
      return true;
    before_christ_ = true;
    return true;
  }

  reading settle(moment& out) noexcept {
    auto& f = fields_;
    if (f.date.year == 0)
      return reading::out_of_range;
    if (before_christ_)
      f.date.year = 1 - f.date.year;
    if (!is_calendar_day(f.date))
      return reading::out_of_range;
    if (f.half != 0 && f.hour > 12)
      return reading::out_of_range;
    if (f.half == 'a' && f.hour == 12)
      f.hour = 0;
    else if (f.half == 'p' && f.hour != 12)
      f.hour += 12;
    if (f.hour > 24 || f.minute > 59 || f.second > 60 ||
        (f.hour == 24 && (f.minute != 0 || f.second != 0 || f.micros != 0)))
      return reading::out_of_range;
    out.days = days_of(f.date);
    out.time_micros = ((f.hour * 60 + f.minute) * 60 + f.second) * second_micros + f.micros;
    out.zone_seconds = f.zone_seconds;
    return reading::ok;
  }

  std::string_view rest_;
  moment_fields fields_;
  bool before_christ_ = false;
};

int two_digits(const char* p) noexcept {
  return (p[0] - '0') * 10 + (p[1] - '0');
}

/// A row's `2024-01-31`, the first ten bytes of `text`: nearly every date there is.
bool read_plain_day(std::string_view text, std::int64_t& days) noexcept {
  if (text.size() < 10 || text[4] != '-' || text[7] != '-')
    return false;
  for (const int i : {0, 1, 2, 3, 5, 6, 8, 9})
    if (!is_digit(text[static_cast<std::size_t>(i)]))
      return false;
  const char* p = text.data();
  const calendar_day day{two_digits(p) * 100 + two_digits(p + 2), two_digits(p + 5),
                         two_digits(p + 8)};
  if (day.year == 0 || !is_calendar_day(day))
    return false;
  days = days_of(day);
  return true;
}

/// A row's `2024-01-31 10:00:00.5`, with `+00` behind it if `with_zone`.
bool read_plain_timestamp(std::string_view text, bool with_zone, std::int64_t& micros) noexcept {
  std::int64_t days = 0;
  if (text.size() < 19 || text[10] != ' ' || text[13] != ':' || text[16] != ':' ||
      !read_plain_day(text, days))
    return false;
  for (const int i : {11, 12, 14, 15, 17, 18})
    if (!is_digit(text[static_cast<std::size_t>(i)]))
      return false;
  const char* p = text.data();
  const int hour = two_digits(p + 11);
  const int minute = two_digits(p + 14);
  const int second = two_digits(p + 17);
  if (hour > 23 || minute > 59 || second > 59)
    return false;
  text.remove_prefix(19);
  std::int64_t fraction = 0;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    const auto digits = take_digits(text);
    if (digits.empty() || digits.size() > 6)
      return false;
    fraction = number(digits);
    for (auto i = digits.size(); i < 6; ++i)
      fraction *= 10;
  }
  if (text != (with_zone ? "+00" : ""))
    return false;
  micros = days * day_micros + ((hour * 60 + minute) * 60 + second) * second_micros + fraction;
  return true;
}

std::string day_text(const calendar_day& d) {
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, "%04lld-%02lld-%02lld",
                static_cast<long long>(d.year > 0 ? d.year : 1 - d.year),
                static_cast<long long>(d.month), static_cast<long long>(d.day));
  return buffer;
}

} // namespace

reading read_date(std::string_view text, std::int64_t& days) noexcept {
  if (text.size() == 10 && read_plain_day(text, days))
    return reading::ok;
  moment m;
  if (const auto read = moment_reader{text}.read(m); read != reading::ok)
    return read;
  switch (m.kind) {
  case moment::kind_type::infinity:
    days = infinity;
    return reading::ok;
  case moment::kind_type::minus_infinity:
    days = minus_infinity;
    return reading::ok;
  case moment::kind_type::epoch:
    days = -10'957;
    return reading::ok;
  case moment::kind_type::fields:
    break;
  }
  days = m.days; // PostgreSQL drops the time of day and the zone
  return days < days_min || days > days_max ? reading::out_of_range : reading::ok;
}

reading read_timestamp(std::string_view text, bool with_zone, std::int64_t& micros) noexcept {
  if (read_plain_timestamp(text, with_zone, micros))
    return reading::ok;
  moment m;
  if (const auto read = moment_reader{text}.read(m); read != reading::ok)
    return read;
  switch (m.kind) {
  case moment::kind_type::infinity:
    micros = infinity;
    return reading::ok;
  case moment::kind_type::minus_infinity:
    micros = minus_infinity;
    return reading::ok;
  case moment::kind_type::epoch:
    micros = -10'957 * day_micros;
    return reading::ok;
  case moment::kind_type::fields:
    break;
  }
  if (m.days < days_min || m.days > micros_end / day_micros)
    return reading::out_of_range;
  const auto zone = with_zone ? m.zone_seconds * second_micros : 0;
  const auto whole = m.days * day_micros;
  const auto offset = m.time_micros - zone;
  if (offset > 0 && whole > infinity - offset)
    return reading::out_of_range;
  micros = whole + offset;
  return micros < micros_min || micros >= micros_end ? reading::out_of_range : reading::ok;
}

std::string write_date(std::int64_t days) {
  if (days == infinity)
    return "infinity";
  if (days == minus_infinity)
    return "-infinity";
  const auto d = day_of(days);
  return day_text(d) + (d.year > 0 ? "" : " BC");
}

std::string write_timestamp(std::int64_t micros, bool with_zone) {
  if (micros == infinity)
    return "infinity";
  if (micros == minus_infinity)
    return "-infinity";
  const auto days = floor_div(micros, day_micros);
  const auto of_day = micros - days * day_micros;
  const auto d = day_of(days);
  const auto seconds = of_day / second_micros;
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, " %02d:%02d:%02d", static_cast<int>(seconds / 3600),
                static_cast<int>(seconds / 60 % 60), static_cast<int>(seconds % 60));
  auto out = day_text(d) + buffer;
  if (const auto fraction = of_day % second_micros; fraction != 0) {
    std::snprintf(buffer, sizeof buffer, ".%06d", static_cast<int>(fraction));
    out += buffer;
    while (out.back() == '0')
      out.pop_back();
  }
  if (with_zone)
    out += "+00";
  return out + (d.year > 0 ? "" : " BC");
}

bool date_to_timestamp(std::int64_t& moment) noexcept {
  const bool finite = moment != infinity && moment != minus_infinity;
  if (finite && moment >= micros_end / day_micros)
    return false;
  if (finite)
    moment *= day_micros;
  return true;
}

std::int64_t date_to_instant(std::int64_t days) noexcept {
  auto moment = days;
  return date_to_timestamp(moment) ? moment : infinity - 1;
}

std::int64_t timestamp_to_date(std::int64_t micros) noexcept {
  if (micros == infinity || micros == minus_infinity)
    return micros;
  return floor_div(micros, day_micros);
}

} // namespace busbar::sql
