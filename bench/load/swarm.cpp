#include "bench/load/swarm.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <string>

namespace busbar::bench {
namespace {

constexpr std::size_t in_flight_max = 64; ///< Connections being opened at a time: no SYN storm.

} // namespace

swarm::swarm(const swarm_options& options, socket_loop loop)
    : options_{options}, loop_{std::move(loop)}, connections_(options.count),
      connecting_(options.count, true) {}

result<socket_loop> swarm::make_loop(const swarm_options& options) {
  if (options.count == 0)
    return fail(errc::invalid_argument, "needs clients");
  return socket_loop::start(options.count, {SIGTERM, SIGINT});
}

result<void> swarm::run() {
  if (auto done = open_more(); !done)
    return done;
  while (!finished()) {
    const auto events = loop_.wait(patient_ ? -1 : options_.patience_s * 1000);
    if (!events)
      return fail(events.error());
    if (events->empty())
      return fail(errc::unavailable, "nothing happened for " + std::to_string(options_.patience_s) +
                                         " s; " + std::to_string(open_) + " clients are open");
    for (const auto& event : *events) {
      if (event.signal != 0)
        return stopped();
      if (auto done = handle(event); !done)
        return done;
    }
    if (auto done = open_more(); !done)
      return done;
  }
  return {};
}

result<void> swarm::open_more() {
  while (next_ < options_.count && in_flight_ < in_flight_max)
    if (auto done = open(next_++); !done)
      return done;
  return {};
}

result<void> swarm::open(std::size_t index) {
  auto connection = start_connect(options_.port, index);
  if (!connection)
    return fail(connection.error());
  if (options_.reset) {
    const linger at_once{1, 0};
    if (::setsockopt(connection->get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) != 0)
      return fail(system_error("setsockopt"));
  }
  connections_[index] = std::move(*connection);
  ++in_flight_;
  return loop_.watch(connections_[index].get(), index, EPOLLOUT);
}

bool swarm::opened() {
  --in_flight_;
  return ++open_ == options_.count;
}

result<void> swarm::handle(const loop_event& event) {
  const auto index = static_cast<std::size_t>(event.token);
  if (connecting_[index])
    return finish_connect(index);
  if (!connections_[index])
    return {}; // hung up in this very turn
  const ssize_t got = ::recv(connections_[index].get(), buffer_.data(), buffer_.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR))
    return {};
  if (got <= 0)
    return fail(errc::unavailable, "the server has closed client " + std::to_string(index));
  return received(index, {buffer_.data(), static_cast<std::size_t>(got)});
}

result<void> swarm::finish_connect(std::size_t index) {
  const int fd = connections_[index].get();
  int code = 0;
  socklen_t size = sizeof code;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) != 0 || code != 0) {
    errno = code;
    return fail(system_error("connect client " + std::to_string(index)));
  }
  connecting_[index] = false;
  if (auto done = loop_.change(fd, index, EPOLLIN); !done)
    return done;
  return connected(index);
}

result<void> swarm::send(std::size_t index, std::string_view request) {
  const ssize_t sent =
      ::send(connections_[index].get(), request.data(), request.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(request.size()))
    return fail(system_error("send a request of client " + std::to_string(index)));
  return {};
}

} // namespace busbar::bench
