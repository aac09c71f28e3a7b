// bench/sockets.hpp: the few socket calls that the load generators and the bare comparator share.
// Loopback only, IPv4 only.
#pragma once

#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace busbar::bench {

/// Owns one file descriptor and closes it.
class unique_fd {
public:
  unique_fd() = default;
  explicit unique_fd(int fd) noexcept : fd_{fd} {}
  unique_fd(unique_fd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~unique_fd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  void reset() noexcept;

private:
  int fd_ = -1;
};

/// Wall-clock time: the shell and PostgreSQL's log speak of the same one.
std::int64_t wall_ns();

/// "doing: what errno says".
error system_error(const std::string& doing);

/// Makes room for `wanted` descriptors; the error says how many there are and how to get more.
result<void> raise_descriptor_limit(std::size_t wanted);

/// Listens on 127.0.0.1, without blocking accept().
result<unique_fd> listen_on_loopback(std::uint16_t port);

/// Starts to connect to 127.0.0.1:port without waiting. Every `source` number stands for one source
/// address of 127.0.0.0/8, so that many thousand clients do not run out of local ports.
result<unique_fd> start_connect(std::uint16_t port, std::size_t source);

/// Connects and waits for it. Reads and writes block, each for at most `patience_s`.
result<unique_fd> connect_blocking(std::uint16_t port, int patience_s);

} // namespace busbar::bench
