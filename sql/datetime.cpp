#include "sql/datetime.hpp"

#include "sql/calendar.hpp"
#include "sql/moment_reader.hpp"
#include "sql/text.hpp"

#include <array>
#include <cstdio>

namespace busbar::sql {
namespace {

int two_digits(const char* p) noexcept {
  return (p[0] - '0') * 10 + (p[1] - '0');
}

bool are_digits(std::string_view text, std::initializer_list<int> places) noexcept {
  for (const int i : places)
    if (!is_digit(text[static_cast<std::size_t>(i)]))
      return false;
  return true;
}

/// A row's `2024-01-31`, the first ten bytes of `text`: nearly every date there is.
bool read_plain_day(std::string_view text, std::int64_t& days) noexcept {
  if (text.size() < 10 || text[4] != '-' || text[7] != '-' ||
      !are_digits(text, {0, 1, 2, 3, 5, 6, 8, 9}))
    return false;
  const char* p = text.data();
  const calendar_day day{two_digits(p) * 100 + two_digits(p + 2), two_digits(p + 5),
                         two_digits(p + 8)};
  if (day.year == 0 || !is_calendar_day(day))
    return false;
  days = days_of(day);
  return true;
}

/// A row's `10:00:00.5`; what is behind it stays in `text`.
bool read_plain_time(std::string_view& text, std::int64_t& micros) noexcept {
  if (text.size() < 8 || text[2] != ':' || text[5] != ':' || !are_digits(text, {0, 1, 3, 4, 6, 7}))
    return false;
  const char* p = text.data();
  const int hour = two_digits(p);
  const int minute = two_digits(p + 3);
  const int second = two_digits(p + 6);
  if (hour > 23 || minute > 59 || second > 59)
    return false;
  text.remove_prefix(8);
  std::int64_t fraction = 0;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    const auto digits = take_digits(text);
    if (digits.empty() || digits.size() > 6)
      return false;
    for (const char c : digits)
      fraction = fraction * 10 + (c - '0');
    for (auto i = digits.size(); i < 6; ++i)
      fraction *= 10;
  }
  micros = ((hour * 60 + minute) * 60 + second) * second_micros + fraction;
  return true;
}

/// A row's `2024-01-31 10:00:00.5`, with `+00` behind it if `with_zone`.
bool read_plain_timestamp(std::string_view text, bool with_zone, std::int64_t& micros) noexcept {
  std::int64_t days = 0;
  if (text.size() < 19 || text[10] != ' ' || !read_plain_day(text, days))
    return false;
  text.remove_prefix(11);
  std::int64_t of_day = 0;
  if (!read_plain_time(text, of_day) || text != (with_zone ? "+00" : ""))
    return false;
  micros = days * day_micros + of_day;
  return true;
}

void append_day(std::string& out, const calendar_day& d) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%04lld-%02lld-%02lld",
                static_cast<long long>(d.year > 0 ? d.year : 1 - d.year),
                static_cast<long long>(d.month), static_cast<long long>(d.day));
  out += buffer.data();
}

bool append_infinity(std::string& out, std::int64_t moment) {
  if (is_finite(moment))
    return false;
  out += moment == infinity ? "infinity" : "-infinity";
  return true;
}

} // namespace

reading read_date(std::string_view text, std::int64_t& days) noexcept {
  if (text.size() == 10 && read_plain_day(text, days))
    return reading::ok;
  moment m;
  if (const auto read = read_moment(text, true, m); read != reading::ok)
    return read;
  switch (m.kind) {
  case moment::kind_type::infinity:
    days = infinity;
    return reading::ok;
  case moment::kind_type::minus_infinity:
    days = minus_infinity;
    return reading::ok;
  case moment::kind_type::epoch:
    days = unix_epoch_days;
    return reading::ok;
  case moment::kind_type::fields:
    break;
  }
  days = m.days; // PostgreSQL drops the time of day and the zone
  return days < days_min || days > days_max ? reading::out_of_range : reading::ok;
}

reading read_time(std::string_view text, std::int64_t& micros) noexcept {
  auto rest = text;
  if (read_plain_time(rest, micros) && rest.empty())
    return reading::ok;
  moment m;
  if (const auto read = read_moment(text, false, m); read != reading::ok)
    return read;
  if (m.kind != moment::kind_type::fields || !m.has_time)
    return reading::unsupported;
  micros = m.time_micros;
  return micros > day_micros ? reading::out_of_range : reading::ok;
}

reading read_timestamp(std::string_view text, bool with_zone, std::int64_t& micros) noexcept {
  if (read_plain_timestamp(text, with_zone, micros))
    return reading::ok;
  moment m;
  if (const auto read = read_moment(text, true, m); read != reading::ok)
    return read;
  switch (m.kind) {
  case moment::kind_type::infinity:
    micros = infinity;
    return reading::ok;
  case moment::kind_type::minus_infinity:
    micros = minus_infinity;
    return reading::ok;
  case moment::kind_type::epoch:
    micros = unix_epoch_days * day_micros;
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

void append_date(std::string& out, std::int64_t days) {
  if (append_infinity(out, days))
    return;
  const auto d = day_of(days);
  append_day(out, d);
  if (d.year <= 0)
    out += " BC";
}

void append_time(std::string& out, std::int64_t micros) {
  const auto seconds = micros / second_micros;
  std::array<char, 40> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%02d:%02d:%02d", static_cast<int>(seconds / 3600),
                static_cast<int>(seconds / 60 % 60), static_cast<int>(seconds % 60));
  out += buffer.data();
  if (const auto fraction = micros % second_micros; fraction != 0) {
    std::snprintf(buffer.data(), buffer.size(), ".%06d", static_cast<int>(fraction));
    out += buffer.data();
    while (out.back() == '0')
      out.pop_back();
  }
}

void append_timestamp(std::string& out, std::int64_t micros, bool with_zone) {
  if (append_infinity(out, micros))
    return;
  const auto days = floor_div(micros, day_micros);
  const auto d = day_of(days);
  append_day(out, d);
  out += ' ';
  append_time(out, micros - days * day_micros);
  if (with_zone)
    out += "+00";
  if (d.year <= 0)
    out += " BC";
}

bool date_to_timestamp(std::int64_t& moment) noexcept {
  if (is_finite(moment) && moment >= micros_end / day_micros)
    return false;
  if (is_finite(moment))
    moment *= day_micros;
  return true;
}

std::int64_t date_to_instant(std::int64_t days) noexcept {
  auto moment = days;
  return date_to_timestamp(moment) ? moment : infinity - 1;
}

std::int64_t timestamp_to_date(std::int64_t micros) noexcept {
  return is_finite(micros) ? floor_div(micros, day_micros) : micros;
}

void round_micros(std::int64_t& micros, std::int32_t digits) noexcept {
  constexpr std::array<std::int64_t, 7> units{1'000'000, 100'000, 10'000, 1'000, 100, 10, 1};
  if (!is_finite(micros) || digits < 0 || digits > 6)
    return;
  const auto unit = units[static_cast<std::size_t>(digits)];
  const auto half = unit / 2;
  micros = micros >= 0 ? (micros + half) / unit * unit : -((-micros + half) / unit * unit);
}

} // namespace busbar::sql
