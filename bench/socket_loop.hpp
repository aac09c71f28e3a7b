// bench/socket_loop.hpp: the epoll loop that the load generators and the bare comparator share:
// thousands of sockets, and signals, in one thread.
#pragma once

#include "base/result.hpp"
#include "bench/sockets.hpp"

#include <sys/epoll.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace busbar::bench {

/// What has happened: either to a watched socket or, if `signal` is not 0, to this process.
struct loop_event {
  std::uint64_t token = 0; ///< As given to watch().
  std::uint32_t events = 0;
  int signal = 0;
};

/// Life: start() → watch(), wait() … → destructor. One thread.
class socket_loop {
public:
  /// Makes room for `sockets` descriptors, and takes these signals out of their usual course:
  /// wait() tells of them.
  static result<socket_loop> start(std::size_t sockets, std::initializer_list<int> signals);

  /// Level-triggered. A closed descriptor leaves by itself.
  result<void> watch(int fd, std::uint64_t token, std::uint32_t events);
  result<void> change(int fd, std::uint64_t token, std::uint32_t events);

  /// What has happened by now, or what happens first; nothing if that takes longer than
  /// `timeout_ms` (negative: it waits for ever). Valid until the next call.
  result<std::span<const loop_event>> wait(int timeout_ms);

private:
  socket_loop(unique_fd epoll, unique_fd signals)
      : epoll_{std::move(epoll)}, signals_{std::move(signals)} {}
  result<void> control(int operation, int fd, std::uint64_t token, std::uint32_t events);
  int take_signal();

  unique_fd epoll_;
  unique_fd signals_;
  std::array<epoll_event, 512> ready_{};
  std::array<loop_event, 512> events_{};
};

} // namespace busbar::bench
