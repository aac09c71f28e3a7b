#include "bench/sockets.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace busbar::bench {
namespace {

constexpr std::uint32_t loopback = 0x7f000001; // 127.0.0.1
constexpr std::size_t source_addresses = 64;   // 127.0.0.2 and up

sockaddr_in address_of(std::uint32_t host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(host);
  address.sin_port = htons(port);
  return address;
}

const sockaddr* generic(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

result<void> set_option(int fd, int level, int name, int value) {
  if (::setsockopt(fd, level, name, &value, sizeof value) != 0)
    return fail(system_error("setsockopt"));
  return {};
}

} // namespace

void unique_fd::reset() noexcept {
  if (fd_ >= 0)
    ::close(std::exchange(fd_, -1));
}

std::int64_t wall_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

error system_error(const std::string& doing) {
  return {errc::unavailable, doing + ": " + std::strerror(errno)};
}

result<void> raise_descriptor_limit(std::size_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return fail(system_error("getrlimit"));
  if (limit.rlim_cur >= wanted)
    return {};
  const rlim_t hard = limit.rlim_max;
  limit.rlim_cur = wanted;
  if (limit.rlim_max < wanted)
    limit.rlim_max = wanted; // allowed for root only
  if (::setrlimit(RLIMIT_NOFILE, &limit) == 0)
    return {};
  return fail(errc::misconfigured, "needs " + std::to_string(wanted) + " open files, but at most " +
                                       std::to_string(hard) +
                                       " are allowed: raise the limit (ulimit -Hn) and repeat");
}

result<unique_fd> listen_on_loopback(std::uint16_t port) {
  unique_fd fd{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!fd)
    return fail(system_error("socket"));
  if (auto done = set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1); !done)
    return fail(done.error());
  const sockaddr_in address = address_of(loopback, port);
  if (::bind(fd.get(), generic(address), sizeof address) != 0)
    return fail(system_error("bind port " + std::to_string(port)));
  if (::listen(fd.get(), SOMAXCONN) != 0)
    return fail(system_error("listen"));
  return fd;
}

result<unique_fd> start_connect(std::uint16_t port, std::size_t source) {
  unique_fd fd{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!fd)
    return fail(system_error("socket"));
  // The port is chosen at connect(), when the kernel knows that only the four numbers together
  // must be unique.
  if (auto done = set_option(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1); !done)
    return fail(done.error());
  const auto host = static_cast<std::uint32_t>(loopback + 1 + source % source_addresses);
  const sockaddr_in from = address_of(host, 0);
  if (::bind(fd.get(), generic(from), sizeof from) != 0)
    return fail(system_error("bind a source address"));
  const sockaddr_in to = address_of(loopback, port);
  if (::connect(fd.get(), generic(to), sizeof to) != 0 && errno != EINPROGRESS)
    return fail(system_error("connect to port " + std::to_string(port)));
  return fd;
}

result<unique_fd> connect_blocking(std::uint16_t port, int patience_s) {
  unique_fd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd)
    return fail(system_error("socket"));
  const timeval patience{patience_s, 0};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
      ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0)
    return fail(system_error("setsockopt"));
  if (auto done = set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1); !done)
    return fail(done.error());
  const sockaddr_in to = address_of(loopback, port);
  if (::connect(fd.get(), generic(to), sizeof to) != 0)
    return fail(system_error("connect to port " + std::to_string(port)));
  return fd;
}

} // namespace busbar::bench
