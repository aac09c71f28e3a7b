// actors/node_status.hpp: the few facts about this node that every thread may ask for.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
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
    starting,      ///< No replication stream.
    waiting,       ///< Another node holds the stream's lock.
    misconfigured, ///< As starting, but only a human can help; it heals once he has.
    following,     ///< Another node leads, and what it does is done here, too.
    streaming,
  };
  using wall_time = std::chrono::sys_seconds;
  phase now() const noexcept {
    const auto own = phase_.load(std::memory_order_acquire);
    return own != phase::streaming && follows_.load(std::memory_order_acquire) ? phase::following
                                                                               : own;
  }
  /// This node leads, and has a stream.
  bool streaming() const noexcept { return now() == phase::streaming; }
  /// Shapes follow the database, and new ones can be made, here or by the leader.
  bool serving() const noexcept {
    const auto p = now();
    return p == phase::streaming || p == phase::following;
  }
  /// By the follower: whether a leader that has a stream is being followed.
  void set_following(bool yes) {
    const std::lock_guard guard{mutex_};
    if (follows_.exchange(yes, std::memory_order_acq_rel) == yes)
      return;
    if (yes)
      away_since_.store(0, std::memory_order_release);
    else if (phase_.load(std::memory_order_relaxed) != phase::streaming)
      away_since_.store(now_seconds(), std::memory_order_release);
  }
  /// Why there is no stream: a name for programs, and for clients' humans a sentence without hosts.
  struct reason {
    std::string name;
    std::string text;
  };
  /// By the feed.
  void set_phase(phase p, reason why_not = {}) {
    const std::lock_guard guard{mutex_};
    if (p == phase::streaming)
      away_since_.store(0, std::memory_order_release);
    else if (away_since_.load(std::memory_order_relaxed) == 0 && !follows_.load())
      away_since_.store(now_seconds(), std::memory_order_release);
    phase_.store(p, std::memory_order_release);
    why_not_ = std::move(why_not);
  }
  reason why_not() const {
    const std::lock_guard guard{mutex_};
    return why_not_;
  }
  /// Since when shapes show what they did then; none while there is a stream.
  std::optional<wall_time> away_since() const noexcept {
    const auto since = away_since_.load(std::memory_order_acquire);
    return since == 0 ? std::nullopt : std::optional{wall_time{std::chrono::seconds{since}}};
  }

  /// So many shapes go at once. Their waiting readers would all come back at once, too, and have
  /// PostgreSQL read every table; so they are told one shape after the other.
  void purge(std::size_t shapes) noexcept {
    const auto spread =
        std::min<std::int64_t>(static_cast<std::int64_t>(shapes) * purge_pause_ms, purge_max_ms);
    purge_spread_.store(spread, std::memory_order_relaxed);
    purge_begin_.store(steady_ms(), std::memory_order_release);
  }
  /// How long a shape's readers still wait to be told that it is gone.
  std::chrono::milliseconds conflict_delay(std::uint64_t shape) const noexcept {
    const auto begin = purge_begin_.load(std::memory_order_acquire);
    // The high bits of a multiple of the golden ratio: neighbours are far apart.
    const auto share = static_cast<std::int64_t>((shape * 0x9e3779b97f4a7c15u) >> 44);
    const auto due = begin + ((purge_spread_.load(std::memory_order_relaxed) * share) >> 20);
    return std::chrono::milliseconds{begin == 0 ? 0 : std::max<std::int64_t>(0, due - steady_ms())};
  }

  std::atomic<std::uint64_t> term{0}; ///< Of the leader whose frames are applied.
  /// The highest transaction id that PostgreSQL is known to have used; 0 = none yet. By the feed.
  std::atomic<std::uint64_t> newest_xid{0};

private:
  static constexpr std::int64_t purge_pause_ms = 10;   ///< Between two shapes, on average …
  static constexpr std::int64_t purge_max_ms = 10'000; ///< … but all are told in this time.

  static std::int64_t steady_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  static std::int64_t now_seconds() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now())
        .time_since_epoch()
        .count();
  }

  std::vector<std::atomic<std::uint64_t>> processed_;
  std::atomic<phase> phase_{phase::starting};
  std::atomic<bool> follows_{false}; ///< A leader that has a stream.
  mutable std::mutex mutex_;
  reason why_not_{"connecting", "starting: not yet connected to PostgreSQL"};
  std::atomic<std::int64_t> purge_begin_{0};
  std::atomic<std::int64_t> purge_spread_{0};
  std::atomic<std::int64_t> away_since_{now_seconds()}; ///< 0 while there is a stream.
};

} // namespace busbar
