// Clients that send one request and then wait: event streams, and long polls that are only held.
#include "bench/load/delivery_board.hpp"
#include "bench/load/pattern.hpp"
#include "bench/load/swarm.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

namespace busbar::bench {
namespace {

std::string request_for(const swarm_options& options, std::string_view accept) {
  return "GET " + options.path + " HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: " + std::string{accept} +
         "\r\n\r\n";
}

class stream_swarm final : public swarm {
public:
  static result<void> run_all(const delivery_options& options) {
    if (options.deliveries == 0)
      return fail(errc::invalid_argument, "needs deliveries to wait for");
    return make_loop(options.clients).and_then([&options](socket_loop&& loop) {
      return stream_swarm{options, std::move(loop)}.run();
    });
  }

private:
  struct client {
    bool streaming = false;
    pattern::progress progress = 0; // in the head: its end; then: the up-to-date message
    std::uint32_t deliveries = 0;
  };

  stream_swarm(const delivery_options& options, socket_loop loop)
      : swarm{options.clients, std::move(loop)}, request_{request_for(options.clients,
                                                                      "text/event-stream")},
        clients_(options.clients.count), board_{options} {}

  result<void> connected(std::size_t index) override { return send(index, request_); }

  result<void> received(std::size_t index, std::string_view bytes) override {
    client& here = clients_[index];
    if (!here.streaming) {
      if (here.progress == 0 && !bytes.starts_with("HTTP/1.1 200 "))
        return fail(errc::unavailable,
                    "the server refuses a client: " + std::string{bytes.substr(0, 600)});
      std::size_t body = std::string_view::npos;
      head_end_.count(here.progress, bytes,
                      [&body](std::size_t end) { body = std::min(body, end); });
      if (body == std::string_view::npos)
        return {};
      here = {.streaming = true};
      if (opened())
        board_.say_ready(seconds_since_begin());
      bytes.remove_prefix(body);
    }
    if (index == 0 && here.deliveries == 0)
      board_.save(bytes);
    board_.count_bytes(bytes.size());
    const std::size_t ends = delivery_end_.count(here.progress, bytes);
    for (std::size_t i = 0; i < ends; ++i)
      if (auto counted = board_.delivered(++here.deliveries); !counted)
        return counted;
    if (board_.complete())
      wait_without_limit();
    return {};
  }

  bool finished() const override { return false; }
  result<void> stopped() override { return board_.finish(); }

  const std::string request_;
  std::vector<client> clients_;
  const pattern head_end_{"\r\n\r\n"};
  const pattern delivery_end_{R"("up-to-date")"};
  delivery_board board_;
};

class parked_swarm final : public swarm {
public:
  static result<void> run_all(const swarm_options& options) {
    return make_loop(options).and_then([&options](socket_loop&& loop) {
      return parked_swarm{options, std::move(loop)}.run();
    });
  }

private:
  parked_swarm(const swarm_options& options, socket_loop loop)
      : swarm{options, std::move(loop)}, request_{request_for(options, "application/json")} {}

  result<void> connected(std::size_t index) override {
    if (auto sent = send(index, request_); !sent)
      return sent;
    if (!opened())
      return {};
    std::printf("parked clients=%zu seconds=%.3f\n", open_clients(), seconds_since_begin());
    std::fflush(stdout);
    wait_without_limit();
    return {};
  }
  result<void> received(std::size_t, std::string_view) override {
    ++answered_;
    return {};
  }
  bool finished() const override { return false; }
  result<void> stopped() override {
    std::printf("held clients=%zu answered=%zu\n", open_clients(), answered_);
    if (open_clients() < options().count || answered_ > 0)
      return fail(errc::unavailable, "not all clients stayed parked");
    return {};
  }

  const std::string request_;
  std::size_t answered_ = 0;
};

} // namespace

result<void> run_sse_clients(const delivery_options& options) {
  return stream_swarm::run_all(options);
}

result<void> run_parked_clients(const swarm_options& options) {
  return parked_swarm::run_all(options);
}

} // namespace busbar::bench
