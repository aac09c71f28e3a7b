// storage/log_growth.hpp: how those who read the write-ahead log learn that there is more. Private
// to storage/.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace busbar::storage {

/// Any thread.
class log_growth {
public:
  /// After every write. Cheap if nobody reads the log.
  void tell() noexcept {
    // It reads by writing, so that whoever comes after this finds what was written before.
    if (readers_.fetch_add(0, std::memory_order_acq_rel) > 0)
      disturb();
  }
  /// Wakes all who wait, to look again.
  void disturb() noexcept {
    { const std::lock_guard guard{mutex_}; }
    changed_.notify_all();
  }
  void join() noexcept { readers_.fetch_add(1, std::memory_order_acq_rel); }
  void leave() noexcept { readers_.fetch_sub(1, std::memory_order_acq_rel); }
  /// False if `arrived` still says no then.
  template <class Arrived>
  bool wait(std::chrono::steady_clock::time_point until, const Arrived& arrived) {
    std::unique_lock guard{mutex_};
    return changed_.wait_until(guard, until, arrived);
  }

private:
  std::atomic<int> readers_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
};

} // namespace busbar::storage
