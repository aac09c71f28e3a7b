// The bare comparator: one thread, epoll, no HTTP to speak of. What it costs to hold a socket or to
// write a few bytes to thousands of them is what the kernel asks of every server.
//
//   busbar_bare_epoll --port P --mode hold
//   busbar_bare_epoll --port P --mode sse --payload FILE      (or --bytes N)
//
// `hold` accepts connections, reads what comes and never answers. `sse` answers each request with
// an event-stream head; SIGUSR1 then makes it write the payload once to every such connection, in
// one sweep. Both say "listening" when they are, and end at SIGTERM or SIGINT.
#include "bench/sockets.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::bench {
namespace {

constexpr std::size_t sockets_max = 20'000;
constexpr std::string_view stream_head = "HTTP/1.1 200 OK\r\n"
                                         "content-type: text/event-stream\r\n"
                                         "cache-control: no-cache\r\n\r\n";

struct bare_settings {
  std::uint16_t port = 0;
  bool answers = false; ///< Mode sse.
  std::string payload;
};

/// Life: start() → run() until a signal ends it. One thread.
class bare_server {
public:
  static result<bare_server> start(bare_settings settings);
  result<void> run();

private:
  bare_server(bare_settings settings, unique_fd listener, unique_fd signals, unique_fd epoll)
      : settings_{std::move(settings)}, listener_{std::move(listener)},
        signals_{std::move(signals)}, epoll_{std::move(epoll)} {}

  result<void> watch(int fd);
  result<void> accept_all();
  result<void> read_from(int fd);
  result<bool> take_signal();
  void sweep();

  bare_settings settings_;
  unique_fd listener_;
  unique_fd signals_;
  unique_fd epoll_;
  std::vector<unique_fd> connections_; ///< Indexed by descriptor.
  std::vector<int> readers_;           ///< Connections that have been answered with a head.
  std::size_t sweeps_ = 0;
};

result<bare_server> bare_server::start(bare_settings settings) {
  if (auto room = raise_descriptor_limit(sockets_max); !room)
    return fail(room.error());
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int number : {SIGUSR1, SIGTERM, SIGINT})
    sigaddset(&wanted, number);
  if (::sigprocmask(SIG_BLOCK, &wanted, nullptr) != 0)
    return fail(system_error("sigprocmask"));
  unique_fd signals{::signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC)};
  if (!signals)
    return fail(system_error("signalfd"));
  unique_fd epoll{::epoll_create1(EPOLL_CLOEXEC)};
  if (!epoll)
    return fail(system_error("epoll_create1"));
  auto listener = listen_on_loopback(settings.port);
  if (!listener)
    return fail(listener.error());
  bare_server server{std::move(settings), std::move(*listener), std::move(signals),
                     std::move(epoll)};
  for (const int fd : {server.listener_.get(), server.signals_.get()})
    if (auto watched = server.watch(fd); !watched)
      return fail(watched.error());
  return server;
}

result<void> bare_server::watch(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return fail(system_error("epoll_ctl"));
  return {};
}

