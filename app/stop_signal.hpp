// app/stop_signal.hpp: waits for SIGINT, SIGTERM, or a part of the process that cannot go on.
#pragma once

#include "base/result.hpp"

#include <mutex>
#include <optional>

namespace busbar::app {

/// Made by main() before the first thread, so that all threads inherit the signal mask.
class stop_signal {
public:
  stop_signal();
  ~stop_signal();
  stop_signal(const stop_signal&) = delete;
  stop_signal& operator=(const stop_signal&) = delete;

  /// The process must end, for this reason. Any thread; the first reason counts.
  void fail(const error& why) noexcept;

  /// Whether wait() would return at once.
  bool is_set() const noexcept;
  /// Blocks; the error if it was fail(), nothing if it was a signal.
  std::optional<error> wait();

private:
  int signals_;
  int failures_;
  std::mutex mutex_;
  std::optional<error> failure_;
};

} // namespace busbar::app
