#include "cluster/interrupt.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace busbar::cluster {

interrupt::interrupt() : fd_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {}

interrupt::~interrupt() {
  if (fd_ >= 0)
    ::close(fd_);
}

void interrupt::raise() noexcept {
  const std::uint64_t one = 1;
  // Nobody reads it, so it stays readable; that it is full already is as good.
  [[maybe_unused]] const auto written = ::write(fd_, &one, sizeof one);
}

bool interrupt::raised() const noexcept {
  return wait_until(std::chrono::steady_clock::now());
}

bool interrupt::wait_until(std::chrono::steady_clock::time_point until) const noexcept {
  return wait_for(-1, 0, until, this) == woken_by::interrupt;
}

woken_by wait_for(int descriptor, short events, std::chrono::steady_clock::time_point until,
                  const interrupt* stop) noexcept {
  pollfd waits[2] = {{descriptor, events, 0},
                     {stop != nullptr ? stop->descriptor() : -1, POLLIN, 0}};
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    // A moment that is far away is looked at again after an hour: poll() takes an int.
    const auto wait = std::clamp<std::int64_t>(left.count(), 0, 3'600'000);
    const int ready = ::poll(waits, 2, static_cast<int>(wait));
    if (ready > 0 && waits[1].revents != 0)
      return woken_by::interrupt;
    if (ready > 0)
      return woken_by::descriptor;
    if ((ready == 0 && left.count() <= wait) || (ready < 0 && errno != EINTR))
      return woken_by::time;
  }
}

} // namespace busbar::cluster
