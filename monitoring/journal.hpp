// monitoring/journal.hpp: the last few things that happened of one kind, for the status page.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace busbar::monitoring {

/// Keeps the newest `length` entries. Any thread; for what happens seldom, since it takes a lock.
template <class Entry, std::size_t length = 100>
class journal {
public:
  struct dated {
    std::chrono::system_clock::time_point when;
    Entry what;
  };

  void note(Entry what) {
    const auto now = std::chrono::system_clock::now();
    const std::lock_guard guard{mutex_};
    entries_.push_front({now, std::move(what)});
    if (entries_.size() > length)
      entries_.pop_back();
  }
  /// The newest first.
  std::vector<dated> entries() const {
    const std::lock_guard guard{mutex_};
    return {entries_.begin(), entries_.end()};
  }

private:
  mutable std::mutex mutex_;
  std::deque<dated> entries_;
};

} // namespace busbar::monitoring
