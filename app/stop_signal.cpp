#include "app/stop_signal.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace busbar::app {

stop_signal::stop_signal() {
  sigset_t stops;
  sigemptyset(&stops);
  sigaddset(&stops, SIGINT);
  sigaddset(&stops, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &stops, nullptr);
  signal(SIGPIPE, SIG_IGN); // a closed socket is an error code, not the end
  signals_ = signalfd(-1, &stops, SFD_CLOEXEC);
  failures_ = eventfd(0, EFD_CLOEXEC);
}

stop_signal::~stop_signal() {
  close(signals_);
  close(failures_);
}

void stop_signal::fail(const error& why) noexcept {
  {
    const std::lock_guard guard{mutex_};
    if (!failure_)
      failure_ = why;
  }
  const std::uint64_t one = 1;
  static_cast<void>(!write(failures_, &one, sizeof one));
}

bool stop_signal::is_set() const noexcept {
  pollfd both[2] = {{signals_, POLLIN, 0}, {failures_, POLLIN, 0}};
  return poll(both, 2, 0) > 0;
}

std::optional<error> stop_signal::wait() {
  pollfd both[2] = {{signals_, POLLIN, 0}, {failures_, POLLIN, 0}};
  while (poll(both, 2, -1) < 0 && errno == EINTR) {
  }
  const std::lock_guard guard{mutex_};
  return failure_;
}

} // namespace busbar::app
