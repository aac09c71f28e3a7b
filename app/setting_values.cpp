#include "app/setting_values.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

namespace busbar::app {
namespace {

std::string quoted(std::string_view text) {
  return "'" + std::string{text} + "'";
}

std::string lower(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  return out;
}

struct unit {
  std::string_view name; ///< Lower case.
  std::uint64_t factor;
};
constexpr std::array durations{unit{"ms", 1}, unit{"s", 1'000}, unit{"m", 60'000}};
constexpr std::array sizes{unit{"b", 1},          unit{"kb", 1'000},     unit{"kib", 1u << 10},
                           unit{"mb", 1'000'000}, unit{"mib", 1u << 20}, unit{"gb", 1'000'000'000},
                           unit{"gib", 1u << 30}};

/// Digits, then the name of a unit or nothing; nullopt if it is not that or does not fit.
std::optional<std::uint64_t> read_with_unit(std::string_view text, std::span<const unit> units,
                                            std::uint64_t bare) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto digits = std::from_chars(text.data(), end, number);
  if (digits.ec != std::errc{})
    return std::nullopt;
  const auto name = lower({digits.ptr, end});
  auto factor = bare;
  if (!name.empty()) {
    const auto found = std::ranges::find(units, name, &unit::name);
    if (found == units.end())
      return std::nullopt;
    factor = found->factor;
  }
  if (number > std::numeric_limits<std::uint64_t>::max() / factor)
    return std::nullopt;
  return number * factor;
}

} // namespace

result<bool> read_boolean(std::string_view text) {
  const auto word = lower(text);
  if (word == "true" || word == "1" || word == "yes" || word == "on")
    return true;
  if (word == "false" || word == "0" || word == "no" || word == "off")
    return false;
  return fail(errc::misconfigured, quoted(text) + " is neither true nor false");
}

result<std::uint64_t> read_count(std::string_view text, bounds allowed) {
  const auto number = read_with_unit(text, {}, 1);
  if (!number || *number < allowed.least || *number > allowed.most)
    return fail(errc::misconfigured, quoted(text) + " is not a whole number from " +
                                         std::to_string(allowed.least) + " to " +
                                         std::to_string(allowed.most));
  return *number;
}

result<std::chrono::milliseconds> read_duration(std::string_view text,
                                                std::chrono::milliseconds bare,
                                                std::chrono::milliseconds least,
                                                std::chrono::milliseconds most) {
  const auto number = read_with_unit(text, durations, static_cast<std::uint64_t>(bare.count()));
  if (!number || *number < static_cast<std::uint64_t>(least.count()) ||
      *number > static_cast<std::uint64_t>(most.count()))
    return fail(errc::misconfigured, quoted(text) + " is not a duration from " +
                                         write_duration(least) + " to " + write_duration(most));
  return std::chrono::milliseconds{*number};
}

result<std::uint64_t> read_size(std::string_view text, bounds allowed) {
  const auto number = read_with_unit(text, sizes, 1);
  if (!number || *number < allowed.least || *number > allowed.most)
    return fail(errc::misconfigured, quoted(text) + " is not a size from " +
                                         write_size(allowed.least) + " to " +
                                         write_size(allowed.most));
  return *number;
}

std::string write_duration(std::chrono::milliseconds value) {
  const auto ms = value.count();
  if (ms != 0 && ms % 60'000 == 0)
    return std::to_string(ms / 60'000) + "m";
  if (ms != 0 && ms % 1'000 == 0)
    return std::to_string(ms / 1'000) + "s";
  return std::to_string(ms) + "ms";
}

std::string write_size(std::uint64_t bytes) {
  constexpr std::array binary{"", "KiB", "MiB", "GiB"};
  std::size_t power = 0;
  while (bytes != 0 && bytes % 1024 == 0 && power + 1 < binary.size()) {
    bytes /= 1024;
    ++power;
  }
  return std::to_string(bytes) + binary[power];
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  std::string_view best;
  // Further away than a third of the word is a guess that misleads more than it helps.
  auto best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  std::vector<std::size_t> row; // of the edit distance's table, for the prefixes of `word`
  for (const auto candidate : candidates) {
    row.resize(word.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < candidate.size(); ++i) {
      auto diagonal = row[0];
      row[0] = i + 1;
      for (std::size_t j = 0; j < word.size(); ++j) {
        const auto replaced = diagonal + (candidate[i] == word[j] ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

} // namespace busbar::app
