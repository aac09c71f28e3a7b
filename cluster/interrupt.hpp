// cluster/interrupt.hpp: ends every wait of a thread that is to be joined.
#pragma once

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
  int descriptor() const noexcept { return fd_; }

private:
  int fd_;
};

} // namespace busbar::cluster
