#include "monitoring/storm_limiter.hpp"

#include <algorithm>

namespace busbar::monitoring {

namespace {

/// So many kinds are told apart at a time; others are let through uncounted.
constexpr std::size_t kinds_max = 1'000;
/// Of a line, what is looked at.
constexpr std::size_t kind_bytes_max = 200;
constexpr std::size_t example_bytes_max = 300;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

} // namespace

std::string storm_limiter::kind_of(std::string_view line) {
  std::string kind;
  for (std::size_t i = 0; i < line.size() && kind.size() < kind_bytes_max; ++i) {
    if (!is_digit(line[i]))
      kind += line[i];
    else if (kind.empty() || kind.back() != '#')
      kind += '#';
  }
  return kind;
}

bool storm_limiter::admits(std::string_view line, time now) {
  auto name = kind_of(line);
  auto found = kinds_.find(name);
  if (found == kinds_.end()) {
    if (kinds_.size() >= kinds_max)
      return true;
    found = kinds_.emplace(std::move(name), kind{.since = now, .example = {}}).first;
    if (kinds_.size() == 1)
      next_look_ = now + period_;
  }
  auto& known = found->second;
  if (known.admitted < alike_max_) {
    ++known.admitted;
    return true;
  }
  if (++known.left_out == 1)
    known.example = line.substr(0, example_bytes_max);
  return false;
}

std::vector<std::pair<std::string, std::uint64_t>> storm_limiter::ended(time now) {
  std::vector<std::pair<std::string, std::uint64_t>> out;
  if (kinds_.empty() || now < next_look_)
    return out;
  next_look_ = now + period_;
  for (auto one = kinds_.begin(); one != kinds_.end();) {
    if (now - one->second.since < period_) {
      next_look_ = std::min(next_look_, one->second.since + period_);
      ++one;
      continue;
    }
    if (one->second.left_out > 0)
      out.emplace_back(std::move(one->second.example), one->second.left_out);
    one = kinds_.erase(one);
  }
  return out;
}

} // namespace busbar::monitoring