result<void> bare_server::accept_all() {
  for (;;) {
    unique_fd fd{::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (!fd) {
      if (errno == EAGAIN || errno == ECONNABORTED)
        return {};
      return fail(system_error("accept"));
    }
    const int on = 1;
    if (::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
      return fail(system_error("setsockopt"));
    if (auto watched = watch(fd.get()); !watched)
      return watched;
    const auto index = static_cast<std::size_t>(fd.get());
    if (connections_.size() <= index)
      connections_.resize(index + 1);
    connections_[index] = std::move(fd);
  }
}

// A request of a benchmark client fits into one segment, so the end of what is read tells whether
// the request is complete; nothing needs to be kept per connection.
result<void> bare_server::read_from(int fd) {
  std::array<char, 16'384> buffer;
  const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
  if (got > 0) {
    const std::string_view request{buffer.data(), static_cast<std::size_t>(got)};
    if (!settings_.answers || !request.ends_with("\r\n\r\n"))
      return {};
    if (::send(fd, stream_head.data(), stream_head.size(), MSG_NOSIGNAL) < 0)
      return fail(system_error("send a head"));
    readers_.push_back(fd);
    return {};
  }
  if (got < 0 && errno == EAGAIN)
    return {};
  std::erase(readers_, fd);
  connections_[static_cast<std::size_t>(fd)].reset();
  return {};
}

void bare_server::sweep() {
  const std::int64_t begin = wall_ns();
  std::size_t written = 0;
  for (const int fd : readers_)
    if (::send(fd, settings_.payload.data(), settings_.payload.size(), MSG_NOSIGNAL) ==
        static_cast<ssize_t>(settings_.payload.size()))
      ++written;
  std::printf("sweep %zu sockets=%zu begin_ns=%lld ns=%lld\n", ++sweeps_, written,
              static_cast<long long>(begin), static_cast<long long>(wall_ns() - begin));
  std::fflush(stdout);
}

result<bool> bare_server::take_signal() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info))
    return fail(system_error("read a signal"));
  if (info.ssi_signo != SIGUSR1)
    return false;
  sweep();
  return true;
}

result<void> bare_server::run() {
  std::printf("listening on %u\n", static_cast<unsigned>(settings_.port));
  std::fflush(stdout);
  std::array<epoll_event, 256> events;
  for (;;) {
    const int ready = ::epoll_wait(epoll_.get(), events.data(), events.size(), -1);
    if (ready < 0 && errno != EINTR)
      return fail(system_error("epoll_wait"));
    for (int i = 0; i < ready; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      result<void> done;
      if (fd == listener_.get()) {
        done = accept_all();
      } else if (fd == signals_.get()) {
        auto go_on = take_signal();
        if (!go_on)
          return fail(go_on.error());
        if (!*go_on)
          return {};
      } else {
        done = read_from(fd);
      }
      if (!done)
        return done;
    }
  }
}

result<bare_settings> parse(const std::vector<std::string>& arguments) {
  bare_settings settings;
  std::string mode;
  for (std::size_t i = 0; i + 1 < arguments.size(); i += 2) {
    const std::string& name = arguments[i];
    const std::string& value = arguments[i + 1];
    std::size_t number = 0;
    const auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), number);
    const bool is_number = failure == std::errc{} && end == value.data() + value.size();
    if (name == "--port" && is_number && number > 0 && number < 65'536) {
      settings.port = static_cast<std::uint16_t>(number);
    } else if (name == "--mode" && (value == "sse" || value == "hold")) {
      mode = value;
    } else if (name == "--bytes" && is_number && number > 0) {
      settings.payload.assign(number, 'x');
    } else if (name == "--payload") {
      std::ifstream file{value, std::ios::binary};
      std::ostringstream content;
      if (!file || !(content << file.rdbuf()))
        return fail(errc::invalid_argument, "cannot read the payload from " + value);
      settings.payload = std::move(content).str();
    } else {
      return fail(errc::invalid_argument, "cannot use " + name + " " + value);
    }
  }
  settings.answers = mode == "sse";
  if (arguments.size() % 2 != 0 || settings.port == 0 || mode.empty() ||
      (settings.answers && settings.payload.empty()))
    return fail(errc::invalid_argument, "usage: busbar_bare_epoll --port P --mode hold | "
                                        "--port P --mode sse (--payload FILE | --bytes N)");
  return settings;
}

} // namespace
} // namespace busbar::bench

int main(int argc, char** argv) {
  namespace bench = busbar::bench;
  const auto serve = [](bench::bare_settings settings) -> busbar::result<void> {
    return bench::bare_server::start(std::move(settings)).and_then([](bench::bare_server&& server) {
      return server.run();
    });
  };
  const auto done = bench::parse({argv + 1, argv + argc}).and_then(serve);
  if (done)
    return 0;
  std::fprintf(stderr, "busbar_bare_epoll: %s\n", done.error().message.c_str());
  return 1;
}
