// Thousands of clients in one thread and one epoll loop. Each keeps a descriptor and a few bytes of
// progress, so that the load generator stays cheap beside the server.
#include "bench/load/commands.hpp"
#include "bench/load/pattern.hpp"
#include "bench/sockets.hpp"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <limits>

namespace busbar::bench {
namespace {

constexpr std::size_t in_flight_max = 64; ///< Connections being opened at a time: no SYN storm.
constexpr std::size_t descriptors_beside_clients = 64;
constexpr std::uint64_t signal_token = std::numeric_limits<std::uint64_t>::max();

enum class stage : std::uint8_t { idle, connecting, waiting, streaming };

struct client {
  unique_fd connection;
  stage at = stage::idle;
  pattern::progress progress = 0; ///< In the head: its end; in the stream: the up-to-date message.
  std::uint32_t deliveries = 0;
};

/// Life: start() → run(). One thread. SSE and parked clients differ in two places: when the next
/// one may be opened, and what an answer means.
class swarm {
public:
  enum class kind { sse, parked };
  static result<swarm> start(kind what, const swarm_options& options);
  result<void> run();

private:
  swarm(kind what, swarm_options options, unique_fd epoll, unique_fd signals)
      : what_{what}, options_{std::move(options)}, epoll_{std::move(epoll)}, signals_{std::move(
                                                                                 signals)},
        clients_(options_.count), reached_(options_.deliveries + 1, 0) {
    request_ = "GET " + options_.path + " HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: " +
               (what == kind::sse ? "text/event-stream" : "application/json") + "\r\n\r\n";
  }

  result<void> open_more();
  result<void> open(std::size_t index);
  result<void> handle(std::size_t index);
  result<void> send_request(std::size_t index);
  result<void> read(std::size_t index);
  result<void> take_stream(client& from, std::size_t index, std::string_view bytes);
  void opened();
  result<void> watch(int fd, std::uint64_t token, std::uint32_t events, int operation);
  result<void> finish_parked() const;
  bool complete() const {
    return what_ == kind::sse && reached_[options_.deliveries] == options_.count && ready_;
  }

  kind what_;
  swarm_options options_;
  unique_fd epoll_;
  unique_fd signals_;
  std::vector<client> clients_;
  std::vector<std::size_t> reached_; ///< [i]: how many clients have got i deliveries.
  std::string request_;
  std::string saved_; ///< What client 0 has received of its first delivery.
  const pattern head_end_{"\r\n\r\n"};
  const pattern delivery_end_{R"("up-to-date")"};
  std::size_t next_ = 0;
  std::size_t in_flight_ = 0;
  std::size_t open_ = 0;
  std::size_t answered_ = 0;
  std::uint64_t bytes_ = 0;
  std::int64_t begin_ns_ = wall_ns();
  bool ready_ = false;
};

result<swarm> swarm::start(kind what, const swarm_options& options) {
  if (options.count == 0 || (what == kind::sse && options.deliveries == 0))
    return fail(errc::invalid_argument, "needs clients, and deliveries to wait for");
  if (auto room = raise_descriptor_limit(options.count + descriptors_beside_clients); !room)
    return fail(room.error());
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  if (::sigprocmask(SIG_BLOCK, &wanted, nullptr) != 0)
    return fail(system_error("sigprocmask"));
  unique_fd signals{::signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC)};
  if (!signals)
    return fail(system_error("signalfd"));
  unique_fd epoll{::epoll_create1(EPOLL_CLOEXEC)};
  if (!epoll)
    return fail(system_error("epoll_create1"));
  swarm result{what, options, std::move(epoll), std::move(signals)};
  if (auto done = result.watch(result.signals_.get(), signal_token, EPOLLIN, EPOLL_CTL_ADD); !done)
    return fail(done.error());
  return result;
}

result<void> swarm::watch(int fd, std::uint64_t token, std::uint32_t events, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  if (::epoll_ctl(epoll_.get(), operation, fd, &event) != 0)
    return fail(system_error("epoll_ctl"));
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
  client& opening = clients_[index];
  opening.connection = std::move(*connection);
  opening.at = stage::connecting;
  ++in_flight_;
  return watch(opening.connection.get(), index, EPOLLOUT, EPOLL_CTL_ADD);
}

result<void> swarm::handle(std::size_t index) {
  return clients_[index].at == stage::connecting ? send_request(index) : read(index);
}

result<void> swarm::send_request(std::size_t index) {
  client& here = clients_[index];
  int code = 0;
  socklen_t size = sizeof code;
  if (::getsockopt(here.connection.get(), SOL_SOCKET, SO_ERROR, &code, &size) != 0 || code != 0) {
    errno = code;
    return fail(system_error("connect client " + std::to_string(index)));
  }
  const ssize_t sent =
      ::send(here.connection.get(), request_.data(), request_.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(request_.size()))
    return fail(system_error("send the request of client " + std::to_string(index)));
  here.at = stage::waiting;
  if (what_ == kind::parked)
    opened();
  return watch(here.connection.get(), index, EPOLLIN, EPOLL_CTL_MOD);
}

void swarm::opened() {
  --in_flight_;
  if (++open_ < options_.count)
    return;
  ready_ = true;
  std::printf("%s clients=%zu seconds=%.3f\n", what_ == kind::sse ? "ready" : "parked", open_,
              static_cast<double>(wall_ns() - begin_ns_) / 1e9);
  std::fflush(stdout);
}

result<void> swarm::read(std::size_t index) {
  client& here = clients_[index];
  std::array<char, 64 * 1024> buffer;
  const ssize_t got = ::recv(here.connection.get(), buffer.data(), buffer.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR))
    return {};
  if (got <= 0)
    return fail(errc::unavailable, "the server has closed client " + std::to_string(index) +
                                       " after " + std::to_string(here.deliveries) + " deliveries");
  std::string_view bytes{buffer.data(), static_cast<std::size_t>(got)};
  if (what_ == kind::parked) {
    ++answered_;
    return {};
  }
  if (here.at == stage::waiting) {
    if (here.progress == 0 && !bytes.starts_with("HTTP/1.1 200 "))
      return fail(errc::unavailable,
                  "the server refuses a client: " + std::string{bytes.substr(0, 600)});
    std::size_t body = std::string_view::npos;
    head_end_.count(here.progress, bytes, [&body](std::size_t end) { body = std::min(body, end); });
    if (body == std::string_view::npos)
      return {};
    here.at = stage::streaming;
    here.progress = 0;
    opened();
    bytes.remove_prefix(body);
  }
  return take_stream(here, index, bytes);
}

