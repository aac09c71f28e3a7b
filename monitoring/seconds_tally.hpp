// monitoring/seconds_tally.hpp: durations counted by one thread for itself, and handed to a
// histogram many at a time: a histogram of the library's takes a lock for each observation.
#pragma once

#include <prometheus/histogram.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace busbar::monitoring {

/// The buckets of every duration, from 1 ms to 10 min: a sync on a local disk and the snapshot of a
/// large table both fit.
inline constexpr std::array<double, 18> second_bounds{
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600};

/// One thread.
class seconds_tally {
public:
  void add(double seconds, std::uint32_t times = 1) noexcept {
    // A clock that is behind the database's would make durations negative.
    seconds = std::max(seconds, 0.0);
    const auto bucket = std::lower_bound(second_bounds.begin(), second_bounds.end(), seconds);
    counts_[static_cast<std::size_t>(bucket - second_bounds.begin())] += times;
    sum_ += seconds * times;
    any_ = true;
  }
  bool empty() const noexcept { return !any_; }

  /// Empties it. The histogram has the bounds of above.
  void hand_to(prometheus::Histogram& histogram) {
    if (!any_)
      return;
    histogram.ObserveMultiple({counts_.begin(), counts_.end()}, sum_);
    *this = {};
  }

private:
  std::array<double, second_bounds.size() + 1> counts_{};
  double sum_ = 0;
  bool any_ = false;
};

} // namespace busbar::monitoring
