// actors/frame_credits.hpp: how much the feed has sent that the MATERIALIZERS have not applied yet.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <vector>

namespace busbar {

/// Every frame goes to every MATERIALIZER; the slowest decides whether there is room for another.
/// Any thread, except where a comment says otherwise.
class frame_credits {
public:
  frame_credits(std::size_t materializers, int frames_max)
      : frames_max_{frames_max}, unapplied_(materializers) {}

  /// A connection begins. Frames of an earlier one may be credited after this. The feed only.
  void reset() noexcept {
    for (auto& count : unapplied_)
      count.store(0, std::memory_order_release);
  }
  /// A frame is being sent to all. The feed only.
  void sent() noexcept {
    for (auto& count : unapplied_)
      count.fetch_add(1, std::memory_order_acq_rel);
  }
  /// True if the feed may be waiting for just this: for room, or until nothing is left to do.
  bool applied(std::size_t materializer) noexcept {
    auto& count = unapplied_[materializer];
    auto before = count.load(std::memory_order_acquire);
    while (before > 0 &&
           !count.compare_exchange_weak(before, before - 1, std::memory_order_acq_rel)) {
    }
    return before == frames_max_ || (before == 1 && idle());
  }

  bool full() const noexcept {
    return std::any_of(unapplied_.begin(), unapplied_.end(), [this](const auto& count) {
      return count.load(std::memory_order_acquire) >= frames_max_;
    });
  }
  bool idle() const noexcept {
    return std::all_of(unapplied_.begin(), unapplied_.end(), [](const auto& count) {
      return count.load(std::memory_order_acquire) == 0;
    });
  }

private:
  const int frames_max_;
  std::vector<std::atomic<int>> unapplied_; ///< By MATERIALIZER.
};

} // namespace busbar
