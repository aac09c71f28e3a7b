#include "http/timers.hpp"

#include <gtest/gtest.h>

#include <array>
#include <optional>

namespace busbar::http {
namespace {

using namespace std::chrono_literals;

class DeadlineList : public testing::Test {
protected:
  steady_time start_{};
  deadline_list<timer> list_{100ms};
};

TEST_F(DeadlineList, ExpiresInOrderAndNotBeforeItsTime) {
  std::array<timer, 2> timers;
  list_.arm(timers[0], start_);
  list_.arm(timers[1], start_ + 50ms);
  EXPECT_EQ(list_.next(), start_ + 100ms);
  EXPECT_EQ(list_.pop_expired(start_ + 99ms), nullptr);
  EXPECT_EQ(list_.pop_expired(start_ + 100ms), &timers[0]);
  EXPECT_EQ(list_.pop_expired(start_ + 100ms), nullptr);
  EXPECT_EQ(list_.pop_expired(start_ + 150ms), &timers[1]);
  EXPECT_EQ(list_.next(), steady_time::max());
}

TEST_F(DeadlineList, ArmingAgainStartsTheTimeAnew) {
  std::array<timer, 2> timers;
  list_.arm(timers[0], start_);
  list_.arm(timers[1], start_ + 10ms);
  list_.arm(timers[0], start_ + 20ms);
  EXPECT_EQ(list_.next(), start_ + 110ms);
  EXPECT_EQ(list_.pop_expired(start_ + 1s), &timers[1]);
  EXPECT_EQ(list_.pop_expired(start_ + 1s), &timers[0]);
}

TEST_F(DeadlineList, ArmingMovesBetweenLists) {
  timer one;
  deadline_list<timer> other{1s};
  list_.arm(one, start_);
  other.arm(one, start_);
  EXPECT_EQ(list_.next(), steady_time::max());
  EXPECT_EQ(other.next(), start_ + 1s);
}

TEST_F(DeadlineList, ATimerThatDiesOrIsDisarmedLeavesTheList) {
  std::optional<timer> dies{std::in_place};
  timer disarmed;
  list_.arm(*dies, start_);
  list_.arm(disarmed, start_);
  dies.reset();
  disarmed.disarm();
  EXPECT_EQ(list_.pop_expired(start_ + 1s), nullptr);
}

} // namespace
} // namespace busbar::http
