#include "bench/socket_loop.hpp"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <limits>

namespace busbar::bench {
namespace {

constexpr std::uint64_t signal_token = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t other_descriptors = 64; // standard streams, epoll, a listener …

} // namespace

result<socket_loop> socket_loop::start(std::size_t sockets, std::initializer_list<int> signals) {
  if (auto room = raise_descriptor_limit(sockets + other_descriptors); !room)
    return fail(room.error());
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int number : signals)
    sigaddset(&wanted, number);
  if (::sigprocmask(SIG_BLOCK, &wanted, nullptr) != 0)
    return fail(system_error("sigprocmask"));
  unique_fd signal_fd{::signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC)};
  if (!signal_fd)
    return fail(system_error("signalfd"));
  unique_fd epoll{::epoll_create1(EPOLL_CLOEXEC)};
  if (!epoll)
    return fail(system_error("epoll_create1"));
  socket_loop loop{std::move(epoll), std::move(signal_fd)};
  if (auto watched = loop.watch(loop.signals_.get(), signal_token, EPOLLIN); !watched)
    return fail(watched.error());
  return loop;
}

result<void> socket_loop::watch(int fd, std::uint64_t token, std::uint32_t events) {
  return control(EPOLL_CTL_ADD, fd, token, events);
}

result<void> socket_loop::change(int fd, std::uint64_t token, std::uint32_t events) {
  return control(EPOLL_CTL_MOD, fd, token, events);
}

result<void> socket_loop::control(int operation, int fd, std::uint64_t token,
                                  std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  if (::epoll_ctl(epoll_.get(), operation, fd, &event) != 0)
    return fail(system_error("epoll_ctl"));
  return {};
}

/// 0 if it has been taken already.
int socket_loop::take_signal() {
  signalfd_siginfo info{};
  const bool taken =
      ::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info);
  return taken ? static_cast<int>(info.ssi_signo) : 0;
}

result<std::span<const loop_event>> socket_loop::wait(int timeout_ms) {
  int ready = 0;
  do
    ready = ::epoll_wait(epoll_.get(), ready_.data(), static_cast<int>(ready_.size()), timeout_ms);
  while (ready < 0 && errno == EINTR);
  if (ready < 0)
    return fail(system_error("epoll_wait"));
  std::size_t count = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(ready); ++i) {
    const auto& event = ready_[i];
    if (event.data.u64 != signal_token)
      events_[count++] = {event.data.u64, event.events, 0};
    else if (const int signal = take_signal(); signal != 0)
      events_[count++] = {0, 0, signal};
  }
  return std::span<const loop_event>{events_.data(), count};
}

} // namespace busbar::bench
