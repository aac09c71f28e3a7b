// http/admission.hpp: how many shape requests may be worked on at once (spec shape-protocol 2).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace busbar::http {

enum class admission_class : std::uint8_t { none, initial, existing };

/// Shared by all I/O threads. A request counts from its head, or its body, until its answer is
/// written; one that merely waits for news (long poll, SSE) costs no work and gives its place back.
class admission {
public:
  admission(std::size_t initial_max, std::size_t existing_max)
      : initial_{initial_max}, existing_{existing_max} {}

  bool enter(admission_class which) noexcept {
    auto& room = room_of(which);
    if (room.used.fetch_add(1, std::memory_order_relaxed) < room.limit)
      return true;
    room.used.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  void leave(admission_class which) noexcept {
    room_of(which).used.fetch_sub(1, std::memory_order_relaxed);
  }
  std::size_t used(admission_class which) noexcept {
    return room_of(which).used.load(std::memory_order_relaxed);
  }

private:
  struct room {
    explicit room(std::size_t limit) : limit{limit} {}
    const std::size_t limit;
    std::atomic<std::size_t> used{0};
  };
  room& room_of(admission_class which) noexcept {
    return which == admission_class::initial ? initial_ : existing_;
  }

  room initial_;
  room existing_;
};

} // namespace busbar::http
