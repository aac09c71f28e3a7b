// cluster/interrupt.hpp: ends every wait of a thread that is to be joined.
#pragma once

#include <chrono>

namespace busbar::cluster {

/// A descriptor that becomes readable once and stays so: polled beside what is waited for.
/// Any thread.
class interrupt {
public:
  interrupt();
  ~interrupt();
  interrupt(const interrupt&) = delete;
  interrupt& operator=(const interrupt&) = delete;

  void raise() noexcept;
  bool raised() const noexcept;
  /// True as soon as it is raised, false at that time.
  bool wait_until(std::chrono::steady_clock::time_point until) const noexcept;
  int descriptor() const noexcept { return fd_; }

private:
  int fd_;
};

enum class woken_by { time, descriptor, interrupt };

/// Waits until `descriptor` (or -1) has one of `events` (poll(2)) or an error, `stop` (or nullptr)
/// is raised, or it is that time.
woken_by wait_for(int descriptor, short events, std::chrono::steady_clock::time_point until,
                  const interrupt* stop) noexcept;

} // namespace busbar::cluster
