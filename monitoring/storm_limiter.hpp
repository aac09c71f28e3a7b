// monitoring/storm_limiter.hpp: which lines of a log are too much of the same.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace busbar::monitoring {

/// Lines are alike if they differ in nothing but digits. One thread; knows no clock.
class storm_limiter {
public:
  using time = std::chrono::steady_clock::time_point;

  storm_limiter(std::size_t alike_max, std::chrono::milliseconds period)
      : alike_max_{alike_max}, period_{period} {}

  /// False if the line is to be left out.
  bool admits(std::string_view line, time now);
  /// One line for each kind of which some were left out in a period that is over, and how many.
  std::vector<std::pair<std::string, std::uint64_t>> ended(time now);

private:
  struct kind {
    time since;
    std::size_t admitted = 0;
    std::uint64_t left_out = 0;
    std::string example;
  };
  static std::string kind_of(std::string_view line);

  const std::size_t alike_max_;
  const std::chrono::milliseconds period_;
  std::unordered_map<std::string, kind> kinds_;
  time next_look_{};
};

} // namespace busbar::monitoring
