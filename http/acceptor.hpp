// http/acceptor.hpp: the listening socket, and how connections are dealt to the I/O threads.
#pragma once

#include "base/result.hpp"
#include "http/event_loop.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace busbar::http {

/// Lives on the loop of the first worker, which deals the sockets out in turn. One listening
/// socket, not one for each thread with SO_REUSEPORT: that would let a second server take the port
/// unnoticed, and deal long-lived streams out by chance.
class acceptor final : public io_target {
public:
  /// What to do with a new socket, which is non-blocking and without Nagle's delay.
  using receiver = std::function<void(owned_fd)>;

  /// errc::misconfigured if the address cannot be bound.
  static result<std::unique_ptr<acceptor>> bind(const std::string& address, std::uint16_t port,
                                                receiver receive);
  acceptor(owned_fd socket, std::uint16_t port, receiver receive);

  std::uint16_t port() const noexcept { return port_; }
  int fd() const noexcept { return socket_.get(); }
  void close() noexcept { socket_.reset(); }

  void on_io(std::uint32_t events) override;

private:
  void turn_one_away() noexcept;

  owned_fd socket_;
  owned_fd spare_; // given up to turn a client away when no descriptor is left
  std::uint16_t port_;
  receiver receive_;
};

} // namespace busbar::http
