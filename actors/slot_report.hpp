// actors/slot_report.hpp: what PostgreSQL said last of our slot.
#pragma once

#include "postgres/inspection.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <utility>

namespace busbar {

/// Written by the RECONCILER, read by those who show it. Any thread.
class slot_report {
public:
  using clock = std::chrono::steady_clock;

  struct look {
    std::optional<postgres::slot_inspection> slot; ///< Nullopt: there is none.
    std::chrono::system_clock::time_point when{};
  };

  void note(std::optional<postgres::slot_inspection> slot) {
    const std::lock_guard guard{mutex_};
    last_ = look{std::move(slot), std::chrono::system_clock::now()};
  }
  /// Nullopt until PostgreSQL has said something. Who asks is expected to ask again.
  std::optional<look> last() {
    asked_.store(clock::now().time_since_epoch().count(), std::memory_order_relaxed);
    const std::lock_guard guard{mutex_};
    return last_;
  }
  /// Whether somebody has asked of late: what nobody reads, nobody needs to look up.
  bool is_wanted() const noexcept {
    constexpr std::chrono::minutes interest{5};
    const clock::time_point asked{clock::duration{asked_.load(std::memory_order_relaxed)}};
    return clock::now() - asked < interest;
  }

private:
  mutable std::mutex mutex_;
  std::optional<look> last_;
  std::atomic<clock::rep> asked_{clock::now().time_since_epoch().count()};
};

} // namespace busbar
