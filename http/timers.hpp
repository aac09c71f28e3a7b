// http/timers.hpp: deadlines of one I/O thread. Each list has one fixed duration, so it is sorted
// by itself: arming, moving and disarming are a few pointer writes, and nothing ticks while all is
// idle.
#pragma once

#include <boost/intrusive/list.hpp>

#include <chrono>

namespace busbar::http {

using steady_time = std::chrono::steady_clock::time_point;

using timer_hook =
    boost::intrusive::list_base_hook<boost::intrusive::tag<struct timer_tag>,
                                     boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

/// Something with a deadline; leaves its list by itself when it dies.
struct timer : timer_hook {
  steady_time deadline{};
  void disarm() noexcept { unlink(); }
  bool armed() const noexcept { return is_linked(); }
};

/// `Timer` derives from timer. Times given to one list never fall.
template <class Timer>
class deadline_list {
public:
  explicit deadline_list(std::chrono::milliseconds after) : after_{after} {}

  /// Starts the timer anew, wherever it was before.
  void arm(Timer& timer, steady_time now) noexcept {
    if (timer.armed())
      timer.disarm();
    timer.deadline = now + after_;
    timers_.push_back(timer);
  }

  /// Takes one expired timer off the list; null if there is none.
  Timer* pop_expired(steady_time now) noexcept {
    if (timers_.empty() || timers_.front().deadline > now)
      return nullptr;
    Timer& first = timers_.front();
    first.disarm();
    return &first;
  }

  bool empty() const noexcept { return timers_.empty(); }

  /// Takes the timer off that would expire first; null if there is none.
  Timer* pop_first() noexcept { return pop_expired(steady_time::max()); }

  /// steady_time::max() if the list is empty.
  steady_time next() const noexcept {
    return timers_.empty() ? steady_time::max() : timers_.front().deadline;
  }

private:
  std::chrono::milliseconds after_;
  boost::intrusive::list<Timer, boost::intrusive::base_hook<timer_hook>,
                         boost::intrusive::constant_time_size<false>>
      timers_;
};

} // namespace busbar::http
