#include "sql/time_zone.hpp"

#include "sql/calendar.hpp"
#include "sql/text.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

namespace busbar::sql {
namespace {

constexpr std::int64_t cycle_seconds = std::int64_t{146'097} * 86'400; ///< 400 years.

/// Reads a zone file's integers, which are big-endian.
class byte_reader {
public:
  explicit byte_reader(std::string_view bytes) : rest_{bytes} {}
  bool failed() const { return failed_; }
  std::string_view rest() const { return rest_; }

  std::int64_t number(std::size_t bytes) {
    const auto raw = take(bytes);
    std::uint64_t out = !raw.empty() && (raw.front() & 0x80) != 0 ? ~std::uint64_t{0} : 0;
    for (const char c : raw)
      out = out << 8 | static_cast<unsigned char>(c);
    return static_cast<std::int64_t>(out);
  }
  std::string_view take(std::size_t bytes) {
    if (bytes > rest_.size()) {
      failed_ = true;
      return {};
    }
    const auto taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }

private:
  std::string_view rest_;
  bool failed_ = false;
};

struct file_header {
  char version = 0;
  std::array<std::size_t, 6> counts{}; ///< utc flags, std flags, leaps, times, types, characters.
};

std::optional<file_header> read_header(byte_reader& in) {
  if (in.take(4) != "TZif")
    return std::nullopt;
  file_header out;
  const auto version = in.take(1);
  out.version = version.empty() ? '\0' : version.front();
  in.take(15);
  for (auto& count : out.counts)
    count = static_cast<std::size_t>(in.number(4));
  if (in.failed() || std::any_of(out.counts.begin(), out.counts.end(),
                                 [](std::size_t count) { return count > 100'000; }))
    return std::nullopt;
  return out;
}

std::size_t body_size(const file_header& h, std::size_t time_size) {
  const auto& [utc, standard, leaps, times, types, characters] = h.counts;
  return times * (time_size + 1) + types * 6 + characters + leaps * (time_size + 4) + standard +
         utc;
}

/// Reads the parts of a POSIX rule: EST5EDT,M3.2.0,M11.1.0 or <+03>-3.
class rule_reader {
public:
  explicit rule_reader(std::string_view text) : rest_{text} {}
  bool at_end() const { return rest_.empty(); }

  bool name() {
    if (take('<')) {
      const auto end = rest_.find('>');
      if (end == std::string_view::npos)
        return false;
      rest_.remove_prefix(end + 1);
      return true;
    }
    const auto before = rest_.size();
    while (!rest_.empty() && is_letter(rest_.front()))
      rest_.remove_prefix(1);
    return rest_.size() != before;
  }

  /// hh[:mm[:ss]], with a sign.
  bool seconds(std::int64_t& out) {
    const std::int64_t sign = take('-') ? -1 : 1;
    if (sign > 0)
      take('+');
    std::int64_t parts[3] = {0, 0, 0};
    for (int i = 0; i < 3; ++i) {
      if (i > 0 && !take(':'))
        break;
      if (!number(parts[i]))
        return false;
    }
    out = sign * (parts[0] * 3600 + parts[1] * 60 + parts[2]);
    return true;
  }

  bool number(std::int64_t& out) {
    const auto digits = take_digits(rest_);
    out = 0;
    for (const char c : digits.substr(0, 9))
      out = out * 10 + (c - '0');
    return !digits.empty();
  }

  bool take(char c) {
    if (!rest_.starts_with(c))
      return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool ahead(char c) const { return rest_.starts_with(c); }

private:
  std::string_view rest_;
};

/// A day a year on which the clocks change: Mmonth.week.weekday/time.
struct yearly_change {
  std::int64_t month = 0;
  std::int64_t week = 0;
  std::int64_t weekday = 0;
  std::int64_t seconds = 7200; ///< Of local time from midnight on.

  bool read(rule_reader& in) {
    if (!in.take(',') || !in.take('M') || !in.number(month) || !in.take('.') || !in.number(week) ||
        !in.take('.') || !in.number(weekday))
      return false;
    if (in.take('/') && !in.seconds(seconds))
      return false;
    return month >= 1 && month <= 12 && week >= 1 && week <= 5 && weekday <= 6;
  }

  std::int64_t instant(std::int64_t year, std::int64_t offset_before) const {
    const auto first = days_of({year, month, 1});
    const auto first_weekday = floor_mod(first + 6, 7); // 2000-01-01 was a Saturday
    auto day = 1 + floor_mod(weekday - first_weekday, 7) + (week - 1) * 7;
    while (day > month_length(year, month))
      day -= 7;
    return (first + day - 1 - unix_epoch_days) * 86'400 + seconds - offset_before;
  }
};

bool is_safe_name(std::string_view name) {
  if (name.empty() || name.size() > 64 || name.front() == '/' ||
      name.find("..") != std::string_view::npos)
    return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '/' || c == '_' || c == '-' || c == '+';
  });
}

bool has_lower_case(std::string_view name) {
  return std::any_of(name.begin(), name.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

} // namespace

std::shared_ptr<const time_zone> time_zone::find(std::string_view name) {
  auto zone = std::make_shared<time_zone>();
  if (is_word(name, "utc") || is_word(name, "gmt") || is_word(name, "z"))
    return zone;
  // EST is an abbreviation first, and only then a zone. A name with a city or in small letters is
  // none.
  if (!is_safe_name(name) || (name.find('/') == std::string_view::npos && !has_lower_case(name)) ||
      !(name.front() >= 'A' && name.front() <= 'Z'))
    return nullptr;
  std::ifstream file{"/usr/share/zoneinfo/" + std::string{name}, std::ios::binary};
  const std::string bytes{std::istreambuf_iterator<char>{file}, {}};
  if (!zone->load(bytes))
    return nullptr;
  return zone;
}

bool time_zone::load(std::string_view bytes) {
  byte_reader in{bytes};
  const auto old = read_header(in);
  if (!old || old->version < '2')
    return false;
  in.take(body_size(*old, 4));
  const auto header = read_header(in);
  if (!header)
    return false;
  const auto times = header->counts[3];
  const auto types = header->counts[4];
  byte_reader instants{in.take(times * 8)};
  const auto kinds = in.take(times);
  byte_reader infos{in.take(types * 6)};
  in.take(body_size(*header, 8) - times * 9 - types * 6);
  if (in.failed() || types == 0)
    return false;
  std::vector<std::int64_t> offsets;
  for (std::size_t i = 0; i < types; ++i) {
    offsets.push_back(infos.number(4));
    infos.take(2);
  }
  first_offset_ = offsets.front();
  for (std::size_t i = 0; i < times; ++i) {
    const auto kind = static_cast<unsigned char>(kinds[i]);
    if (kind >= types)
      return false;
    changes_.push_back({instants.number(8), offsets[kind]});
  }
  auto rule = in.rest();
  if (!rule.starts_with('\n') || rule.find('\n', 1) == std::string_view::npos)
    return false;
  rule = rule.substr(1, rule.find('\n', 1) - 1);
  return extend(rule);
}

/// Spells out what the rule says for as long as it takes to come round.
bool time_zone::extend(std::string_view rule) {
  rule_reader in{rule};
  std::int64_t standard = 0;
  if (rule.empty() || !in.name() || !in.seconds(standard))
    return rule.empty();
  standard = -standard; // POSIX counts to the west
  if (in.at_end())
    return true; // the last change in the file already leads here
  std::int64_t summer = standard + 3600;
  if (!in.name())
    return false;
  if (!in.ahead(',')) {
    if (!in.seconds(summer))
      return false;
    summer = -summer;
  }
  yearly_change to_summer;
  yearly_change to_standard;
  if (!to_summer.read(in) || !to_standard.read(in) || !in.at_end())
    return false;
  const auto last = changes_.empty() ? std::int64_t{0} : changes_.back().instant;
  const auto from = day_of(floor_div(last, 86'400) + unix_epoch_days).year;
  for (auto year = from; year <= from + 401; ++year) {
    change both[2] = {{to_summer.instant(year, standard), summer},
                      {to_standard.instant(year, summer), standard}};
    if (both[1].instant < both[0].instant)
      std::swap(both[0], both[1]);
    for (const auto& next : both)
      if (changes_.empty() || next.instant > last)
        changes_.push_back(next);
  }
  repeats_ = true;
  return true;
}

std::int64_t time_zone::within_table(std::int64_t instant) const noexcept {
  if (!repeats_ || instant <= changes_.back().instant)
    return instant;
  const auto beyond = instant - changes_.back().instant;
  return instant - (beyond + cycle_seconds - 1) / cycle_seconds * cycle_seconds;
}

std::int64_t time_zone::offset_at(std::int64_t instant) const noexcept {
  instant = within_table(instant);
  const auto after =
      std::upper_bound(changes_.begin(), changes_.end(), instant,
                       [](std::int64_t t, const change& c) { return t < c.instant; });
  return after == changes_.begin() ? first_offset_ : std::prev(after)->offset;
}

std::int64_t time_zone::offset_of_local(std::int64_t local) const noexcept {
  local = within_table(local + 2 * 86'400) - 2 * 86'400;
  const auto yesterday = local - 86'400;
  const auto next = std::upper_bound(changes_.begin(), changes_.end(), yesterday,
                                     [](std::int64_t t, const change& c) { return t < c.instant; });
  const auto before = next == changes_.begin() ? first_offset_ : std::prev(next)->offset;
  if (next == changes_.end())
    return before;
  const auto as_before = local - before;
  const auto as_after = local - next->offset;
  if (as_before < next->instant && as_after < next->instant)
    return before;
  if (as_before > next->instant && as_after >= next->instant)
    return next->offset;
  return as_before > as_after ? before : next->offset;
}

} // namespace busbar::sql
