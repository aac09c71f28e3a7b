// gate/renewed.hpp: a value that one thread renews while others read it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace busbar::gate {

/// Any thread.
template <class T>
class renewed {
public:
  std::shared_ptr<const T> get() const {
    const std::lock_guard guard{mutex_};
    return value_;
  }
  /// Rises with every set(): who has the value of a version need not get() it again.
  std::uint64_t version() const noexcept { return version_.load(std::memory_order_acquire); }
  void set(std::shared_ptr<const T> value) {
    const std::lock_guard guard{mutex_};
    value_ = std::move(value);
    version_.fetch_add(1, std::memory_order_release);
  }

private:
  mutable std::mutex mutex_;
  std::shared_ptr<const T> value_;
  std::atomic<std::uint64_t> version_{0};
};

/// One thread's copy of it.
template <class T>
class copy_of {
public:
  explicit copy_of(const renewed<T>& source) : source_{source} {}
  /// Null until there is one.
  const std::shared_ptr<const T>& get() {
    if (const auto version = source_.version(); version != version_) {
      version_ = version;
      value_ = source_.get();
    }
    return value_;
  }
  std::uint64_t version() const noexcept { return version_; }

private:
  const renewed<T>& source_;
  std::shared_ptr<const T> value_;
  std::uint64_t version_ = 0;
};

} // namespace busbar::gate
