// actors/io_execution_unit.hpp: lets an actor run on an I/O thread instead of CAF's workers.
#pragma once

#include <caf/all.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace busbar {

/// CAF hands an actor that has mail to an execution unit. This one passes our own actor on to an
/// I/O thread's event loop, and every other actor back to CAF's scheduler.
class io_execution_unit : public caf::execution_unit,
                          public std::enable_shared_from_this<io_execution_unit> {
public:
  using post_function = std::function<void(std::function<void()>)>;

  io_execution_unit(caf::actor_system& system, post_function post)
      : caf::execution_unit{&system}, post_{std::move(post)} {}

  /// The one actor that lives here. Before it gets its first message.
  void adopt(caf::resumable* resident) { resident_ = resident; }

  /// Any thread.
  void exec_later(caf::resumable* job) override {
    if (resident_ && job != resident_) {
      system().scheduler().enqueue(job);
      return;
    }
    {
      const std::lock_guard guard{mutex_};
      jobs_.push_back(job);
    }
    post_([unit = shared_from_this()] { unit->run(); });
  }

  /// Runs all that waits and what comes of it: at the end, when the I/O thread's loop has stopped.
  void run_to_the_end() {
    for (bool more = true; more;) {
      run();
      const std::lock_guard guard{mutex_};
      more = !jobs_.empty();
    }
  }

  /// Runs what waits. The I/O thread only.
  void run() {
    std::vector<caf::resumable*> jobs;
    {
      const std::lock_guard guard{mutex_};
      jobs.swap(jobs_);
    }
    for (auto* job : jobs) {
      switch (job->resume(this, messages_at_a_time)) {
      case caf::resumable::resume_later:
        exec_later(job);
        break;
      case caf::resumable::awaiting_message:
      case caf::resumable::done:
      case caf::resumable::shutdown_execution_unit:
        caf::intrusive_ptr_release(job);
        break;
      }
    }
  }

private:
  static constexpr std::size_t messages_at_a_time = 64;
  post_function post_;
  caf::resumable* resident_ = nullptr;
  std::mutex mutex_;
  std::vector<caf::resumable*> jobs_;
};

} // namespace busbar
