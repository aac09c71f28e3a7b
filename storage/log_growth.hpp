// storage/log_growth.hpp: how those who read the write-ahead log learn that there is more, and what
// was written last, so that who keeps up need not read it from a file. Private to storage/.
#pragma once

#include "storage/replication.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>

namespace busbar::storage {

/// Any thread.
class log_growth {
public:
  /// What is kept for those that read, of what was written last.
  static constexpr std::size_t kept_bytes_max = 8u << 20;

  /// After every write: the batch as RocksDB has numbered it. Cheap if nobody reads the log.
  void tell(std::string_view written);
  /// Wakes all who wait, to look again.
  void disturb() noexcept {
    { const std::lock_guard guard{mutex_}; }
    changed_.notify_all();
  }
  /// Who reads comes, and goes. `sequence` gives the number of the last write.
  template <class Sequence>
  void join(const Sequence& sequence) {
    const std::lock_guard guard{mutex_};
    // A write whose number is not seen after this finds a reader.
    if (readers_.fetch_add(1, std::memory_order_acq_rel) == 0)
      begin_ = sequence() + 1;
  }
  void leave() noexcept;
  /// False if `arrived` still says no then. It is called with the lock, for find().
  template <class Arrived>
  bool wait(std::chrono::steady_clock::time_point until, const Arrived& arrived) {
    std::unique_lock guard{mutex_};
    if (arrived())
      return true;
    return until > std::chrono::steady_clock::now() && changed_.wait_until(guard, until, arrived);
  }
  /// The batch that begins with that number; nullptr if it is not kept. With the lock.
  std::shared_ptr<const replicated_batch> find(std::uint64_t first) const;
  /// Whether one that begins there is kept, or will be as soon as its writer has told of it. With
  /// the lock.
  bool expects(std::uint64_t first) const noexcept { return first >= begin_; }

private:
  std::atomic<int> readers_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  /// By the first number; writers may tell in another order than they were numbered in.
  std::map<std::uint64_t, std::shared_ptr<const replicated_batch>> kept_;
  std::size_t kept_bytes_ = 0;
  std::uint64_t begin_ = 0; ///< What came before this is not kept.
};

} // namespace busbar::storage
