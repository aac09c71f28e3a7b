#include "http/acceptor.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace busbar::http {

namespace {

constexpr int accepts_per_turn = 64;

struct free_addresses {
  void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

owned_fd spare_descriptor() noexcept {
  return owned_fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
}

std::uint16_t bound_port(int fd) noexcept {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    return 0;
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                           : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
}

} // namespace

result<std::unique_ptr<acceptor>> acceptor::bind(const std::string& address, std::uint16_t port,
                                                 receiver receive) {
  const auto where = address + " port " + std::to_string(port);
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int failed =
          ::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &wanted, &found);
      failed != 0)
    return fail(errc::misconfigured, "cannot listen on " + where + ": " + ::gai_strerror(failed));
  const std::unique_ptr<addrinfo, free_addresses> addresses{found};

  owned_fd socket{::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  const int on = 1;
  if (socket.get() < 0 ||
      ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(socket.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(socket.get(), 4096) != 0)
    return fail(errc::misconfigured, "cannot listen on " + where + ": " + std::strerror(errno));
  const auto actual = bound_port(socket.get());
  return std::make_unique<acceptor>(std::move(socket), actual, std::move(receive));
}

acceptor::acceptor(owned_fd socket, std::uint16_t port, receiver receive)
    : socket_{std::move(socket)}, spare_{spare_descriptor()}, port_{port}, receive_{std::move(
                                                                               receive)} {}

void acceptor::on_io(std::uint32_t) {
  for (int i = 0; i < accepts_per_turn && socket_.get() >= 0; ++i) {
    owned_fd client{::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (client.get() < 0) {
      if (errno == EMFILE || errno == ENFILE)
        turn_one_away();
      return;
    }
    const int on = 1;
    ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    receive_(std::move(client));
  }
}

/// Without this, the connection we cannot accept would wake us again and again.
void acceptor::turn_one_away() noexcept {
  spdlog::warn("http: out of file descriptors, a client was turned away");
  spare_.reset();
  owned_fd{::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)}.reset();
  spare_ = spare_descriptor();
}

} // namespace busbar::http
