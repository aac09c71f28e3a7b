// actors/frame_credits.hpp: how much the feed has sent that the MATERIALIZERS have not applied yet.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace busbar {

/// Every frame goes to every MATERIALIZER; the slowest decides whether there is room for another.
/// Frames are counted, for the work that waits in them, and weighed, for the memory they hold: a
/// frame with one enormous row is enormous. Any thread, except where a comment says otherwise.
class frame_credits {
public:
  frame_credits(std::size_t materializers, int frames_max, std::size_t bytes_max)
      : frames_max_{frames_max}, bytes_max_{static_cast<std::int64_t>(bytes_max)},
        unapplied_(materializers) {}

  /// A connection begins. Frames of an earlier one may be credited after this. The feed only.
  void reset() noexcept {
    for (auto& share : unapplied_) {
      share.frames.store(0, std::memory_order_release);
      share.bytes.store(0, std::memory_order_release);
    }
  }
  /// A frame is being sent to all. The feed only.
  void sent(std::size_t bytes) noexcept {
    for (auto& share : unapplied_) {
      share.bytes.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_acq_rel);
      share.frames.fetch_add(1, std::memory_order_acq_rel);
    }
  }
  /// True if the feed may be waiting for just this: for room, or until nothing is left to do.
  bool applied(std::size_t materializer, std::size_t bytes) noexcept {
    auto& share = unapplied_[materializer];
    const auto bytes_before = take(share.bytes, static_cast<std::int64_t>(bytes), std::int64_t{0});
    const auto frames_before = take(share.frames, 1, 0);
    const bool made_room = frames_before == frames_max_ ||
                           (bytes_before >= bytes_max_ &&
                            bytes_before - static_cast<std::int64_t>(bytes) < bytes_max_);
    return made_room || (frames_before == 1 && idle());
  }

  bool full() const noexcept {
    return std::any_of(unapplied_.begin(), unapplied_.end(), [this](const auto& share) {
      return share.frames.load(std::memory_order_acquire) >= frames_max_ ||
             share.bytes.load(std::memory_order_acquire) >= bytes_max_;
    });
  }
  bool idle() const noexcept {
    return std::all_of(unapplied_.begin(), unapplied_.end(), [](const auto& share) {
      return share.frames.load(std::memory_order_acquire) == 0;
    });
  }

private:
  struct share {
    std::atomic<int> frames{0};
    std::atomic<std::int64_t> bytes{0};
  };
  /// Takes so much away, but does not go below the floor; what it was before.
  template <class T>
  static T take(std::atomic<T>& from, T amount, T floor) noexcept {
    auto before = from.load(std::memory_order_acquire);
    while (!from.compare_exchange_weak(before, std::max<T>(floor, before - amount),
                                       std::memory_order_acq_rel)) {
    }
    return before;
  }

  const int frames_max_;
  const std::int64_t bytes_max_;
  std::vector<share> unapplied_; ///< By MATERIALIZER.
};

} // namespace busbar
