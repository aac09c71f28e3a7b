// http/event_loop.hpp: the sockets of one I/O thread, and the tasks other threads hand it.
//
// Plain edge-triggered epoll: a parked client must cost us little beside the kernel, and Asio's
// per-socket state and per-wait operation would double that, and add one epoll_ctl to each poll.
#pragma once

#include "base/result.hpp"

#include <sys/epoll.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace busbar::http {

/// A file descriptor that closes itself.
class owned_fd {
public:
  explicit owned_fd(int fd = -1) noexcept : fd_{fd} {}
  owned_fd(owned_fd&& other) noexcept : fd_{other.release()} {}
  owned_fd& operator=(owned_fd&& other) noexcept;
  ~owned_fd() { reset(); }

  int get() const noexcept { return fd_; }
  int release() noexcept;
  void reset() noexcept;

private:
  int fd_;
};

/// Who is told of a socket's events. Must outlive the wait() during which it is removed.
class io_target {
public:
  virtual void on_io(std::uint32_t events) = 0; ///< EPOLLIN, EPOLLOUT, EPOLLRDHUP, …

protected:
  ~io_target() = default;
};

using task = std::function<void()>;

/// The tasks for one loop. Outlives it, so that a late post() is merely ignored. Thread-safe.
class task_queue {
public:
  task_queue();
  void post(task task);
  std::vector<task> take();
  void close(); ///< Drops what is queued and all that comes later.
  int wake_fd() const noexcept { return wake_.get(); }

private:
  std::mutex mutex_;
  std::vector<task> tasks_;
  owned_fd wake_;
  bool closed_ = false;
};

/// All calls but those on tasks() belong to the loop's thread.
class event_loop {
public:
  static result<std::unique_ptr<event_loop>> create();

  const std::shared_ptr<task_queue>& tasks() const noexcept { return tasks_; }

  /// Edge-triggered for reading, writing and the peer's end. A closed descriptor leaves by itself.
  bool add(int fd, io_target& target) noexcept;
  /// Level-triggered, for reading only.
  bool add_listener(int fd, io_target& target) noexcept;

  /// Waits for events or tasks; negative: without limit.
  void wait(int timeout_ms);
  /// Tells the targets of what wait() saw, then runs the posted tasks.
  void dispatch();

private:
  event_loop(owned_fd epoll, std::shared_ptr<task_queue> tasks)
      : epoll_{std::move(epoll)}, tasks_{std::move(tasks)} {}

  owned_fd epoll_;
  std::shared_ptr<task_queue> tasks_;
  std::array<epoll_event, 512> events_{};
  std::size_t count_ = 0;
};

} // namespace busbar::http
