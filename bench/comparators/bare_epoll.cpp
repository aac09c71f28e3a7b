// The bare comparator: one thread, epoll, no HTTP to speak of. What it costs to hold a socket or to
// write a few bytes to thousands of them is what the kernel asks of every server.
//
//   busbar_bare_epoll --port P --mode hold
//   busbar_bare_epoll --port P --mode sse --payload FILE      (or --bytes N)
//   busbar_bare_epoll --port P --mode poll --payload FILE
//
// `hold` accepts connections, reads what comes and never answers. `sse` answers each request with
// an event-stream head; SIGUSR1 then makes it write the payload once to every such connection, in
// one sweep. `poll` keeps each request until a sweep answers it with the payload, a whole response;
// a connection that has missed a sweep gets its answer at once. All say "listening" when they are,
// and end at SIGTERM or SIGINT.
#include "bench/socket_loop.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

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

constexpr std::size_t sockets_max = 19'000;
constexpr std::string_view stream_head = "HTTP/1.1 200 OK\r\n"
                                         "content-type: text/event-stream\r\n"
                                         "cache-control: no-cache\r\n\r\n";

enum class mode : std::uint8_t { hold, sse, poll };

struct bare_settings {
  std::uint16_t port = 0;
  mode what = mode::hold;
  std::string payload;
};

/// Life: start() → run() until a signal ends it. One thread.
class bare_server {
public:
  static result<bare_server> start(bare_settings settings);
  result<void> run();

private:
  struct connection {
    unique_fd fd;
    bool waits = false;     ///< For a sweep.
    std::size_t sweeps = 0; ///< How many it has been part of.
  };

  bare_server(bare_settings settings, unique_fd listener, socket_loop loop)
      : settings_{std::move(settings)}, listener_{std::move(listener)}, loop_{std::move(loop)} {}

  result<void> accept_all();
  result<void> read_from(connection& from);
  result<void> take_request(connection& from);
  bool deliver(connection& to);
  void sweep();

  bare_settings settings_;
  unique_fd listener_;
  socket_loop loop_;
  std::vector<connection> connections_; ///< Indexed by descriptor.
  std::size_t sweeps_ = 0;
};

result<bare_server> bare_server::start(bare_settings settings) {
  auto loop = socket_loop::start(sockets_max, {SIGUSR1, SIGTERM, SIGINT});
  if (!loop)
    return fail(loop.error());
  auto listener = listen_on_loopback(settings.port);
  if (!listener)
    return fail(listener.error());
  bare_server server{std::move(settings), std::move(*listener), std::move(*loop)};
  const int fd = server.listener_.get();
  if (auto watched = server.loop_.watch(fd, static_cast<std::uint64_t>(fd), EPOLLIN); !watched)
    return fail(watched.error());
  return server;
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
    const auto index = static_cast<std::size_t>(fd.get());
    if (auto watched = loop_.watch(fd.get(), index, EPOLLIN); !watched)
      return watched;
    if (connections_.size() <= index)
      connections_.resize(index + 1);
    connections_[index] = {.fd = std::move(fd), .waits = false, .sweeps = sweeps_};
  }
}

// A request of a benchmark client fits into one segment, so the end of what is read tells whether
// the request is complete; nothing needs to be kept per connection.
result<void> bare_server::read_from(connection& from) {
  std::array<char, 16'384> buffer;
  const ssize_t got = ::recv(from.fd.get(), buffer.data(), buffer.size(), 0);
  if (got > 0) {
    const std::string_view request{buffer.data(), static_cast<std::size_t>(got)};
    return request.ends_with("\r\n\r\n") ? take_request(from) : result<void>{};
  }
  if (got == 0 || errno != EAGAIN)
    from = {};
  return {};
}

result<void> bare_server::take_request(connection& from) {
  if (settings_.what == mode::hold)
    return {};
  if (settings_.what == mode::sse &&
      ::send(from.fd.get(), stream_head.data(), stream_head.size(), MSG_NOSIGNAL) < 0)
    return fail(system_error("send a head"));
  from.waits = true;
  if (settings_.what == mode::poll && from.sweeps < sweeps_)
    deliver(from);
  return {};
}

bool bare_server::deliver(connection& to) {
  ++to.sweeps;
  to.waits = settings_.what == mode::sse;
  return ::send(to.fd.get(), settings_.payload.data(), settings_.payload.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(settings_.payload.size());
}

void bare_server::sweep() {
  const std::int64_t begin = wall_ns();
  std::size_t written = 0;
  ++sweeps_;
  for (connection& each : connections_)
    if (each.waits && deliver(each))
      ++written;
  std::printf("sweep %zu sockets=%zu begin_ns=%lld ns=%lld\n", sweeps_, written,
              static_cast<long long>(begin), static_cast<long long>(wall_ns() - begin));
  std::fflush(stdout);
}

result<void> bare_server::run() {
  std::printf("listening on %u\n", static_cast<unsigned>(settings_.port));
  std::fflush(stdout);
  for (;;) {
    const auto events = loop_.wait(-1);
    if (!events)
      return fail(events.error());
    for (const auto& event : *events) {
      if (event.signal == SIGUSR1) {
        sweep();
        continue;
      }
      if (event.signal != 0)
        return {};
      const bool knocks = event.token == static_cast<std::uint64_t>(listener_.get());
      auto done = knocks ? accept_all() : read_from(connections_[event.token]);
      if (!done)
        return done;
    }
  }
}

result<bare_settings> parse(const std::vector<std::string>& arguments) {
  bare_settings settings;
  bool has_mode = false;
  for (std::size_t i = 0; i + 1 < arguments.size(); i += 2) {
    const std::string& name = arguments[i];
    const std::string& value = arguments[i + 1];
    std::size_t number = 0;
    const auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), number);
    const bool is_number = failure == std::errc{} && end == value.data() + value.size();
    if (name == "--port" && is_number && number > 0 && number < 65'536) {
      settings.port = static_cast<std::uint16_t>(number);
    } else if (name == "--mode" && (value == "sse" || value == "hold" || value == "poll")) {
      settings.what = value == "sse" ? mode::sse : value == "poll" ? mode::poll : mode::hold;
      has_mode = true;
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
  if (arguments.size() % 2 != 0 || settings.port == 0 || !has_mode ||
      (settings.what != mode::hold && settings.payload.empty()))
    return fail(errc::invalid_argument, "usage: busbar_bare_epoll --port P --mode hold | "
                                        "--port P --mode sse|poll (--payload FILE | --bytes N)");
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
