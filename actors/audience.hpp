// actors/audience.hpp: who waits for which shape, over all I/O threads.
#pragma once

#include "storage/keys.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace busbar {

/// The sessions count their readers when they are asked, so that nothing is counted on the way of a
/// change. Any thread.
class audience {
public:
  using by_shape = std::unordered_map<storage::shape_id, std::size_t>;

  /// One I/O thread.
  struct listener {
    std::function<void(std::function<void()>)> post; ///< Runs a task on it.
    std::function<void(by_shape&)> count;            ///< Only there, and only while the seat is.
  };
  /// Gives the seat up when it ends, which happens on the listener's thread, or after its end.
  class seat {
  public:
    seat() = default;
    seat(seat&&) noexcept = default;
    seat& operator=(seat&&) noexcept = default;
    ~seat() { reset(); }
    void reset();

  private:
    friend class audience;
    audience* owner_ = nullptr;
    std::uint64_t number_ = 0;
    std::shared_ptr<bool> taken_;
  };

  seat join(listener who);
  /// All who wait now. A thread that does not answer in time is left out.
  by_shape count(std::chrono::milliseconds patience);

private:
  struct place {
    listener who;
    std::shared_ptr<bool> taken; ///< Read and written on the listener's thread.
  };
  void leave(std::uint64_t number);

  std::mutex mutex_;
  std::map<std::uint64_t, place> places_;
  std::uint64_t last_ = 0;
};

} // namespace busbar
