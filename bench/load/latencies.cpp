// Event streams whose rows say when they were written: how late does each reach each client?
#include "bench/load/pattern.hpp"
#include "bench/load/swarm.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

namespace busbar::bench {
namespace {

class timed_swarm final : public swarm {
public:
  static result<void> run_all(const swarm_options& options) {
    return make_loop(options).and_then([&options](socket_loop&& loop) {
      return timed_swarm{options, std::move(loop)}.run();
    });
  }

private:
  static constexpr int digits = 19; // of a time in nanoseconds, until the year 2286

  struct client {
    bool streaming = false;
    pattern::progress head = 0;
    pattern::progress mark = 0;
    int missing = 0; ///< Digits of the time that is being read.
    std::int64_t time_ns = 0;
  };

  timed_swarm(const swarm_options& options, socket_loop loop)
      : swarm{options, std::move(loop)}, request_{"GET " + options.path +
                                                  " HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: "
                                                  "text/event-stream\r\n\r\n"},
        clients_(options.count) {}

  result<void> connected(std::size_t index) override { return send(index, request_); }

  result<void> received(std::size_t index, std::string_view bytes) override {
    client& here = clients_[index];
    if (!here.streaming) {
      if (here.head == 0 && !bytes.starts_with("HTTP/1.1 200 "))
        return fail(errc::unavailable,
                    "the server refuses a client: " + std::string{bytes.substr(0, 600)});
      if (head_end_.count(here.head, bytes) == 0)
        return {};
      here.streaming = true;
      if (opened()) {
        std::printf("ready clients=%zu\n", options().count);
        std::fflush(stdout);
        wait_without_limit();
      }
    }
    read_digits(here, bytes);
    mark_.count(here.mark, bytes, [&](std::size_t end) {
      here.missing = digits;
      here.time_ns = 0;
      read_digits(here, bytes.substr(end));
    });
    return {};
  }
  void read_digits(client& here, std::string_view bytes) {
    for (const char c : bytes) {
      if (here.missing == 0)
        return;
      here.time_ns = here.time_ns * 10 + (c - '0');
      if (--here.missing == 0)
        late_ms_.push_back(static_cast<float>(static_cast<double>(wall_ns() - here.time_ns) / 1e6));
    }
  }

  bool finished() const override { return false; }
  result<void> stopped() override {
    if (late_ms_.empty())
      return fail(errc::unavailable, "nothing came");
    std::sort(late_ms_.begin(), late_ms_.end());
    const auto at = [this](double part) {
      return static_cast<double>(
          late_ms_[static_cast<std::size_t>(part * static_cast<double>(late_ms_.size() - 1))]);
    };
    std::printf("done deliveries=%zu p50_ms=%.3f p99_ms=%.3f max_ms=%.3f\n", late_ms_.size(),
                at(0.5), at(0.99), at(1));
    return {};
  }

  const std::string request_;
  std::vector<client> clients_;
  const pattern head_end_{"\r\n\r\n"};
  const pattern mark_{R"("sent_ns":")"};
  std::vector<float> late_ms_;
};

} // namespace

result<void> run_timed_clients(const swarm_options& options) {
  return timed_swarm::run_all(options);
}

} // namespace busbar::bench
