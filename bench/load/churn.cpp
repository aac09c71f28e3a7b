// Shapes that come and go beside those that stand.
#include "bench/load/commands.hpp"
#include "bench/load/http_client.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <thread>

namespace busbar::bench {
namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

class churn {
public:
  explicit churn(const churn_options& options) : options_{options} {}

  /// SIGTERM and SIGINT are blocked, here and in all threads.
  result<void> run(const sigset_t& end) {
    const auto begin = clock::now();
    next_at_ = begin;
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < options_.parallel; ++i)
      threads.emplace_back([this] { work(); });
    const timespec pause{.tv_sec = 0, .tv_nsec = 50'000'000};
    while (!stop_ && ::sigtimedwait(&end, nullptr, &pause) < 0) {
    }
    stop_ = true;
    for (std::thread& thread : threads)
      thread.join();
    if (failure_)
      return fail(*failure_);
    const unsigned long long next = options_.from + taken_;
    const auto seconds = std::chrono::duration<double>(clock::now() - begin).count();
    std::sort(made_ms_.begin(), made_ms_.end());
    std::printf("changed=%zu per_second=%.3f made_p99_ms=%.3f next=%llu\n", made_ms_.size(),
                static_cast<double>(made_ms_.size()) / seconds,
                made_ms_.empty() ? 0 : made_ms_[(made_ms_.size() - 1) * 99 / 100], next);
    return {};
  }

private:
  void work() {
    http_client client{options_.port, 60};
    while (const auto number = take()) {
      const auto begin = clock::now();
      auto done = ask(client, "GET", *number, 200);
      const auto made = clock::now();
      if (done)
        done = ask(client, "DELETE", *number - options_.standing, 202);
      const std::scoped_lock lock{guard_};
      if (done) {
        made_ms_.push_back(std::chrono::duration<double, std::milli>(made - begin).count());
      } else {
        if (!failure_)
          failure_ = done.error();
        stop_ = true;
      }
    }
  }

  /// Whose turn is next, when it is; nullopt at the end.
  std::optional<std::uint64_t> take() {
    clock::time_point turn;
    std::uint64_t number = 0;
    {
      const std::scoped_lock lock{guard_};
      if (stop_)
        return std::nullopt;
      turn = std::max(next_at_, clock::now());
      next_at_ = turn + std::chrono::duration_cast<clock::duration>(1s / options_.per_second);
      number = options_.from + taken_++;
    }
    // Whoever has a number uses it, so that none is left out.
    std::this_thread::sleep_until(turn);
    return number;
  }

  result<void> ask(http_client& client, std::string_view method, std::uint64_t number,
                   int expected) {
    const auto text = std::to_string(number);
    std::string path = options_.path;
    for (auto at = path.find("{i}"); at != std::string::npos; at = path.find("{i}", at))
      path.replace(at, 3, text);
    for (int attempt = 0; attempt < 600; ++attempt) {
      const auto response = client.ask(method, path);
      if (!response)
        return fail(response.error());
      if (response->status == expected)
        return {};
      if (response->status != 503)
        return fail(errc::unavailable, std::string{method} + ' ' + path + " answered " +
                                           std::to_string(response->status) + ": " +
                                           response->body_start.substr(0, 300));
      std::this_thread::sleep_for(100ms);
    }
    return fail(errc::unavailable, std::string{method} + ' ' + path + " answers 503 for ever");
  }

  const churn_options& options_;
  std::atomic<bool> stop_{false};
  std::mutex guard_;
  clock::time_point next_at_;
  std::uint64_t taken_ = 0;
  std::vector<double> made_ms_;
  std::optional<error> failure_;
};

} // namespace

result<void> run_churn(const churn_options& options) {
  if (options.path.find("{i}") == std::string::npos || options.from < options.standing ||
      options.per_second <= 0)
    return fail(errc::invalid_argument,
                "churn: needs {i} in the path, --from >= --standing and a pace");
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  sigaddset(&end, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &end, nullptr);
  return churn{options}.run(end);
}

} // namespace busbar::bench
