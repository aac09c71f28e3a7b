#include "sql/moment_reader.hpp"

#include "sql/text.hpp"
#include "sql/time_zone.hpp"

#include <array>
#include <charconv>
#include <cmath>

namespace busbar::sql {
namespace {

/// What a text says, before it is checked.
struct moment_fields {
  calendar_day date;
  bool has_day = false;
  bool has_time = false;
  std::int64_t hour = 0;
  std::int64_t minute = 0;
  std::int64_t second = 0;
  std::int64_t micros = 0;
  char half = 0;                 ///< 'a' or 'p' for AM and PM.
  std::int64_t zone_seconds = 0; ///< East of Greenwich.
  std::string_view zone = {};    ///< Or its name.
};

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
  moment_reader(std::string_view text, bool needs_day)
      : rest_{trim_spaces(text)}, needs_day_{needs_day} {}

  reading read(moment& out) noexcept {
    if (rest_.empty())
      return reading::malformed;
    if (read_special(out))
      return reading::ok;
    if (mentions_now())
      return reading::volatile_now;
    if (!is_time_of_day() && !read_day())
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

  /// A text that begins with hours and a colon has no day.
  bool is_time_of_day() const noexcept {
    auto text = rest_;
    return !needs_day_ && is_small(take_digits(text)) && text.starts_with(':');
  }

  bool read_day() noexcept {
    fields_.has_day = true;
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
    const bool year_first = is_year(first) && is_small(third);
    if (!year_first && !(is_small(first) && is_year(third)))
      return false; // before they are made numbers, for which there may be too many digits
    date.month = number(second);
    date.year = number(year_first ? first : third);
    date.day = number(year_first ? third : first);
    return true;
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
    else if (fields_.has_day && !rest_.empty() && !skip_spaces())
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
    if (!rest_.empty() && is_letter(rest_.front()) && !is_word(rest_, "bc") &&
        !is_word(rest_, "ad"))
      return read_zone_name();
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

  bool read_zone_name() noexcept {
    std::size_t size = 0;
    while (size < rest_.size() && !is_space(rest_[size]))
      ++size;
    fields_.zone = rest_.substr(0, size);
    rest_.remove_prefix(size);
    skip_spaces();
    return fields_.has_time && fields_.zone.find_first_of("+-0123456789") == std::string_view::npos;
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
    if (f.has_day) {
      if (f.date.year == 0)
        return reading::out_of_range;
      if (before_christ_)
        f.date.year = 1 - f.date.year;
      if (!is_calendar_day(f.date))
        return reading::out_of_range;
      out.days = days_of(f.date);
    } else if (!f.has_time || before_christ_) {
      return reading::unsupported;
    }
    if (f.half != 0 && f.hour > 12)
      return reading::out_of_range;
    if (f.half == 'a' && f.hour == 12)
      f.hour = 0;
    else if (f.half == 'p' && f.hour != 12)
      f.hour += 12;
    if (f.hour > 24 || f.minute > 59 || f.second > 60 ||
        (f.hour == 24 && (f.minute != 0 || f.second != 0 || f.micros != 0)))
      return reading::out_of_range;
    out.has_time = f.has_time;
    out.time_micros = ((f.hour * 60 + f.minute) * 60 + f.second) * second_micros + f.micros;
    out.zone_seconds = f.zone_seconds;
    return f.zone.empty() ? reading::ok : settle_zone(out);
  }

  reading settle_zone(moment& out) const noexcept {
    const auto zone = time_zone::find(fields_.zone);
    if (zone == nullptr)
      return reading::unsupported;
    if (!fields_.has_day) // its offset would depend on today
      return reading::unsupported;
    const auto local = (out.days - unix_epoch_days) * 86'400 + out.time_micros / second_micros;
    out.zone_seconds = zone->offset_of_local(local);
    return reading::ok;
  }

  std::string_view rest_;
  bool needs_day_;
  moment_fields fields_;
  bool before_christ_ = false;
};

} // namespace

reading read_moment(std::string_view text, bool needs_day, moment& out) noexcept {
  return moment_reader{text, needs_day}.read(out);
}

} // namespace busbar::sql
