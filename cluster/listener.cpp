#include "cluster/listener.hpp"

#include "cluster/roster.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace busbar::cluster {
namespace {

using std::chrono::steady_clock;
constexpr int backlog = 64;
constexpr std::chrono::milliseconds pause{100};

struct opened {
  int fd = -1;
  int number = 0; ///< errno, if it is not open.
};

opened open_at(const sockaddr* address, socklen_t length, bool also_v4) {
  const int fd =
      ::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0)
    return {-1, errno};
  const int yes = 1;
  const int only_v6 = also_v4 ? 0 : 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (address->sa_family == AF_INET6)
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof only_v6);
  if (::bind(fd, address, length) == 0 && ::listen(fd, backlog) == 0)
    return {fd, 0};
  const int number = errno;
  ::close(fd);
  return {-1, number};
}

opened open_everywhere(std::uint16_t port) {
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  const auto both = open_at(reinterpret_cast<const sockaddr*>(&v6), sizeof v6, true);
  if (both.fd >= 0 || both.number != EAFNOSUPPORT)
    return both;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  return open_at(reinterpret_cast<const sockaddr*>(&v4), sizeof v4, false);
}

/// At the address itself if it is a number of this machine. A name may come to mean another number
/// while we run, and a number may belong to what forwards to us: then at all of the machine's.
opened open_port(const host_port& where) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(where.host.c_str(), where.port.c_str(), &hints, &found) == 0) {
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> address{found, &::freeaddrinfo};
    const auto there = open_at(address->ai_addr, address->ai_addrlen, false);
    if (there.fd >= 0 || there.number != EADDRNOTAVAIL)
      return there;
  }
  return open_everywhere(static_cast<std::uint16_t>(std::stoul(where.port)));
}

} // namespace

result<std::unique_ptr<listener>>
listener::start(listener_settings settings, tls_identity identity,
                std::function<void(std::unique_ptr<link>)> on_link) {
  const auto where = split_address(settings.address);
  if (!where)
    return fail(where.error());
  const auto port = open_port(*where);
  if (port.fd < 0)
    return fail(errc::misconfigured,
                "listen at BUSBAR_CLUSTER_ADDRESS " + settings.address + ": " +
                    std::error_code{port.number, std::generic_category()}.message(),
                "BUSBAR_CLUSTER_ADDRESS");
  return std::unique_ptr<listener>{
      new listener{std::move(settings), std::move(identity), std::move(on_link), port.fd}};
}

listener::listener(listener_settings settings, tls_identity identity,
                   std::function<void(std::unique_ptr<link>)> on_link, int fd)
    : settings_{std::move(settings)}, identity_{std::move(identity)}, on_link_{std::move(on_link)},
      fd_{fd}, acceptor_{[this] { accept_all(); }} {}

listener::~listener() {
  stop();
  ::close(fd_);
}

void listener::stop() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    for (auto& one : workers_)
      if (const auto socket = one.socket.lock())
        socket->shut();
  }
  stop_.raise();
  if (acceptor_.joinable())
    acceptor_.join();
  for (auto& one : workers_) // the acceptor is gone: nobody changes the list
    if (one.thread.joinable())
      one.thread.join();
}

void listener::accept_all() {
  while (wait_for(fd_, POLLIN, deadline::max(), &stop_) != woken_by::interrupt) {
    const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
      take(fd);
    else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
      stop_.wait_until(steady_clock::now() + pause); // no descriptors: who waits, waits
  }
}

void listener::take(int fd) {
  auto socket = std::make_shared<link_socket>(fd);
  reap();
  const std::lock_guard lock{mutex_};
  const auto shaking =
      std::ranges::count_if(workers_, [](const worker& one) { return one.shaking && !one.done; });
  if (stopping_ || workers_.size() >= settings_.links_max ||
      static_cast<std::size_t>(shaking) >= settings_.handshakes_max)
    return; // closes it
  auto& self = workers_.emplace_back();
  self.socket = socket;
  try {
    self.thread = std::thread{[this, &self, socket]() mutable { serve(self, std::move(socket)); }};
  } catch (const std::system_error&) { // no thread
    workers_.pop_back();
  }
}

void listener::serve(worker& self, std::shared_ptr<link_socket> socket) {
  auto shaken =
      link::answer(identity_, std::move(socket), steady_clock::now() + settings_.handshake_time);
  {
    const std::lock_guard lock{mutex_};
    self.shaking = false;
  }
  if (shaken)
    on_link_(std::move(*shaken));
  const std::lock_guard lock{mutex_};
  self.done = true;
}

void listener::reap() {
  std::list<worker> finished;
  {
    const std::lock_guard lock{mutex_};
    for (auto one = workers_.begin(); one != workers_.end();) {
      const auto next = std::next(one);
      if (one->done)
        finished.splice(finished.end(), workers_, one);
      one = next;
    }
  }
  for (auto& one : finished)
    one.thread.join();
}

} // namespace busbar::cluster
