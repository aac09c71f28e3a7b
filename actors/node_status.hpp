// actors/node_status.hpp: the few facts about this node that every thread may ask for.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace busbar {

/// Any thread.
class node_status {
public:
  explicit node_status(std::size_t materializers) : processed_(materializers) {}

  /// G of the protocol: every change with a commit LSN up to here is visible in every shape.
  std::uint64_t last_seen_lsn() const noexcept {
    std::uint64_t least = ~std::uint64_t{0};
    for (const auto& position : processed_)
      least = std::min(least, position.load(std::memory_order_acquire));
    return processed_.empty() ? 0 : least;
  }
  /// By each MATERIALIZER for itself, after its shapes show the change. Never falls.
  void processed(std::size_t materializer, std::uint64_t commit_lsn) noexcept {
    auto& position = processed_[materializer];
    if (position.load(std::memory_order_relaxed) < commit_lsn)
      position.store(commit_lsn, std::memory_order_release);
  }

  /// The stream begins anew with nothing before it: positions may even fall. No shapes then.
  void restart(std::uint64_t lsn) noexcept {
    for (auto& position : processed_)
      position.store(lsn, std::memory_order_release);
  }

  enum class phase : std::uint8_t {
    starting, ///< No replication stream.
    waiting,  ///< Another node holds the stream's lock.
    streaming,
  };
  phase now() const noexcept { return phase_.load(std::memory_order_acquire); }
  bool streaming() const noexcept { return now() == phase::streaming; }
  /// By the feed. `why_not` is for clients' humans: the first condition that is not met, no hosts.
  void set_phase(phase p, std::string why_not = {}) {
    const std::lock_guard guard{mutex_};
    phase_.store(p, std::memory_order_release);
    why_not_ = std::move(why_not);
  }
  std::string why_not() const {
    const std::lock_guard guard{mutex_};
    return why_not_;
  }

  std::atomic<std::uint64_t> term{0}; ///< Of the leader whose frames are applied.

private:
  std::vector<std::atomic<std::uint64_t>> processed_;
  std::atomic<phase> phase_{phase::starting};
  mutable std::mutex mutex_;
  std::string why_not_ = "starting: not yet connected to PostgreSQL";
};

} // namespace busbar
