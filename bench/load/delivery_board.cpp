#include "bench/load/delivery_board.hpp"

#include "bench/sockets.hpp"

#include <cstdio>
#include <fstream>

namespace busbar::bench {

void delivery_board::say_ready(double seconds) const {
  std::printf("ready clients=%zu seconds=%.3f\n", options_.clients.count, seconds);
  std::fflush(stdout);
}

result<void> delivery_board::delivered(std::size_t n) {
  if (n >= reached_.size())
    return fail(errc::corrupt, "a client got a delivery too many");
  if (++reached_[n] < options_.clients.count)
    return {};
  std::printf("delivery %zu at_ns=%lld bytes=%llu\n", n, static_cast<long long>(wall_ns()),
              static_cast<unsigned long long>(bytes_));
  std::fflush(stdout);
  return {};
}

result<void> delivery_board::finish() const {
  if (!complete())
    return fail(errc::unavailable, "ended before all deliveries came");
  if (!options_.save_file.empty()) {
    std::ofstream file{options_.save_file, std::ios::binary | std::ios::trunc};
    if (!(file << saved_) || !file.flush())
      return fail(errc::unavailable, "cannot write " + options_.save_file);
  }
  std::printf("done clients=%zu deliveries=%zu bytes=%llu\n", options_.clients.count,
              options_.deliveries, static_cast<unsigned long long>(bytes_));
  return {};
}

} // namespace busbar::bench
