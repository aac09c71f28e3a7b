// Commands that follow one shape, or ask many questions one after the other.
#include "bench/load/commands.hpp"
#include "bench/load/http_client.hpp"
#include "bench/load/pattern.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <thread>

namespace busbar::bench {
namespace {

constexpr std::size_t requests_max = 1'000'000; ///< Of one sync: a server that never ends is wrong.
constexpr std::size_t retries_max = 600;
constexpr auto retry_pause = std::chrono::milliseconds{100};

std::string with(const std::string& path, const std::string& parameters) {
  return path + (path.find('?') == std::string::npos ? '?' : '&') + parameters;
}

error unexpected_status(const http_response& response, const std::string& path) {
  return {errc::unavailable, "GET " + path + " answered " + std::to_string(response.status) + ": " +
                                 response.body_start.substr(0, 300)};
}

/// The number at the start of `text`.
std::optional<std::uint64_t> leading_number(std::string_view text) {
  std::uint64_t number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc{})
    return std::nullopt;
  return number;
}

bool satisfied(const await_options& options, const http_response& response) {
  if (response.status != 200)
    return false;
  if (options.offset_from) {
    const auto reached = leading_number(response.header("electric-offset"));
    if (!reached || *reached < *options.offset_from)
      return false;
  }
  if (options.seen_from) {
    constexpr std::string_view member = "\"global_last_seen_lsn\":\"";
    const std::size_t at = response.body_start.rfind(member);
    if (at == std::string::npos)
      return false;
    const auto seen =
        leading_number(std::string_view{response.body_start}.substr(at + member.size()));
    if (!seen || *seen < *options.seen_from)
      return false;
  }
  return response.body_start.find(options.body_has) != std::string::npos;
}

/// Asks again for as long as the server says that it is busy.
result<void> ask_until_served(http_client& client, const std::string& path) {
  for (std::size_t attempt = 0; attempt < retries_max; ++attempt) {
    const auto response = client.get(path);
    if (!response)
      return fail(response.error());
    if (response->status == 200)
      return {};
    if (response->status != 503)
      return fail(unexpected_status(*response, path));
    std::this_thread::sleep_for(retry_pause);
  }
  return fail(errc::unavailable, "GET " + path + " answers 503 for ever");
}

} // namespace

result<void> run_sync(const sync_options& options) {
  http_client client{options.port, options.patience_s};
  const pattern change{R"("operation")"};
  pattern::progress progress = 0;
  std::uint64_t changes = 0;
  http_client::body_sink sink;
  if (options.count)
    sink = [&change, &progress, &changes](std::string_view piece) {
      changes += change.count(progress, piece);
    };

  const std::int64_t begin = wall_ns();
  std::int64_t first_body_ns = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_max = 0; // of one response
  std::string offset = "-1";
  std::string handle;
  for (std::size_t requests = 1; requests <= requests_max; ++requests) {
    const std::string path =
        with(options.path, (handle.empty() ? "" : "handle=" + handle + "&") + "offset=" + offset);
    const auto response = client.get(path, sink);
    if (!response)
      return fail(response.error());
    if (response->status != 200)
      return fail(unexpected_status(*response, path));
    if (first_body_ns == 0)
      first_body_ns = response->first_body_ns;
    bytes += response->body_bytes;
    bytes_max = std::max(bytes_max, response->body_bytes);
    handle = response->header("electric-handle");
    offset = response->header("electric-offset");
    if (handle.empty() || offset.empty())
      return fail(errc::corrupt, "GET " + path + " answered without handle or offset");
    if (has_header(response->head, "electric-up-to-date")) {
      std::printf("seconds=%.6f first_byte_s=%.6f bytes=%llu bytes_max=%llu requests=%zu "
                  "changes=%llu handle=%s offset=%s\n",
                  static_cast<double>(wall_ns() - begin) / 1e9,
                  static_cast<double>(first_body_ns - begin) / 1e9,
                  static_cast<unsigned long long>(bytes),
                  static_cast<unsigned long long>(bytes_max), requests,
                  static_cast<unsigned long long>(changes), handle.c_str(), offset.c_str());
      return {};
    }
  }
  return fail(errc::corrupt, "the shape never gets up to date");
}

result<void> run_each(const each_options& options) {
  const std::size_t at = options.path.find("{i}");
  if (at == std::string::npos || options.from > options.to)
    return fail(errc::invalid_argument, "each: needs {i} in the path and --from <= --to");
  std::atomic<std::uint64_t> next{options.from};
  std::atomic<bool> stop{false};
  std::mutex guard;
  error first_error;
  const auto work = [&options, at, &next, &stop, &guard, &first_error] {
    http_client client{options.port, 60};
    for (std::uint64_t i = next++; i <= options.to && !stop; i = next++) {
      const auto number = std::to_string(i);
      std::string path = options.path;
      for (auto here = at; here != std::string::npos; here = path.find("{i}", here + number.size()))
        path.replace(here, 3, number);
      if (const auto done = ask_until_served(client, path); !done) {
        const std::scoped_lock lock{guard};
        if (!stop.exchange(true))
          first_error = done.error();
      }
    }
  };
  const std::int64_t begin = wall_ns();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < options.parallel; ++i)
    threads.emplace_back(work);
  for (std::thread& thread : threads)
    thread.join();
  if (stop)
    return fail(first_error);
  std::printf("requests=%llu seconds=%.6f\n",
              static_cast<unsigned long long>(options.to - options.from + 1),
              static_cast<double>(wall_ns() - begin) / 1e9);
  return {};
}

result<void> run_await(const await_options& options) {
  http_client client{options.port, options.patience_s};
  const std::int64_t begin = wall_ns();
  const std::int64_t give_up = begin + std::int64_t{options.patience_s} * 1'000'000'000;
  std::string last = "no answer yet";
  for (std::size_t polls = 1; wall_ns() < give_up; ++polls) {
    const auto response = client.get(options.path);
    if (response && satisfied(options, *response)) {
      const std::int64_t now = wall_ns();
      std::printf("at_ns=%lld waited_s=%.6f polls=%zu\n", static_cast<long long>(now),
                  static_cast<double>(now - begin) / 1e9, polls);
      return {};
    }
    last = response
               ? std::to_string(response->status) + " offset " +
                     response->header("electric-offset") + " " + response->body_start.substr(0, 200)
               : response.error().message;
    std::this_thread::sleep_for(std::chrono::milliseconds{options.interval_ms});
  }
  return fail(errc::unavailable, "waited " + std::to_string(options.patience_s) + " s for " +
                                     options.path + "; last: " + last);
}

} // namespace busbar::bench