result<void> swarm::take_stream(client& from, std::size_t index, std::string_view bytes) {
  bytes_ += bytes.size();
  if (index == 0 && from.deliveries == 0)
    saved_.append(bytes);
  const std::size_t ends = delivery_end_.count(from.progress, bytes);
  for (std::size_t i = 0; i < ends; ++i) {
    if (++from.deliveries > options_.deliveries)
      return fail(errc::corrupt, "client " + std::to_string(index) + " got a delivery too many");
    if (++reached_[from.deliveries] == options_.count) {
      std::printf("delivery %u at_ns=%lld bytes=%llu\n", from.deliveries,
                  static_cast<long long>(wall_ns()), static_cast<unsigned long long>(bytes_));
      std::fflush(stdout);
    }
  }
  return {};
}

result<void> swarm::finish_parked() const {
  std::printf("held clients=%zu answered=%zu\n", open_, answered_);
  if (open_ < options_.count || answered_ > 0)
    return fail(errc::unavailable, "not all clients stayed parked");
  return {};
}

result<void> swarm::run() {
  std::array<epoll_event, 512> events;
  if (auto done = open_more(); !done)
    return done;
  while (!complete()) {
    const bool patient = ready_ && what_ == kind::parked;
    const int ready = ::epoll_wait(epoll_.get(), events.data(), events.size(),
                                   patient ? -1 : options_.patience_s * 1000);
    if (ready < 0 && errno != EINTR)
      return fail(system_error("epoll_wait"));
    if (ready == 0)
      return fail(errc::unavailable, "nothing happened for " + std::to_string(options_.patience_s) +
                                         " s; " + std::to_string(open_) + " clients are open");
    for (int i = 0; i < ready; ++i) {
      const std::uint64_t token = events[static_cast<std::size_t>(i)].data.u64;
      if (token == signal_token)
        return what_ == kind::parked ? finish_parked()
                                     : result<void>{fail(errc::unavailable, "stopped by a signal")};
      if (auto done = handle(static_cast<std::size_t>(token)); !done)
        return done;
    }
    if (auto done = open_more(); !done)
      return done;
  }
  if (!options_.delivery_file.empty()) {
    std::ofstream file{options_.delivery_file, std::ios::binary | std::ios::trunc};
    if (!(file << saved_) || !file.flush())
      return fail(errc::unavailable, "cannot write " + options_.delivery_file);
  }
  std::printf("done clients=%zu deliveries=%zu bytes=%llu\n", options_.count, options_.deliveries,
              static_cast<unsigned long long>(bytes_));
  return {};
}

result<void> run_swarm(swarm::kind what, const swarm_options& options) {
  return swarm::start(what, options).and_then([](swarm&& started) { return started.run(); });
}

} // namespace

result<void> run_sse_clients(const swarm_options& options) {
  return run_swarm(swarm::kind::sse, options);
}

result<void> run_parked_clients(const swarm_options& options) {
  return run_swarm(swarm::kind::parked, options);
}

} // namespace busbar::bench
