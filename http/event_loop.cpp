#include "http/event_loop.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace busbar::http {

owned_fd& owned_fd::operator=(owned_fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

int owned_fd::release() noexcept {
  return std::exchange(fd_, -1);
}

void owned_fd::reset() noexcept {
  if (const int fd = release(); fd >= 0)
    ::close(fd);
}

task_queue::task_queue() : wake_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)} {}

void task_queue::post(task task) {
  bool wake = false;
  {
    const std::lock_guard lock{mutex_};
    if (closed_)
      return;
    wake = tasks_.empty();
    tasks_.push_back(std::move(task));
  }
  if (!wake)
    return;
  const std::uint64_t one = 1;
  // Only a counter near 2^64 could make this fail, and then the loop is awake anyway.
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

std::vector<task> task_queue::take() {
  const std::lock_guard lock{mutex_};
  return std::exchange(tasks_, {});
}

void task_queue::close() {
  std::vector<task> dropped; // destroyed without the lock: a task may own what posts again
  const std::lock_guard lock{mutex_};
  closed_ = true;
  dropped.swap(tasks_);
}

result<std::unique_ptr<event_loop>> event_loop::create() {
  owned_fd epoll{::epoll_create1(EPOLL_CLOEXEC)};
  auto tasks = std::make_shared<task_queue>();
  epoll_event wake{};
  wake.events = EPOLLIN | EPOLLET;
  wake.data.ptr = nullptr; // the one event without a target
  if (epoll.get() < 0 || tasks->wake_fd() < 0 ||
      ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, tasks->wake_fd(), &wake) != 0)
    return fail(errc::misconfigured, std::string{"epoll: "} + std::strerror(errno));
  return std::unique_ptr<event_loop>{new event_loop{std::move(epoll), std::move(tasks)}};
}

bool event_loop::add(int fd, io_target& target) noexcept {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &target;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

bool event_loop::add_listener(int fd, io_target& target) noexcept {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = &target;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void event_loop::wait(int timeout_ms) {
  const int count =
      ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), timeout_ms);
  count_ = count > 0 ? static_cast<std::size_t>(count) : 0;
}

void event_loop::dispatch() {
  bool woken = false;
  for (std::size_t i = 0; i < count_; ++i) {
    if (auto* target = events_[i].data.ptr)
      static_cast<io_target*>(target)->on_io(events_[i].events);
    else
      woken = true;
  }
  count_ = 0;
  if (!woken)
    return;
  // The eventfd is edge-triggered and only ever written to, so it need not be read.
  for (auto& task : tasks_->take())
    task();
}

} // namespace busbar::http
