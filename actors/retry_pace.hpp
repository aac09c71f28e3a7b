// actors/retry_pace.hpp: how long the feed waits before it connects again. No clock of its own.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace busbar {

/// Doubles with each attempt that comes to nothing. That PostgreSQL accepts a stream proves nothing
/// yet, it may end it right after: only one that ran for a while makes the next wait short again.
class retry_pace {
public:
  using clock = std::chrono::steady_clock;
  using milliseconds = std::chrono::milliseconds;
  static constexpr milliseconds shortest{1'000};
  static constexpr milliseconds longest{10'000};
  static constexpr std::chrono::seconds settled{5};

  /// The wait after an attempt that ended at `ended`, before a random part is taken off it.
  milliseconds next(std::optional<clock::time_point> streaming_since, clock::time_point ended) {
    if (streaming_since && ended - *streaming_since >= settled)
      wait_ = shortest;
    return std::exchange(wait_, std::min(2 * wait_, longest));
  }

private:
  milliseconds wait_ = shortest;
};

} // namespace busbar
