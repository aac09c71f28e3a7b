// Clients that send one request after the other: long polls that follow a shape, and first syncs.
#include "bench/load/delivery_board.hpp"
#include "bench/load/response_reader.hpp"
#include "bench/load/swarm.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

namespace busbar::bench {
namespace {

/// Where a client is in a shape's log, as its last response has said.
struct position {
  std::string handle;
  std::string offset;
  std::string cursor;

  void follow(const std::string& head) {
    const auto take = [&head](std::string& value, std::string_view name) {
      if (const auto given = header_in(head, name); !given.empty())
        value.assign(given);
    };
    take(handle, "electric-handle");
    take(offset, "electric-offset");
    take(cursor, "electric-cursor");
  }
};

std::string get(const std::string& path, const position& from) {
  std::string request = "GET " + path + "&offset=" + from.offset;
  if (!from.handle.empty())
    request += "&handle=" + from.handle;
  if (!from.cursor.empty())
    request += "&cursor=" + from.cursor;
  request += " HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json\r\n\r\n";
  return request;
}

error refused(const response_reader& response) {
  return {errc::unavailable, "the server refuses a client: " + response.head().substr(0, 600)};
}

class poll_swarm final : public swarm {
public:
  static result<void> run_all(const poll_options& options) {
    if (options.deliveries.deliveries == 0)
      return fail(errc::invalid_argument, "needs deliveries to wait for");
    return make_loop(options.deliveries.clients).and_then([&options](socket_loop&& loop) {
      return poll_swarm{options, std::move(loop)}.run();
    });
  }

private:
  struct client {
    position at;
    response_reader response;
    std::uint32_t answers = 0;
  };

  poll_swarm(const poll_options& options, socket_loop loop)
      : swarm{options.deliveries.clients, std::move(loop)},
        clients_(options.deliveries.clients.count), board_{options.deliveries} {
    for (client& each : clients_)
      each.at = {options.handle, options.offset, {}};
  }

  result<void> ask(std::size_t index) {
    return send(index, get(options().path, clients_[index].at));
  }

  result<void> connected(std::size_t index) override {
    if (auto sent = ask(index); !sent)
      return sent;
    if (opened())
      board_.say_ready(seconds_since_begin());
    return {};
  }

  /// An answer is counted when the next question is out, so that a cycle is a whole one.
  result<void> received(std::size_t index, std::string_view bytes) override {
    client& here = clients_[index];
    const auto used = here.response.take(bytes);
    if (!used)
      return fail(used.error());
    if (*used < bytes.size())
      return fail(errc::corrupt, "the server says more than was asked");
    board_.count_bytes(bytes.size());
    if (index == 0 && here.answers == 0)
      board_.save(bytes);
    if (!here.response.complete())
      return {};
    if (here.response.status() != 200)
      return fail(refused(here.response));
    here.at.follow(here.response.head());
    here.response.reset();
    if (auto sent = ask(index); !sent)
      return sent;
    if (auto counted = board_.delivered(++here.answers); !counted)
      return counted;
    if (board_.complete())
      wait_without_limit();
    return {};
  }

  bool finished() const override { return false; }
  result<void> stopped() override { return board_.finish(); }

  std::vector<client> clients_;
  delivery_board board_;
};

class sync_swarm final : public swarm {
public:
  static result<void> run_all(const swarm_options& options) {
    return make_loop(options).and_then([&options](socket_loop&& loop) {
      return sync_swarm{options, std::move(loop)}.run();
    });
  }

private:
  struct client {
    std::string path;
    position at{{}, "-1", {}};
    response_reader response;
    double seconds = 0; // until it was up to date; 0 if it is not yet
  };

  sync_swarm(const swarm_options& options, socket_loop loop)
      : swarm{options, std::move(loop)}, clients_(options.count) {
    const std::size_t at = options.path.find("{i}");
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      clients_[i].path = options.path;
      if (at != std::string::npos)
        clients_[i].path.replace(at, 3, std::to_string(i));
    }
  }

  /// All connect first, then all ask at once.
  result<void> connected(std::size_t) override {
    if (!opened())
      return {};
    begin_ns_ = wall_ns();
    for (std::size_t i = 0; i < clients_.size(); ++i)
      if (auto sent = send(i, get(clients_[i].path, clients_[i].at)); !sent)
        return sent;
    return {};
  }

  result<void> received(std::size_t index, std::string_view bytes) override {
    client& here = clients_[index];
    const auto used = here.response.take(bytes);
    if (!used)
      return fail(used.error());
    bytes_ += bytes.size();
    if (!here.response.complete())
      return {};
    if (here.response.status() != 200)
      return fail(refused(here.response));
    ++requests_;
    here.at.follow(here.response.head());
    const bool at_the_end = has_header(here.response.head(), "electric-up-to-date");
    here.response.reset();
    if (!at_the_end)
      return send(index, get(here.path, here.at));
    here.seconds = static_cast<double>(wall_ns() - begin_ns_) / 1e9;
    if (++up_to_date_ == clients_.size())
      report();
    return {};
  }

  void report() {
    std::vector<double> seconds;
    for (const client& each : clients_)
      seconds.push_back(each.seconds);
    std::sort(seconds.begin(), seconds.end());
    std::printf("seconds=%.6f median_s=%.6f clients=%zu requests=%zu bytes=%llu\n", seconds.back(),
                seconds[seconds.size() / 2], seconds.size(), requests_,
                static_cast<unsigned long long>(bytes_));
    std::fflush(stdout);
  }

  bool finished() const override { return up_to_date_ == clients_.size(); }
  result<void> stopped() override { return fail(errc::unavailable, "stopped by a signal"); }

  std::vector<client> clients_;
  std::int64_t begin_ns_ = 0;
  std::size_t up_to_date_ = 0;
  std::size_t requests_ = 0;
  std::uint64_t bytes_ = 0;
};

} // namespace

result<void> run_poll_clients(const poll_options& options) {
  return poll_swarm::run_all(options);
}

result<void> run_sync_clients(const swarm_options& options) {
  return sync_swarm::run_all(options);
}

} // namespace busbar::bench
