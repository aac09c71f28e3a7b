// actors/commit_clock.hpp: how long ago PostgreSQL committed what we have just received, shown or
// synced, by its clock and ours.
#pragma once

#include "monitoring/seconds_tally.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>

namespace busbar {

/// PostgreSQL counts microseconds since 2000.
inline std::int64_t postgres_micros(std::chrono::system_clock::time_point when) noexcept {
  constexpr std::chrono::seconds until_2000{946'684'800};
  return std::chrono::duration_cast<std::chrono::microseconds>(when.time_since_epoch() - until_2000)
      .count();
}

/// Between two times so counted.
inline double seconds_between(std::int64_t commit, std::int64_t now) noexcept {
  return static_cast<double>(now - commit) / 1e6;
}

/// Transactions that wait to become durable, in the order of the WAL. One thread.
class commit_clock {
public:
  /// A group that was received together, and ends here in the WAL: `count` transactions, of which
  /// the first committed then.
  void received(std::uint64_t end_lsn, std::int64_t first_commit, std::uint32_t count) {
    if (waiting_.size() < groups_max) {
      waiting_.push_back({end_lsn, first_commit, count});
      return;
    }
    waiting_.back().end_lsn = end_lsn; // they count as the oldest of them
    waiting_.back().count += count;
  }
  /// All that ends up to here is durable.
  void durable(std::uint64_t lsn, std::int64_t now, monitoring::seconds_tally& lags) {
    for (; !waiting_.empty() && waiting_.front().end_lsn <= lsn; waiting_.pop_front())
      lags.add(seconds_between(waiting_.front().first_commit, now), waiting_.front().count);
  }
  void forget() noexcept { waiting_.clear(); }

private:
  static constexpr std::size_t groups_max = 10'000;
  struct group {
    std::uint64_t end_lsn;
    std::int64_t first_commit;
    std::uint32_t count;
  };
  std::deque<group> waiting_;
};

} // namespace busbar
