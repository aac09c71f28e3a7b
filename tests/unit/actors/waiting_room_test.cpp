// Who waits for how long, and how often the room asks to be woken.
#include "actors/waiting_room.hpp"
#include "tests/unit/actors/made_shape.hpp"

#include <gtest/gtest.h>

#include <queue>
#include <thread>

namespace busbar {

struct reader_probe {
  using wait = shape_reader::wait;
  static void wait_for(shape_reader& reader, const shape_ptr& shape) { reader.shape_ = shape; }
  static wait waits_for(const shape_reader& reader) { return reader.waits_for_; }
};

namespace {

using std::chrono::milliseconds;
using wait = reader_probe::wait;

class silent_reader final : public shape_reader {
public:
  void on_slice(const log_slice&) override {}
  void on_stream_open(const log_slice&) override {}
  void on_not_modified(const log_slice&) override {}
  void on_gone(const std::optional<std::string>&) override {}
  void on_refused(const refusal&) override {}
  void on_subset(const subset_answer&) override {}
  void on_more() override {}
  void on_dropped(bool) override {}
};

class WaitingRoomTest : public ::testing::Test {
protected:
  /// Plays the session: every wake_after() is one call of expired(), however many there are.
  waiting_room room_of(milliseconds long_poll) {
    return {{.watch = [](const shape_ptr&) {},
             .unwatch = [](storage::shape_id) {},
             .wake_after =
                 [this](milliseconds time) {
                   ++asked_;
                   due_.push(waiting_room::clock::now() + time);
                 }},
            long_poll};
  }
  void park(waiting_room& room, shape_reader& reader, wait kind) {
    reader_probe::wait_for(reader, shape_);
    room.park(reader, kind);
  }
  void turn(waiting_room& room, const std::function<void(shape_reader&)>& each) {
    ASSERT_FALSE(due_.empty()) << "readers wait, and nothing will wake the room";
    std::this_thread::sleep_until(due_.top());
    due_.pop();
    room.expired(each);
  }

  const shape_ptr shape_ = testing::made_shape(1);
  int asked_ = 0;
  std::priority_queue<waiting_room::clock::time_point, std::vector<waiting_room::clock::time_point>,
                      std::greater<>>
      due_;
};

TEST_F(WaitingRoomTest, ACallThatWasOvertakenAsksForNoMore) {
  auto room = room_of(std::chrono::hours{1});
  silent_reader live;
  silent_reader creation;
  park(room, live, wait::live);
  park(room, creation, wait::snapshot); // is due earlier
  EXPECT_EQ(asked_, 2);
  for (int i = 0; i < 10; ++i)
    room.expired([](shape_reader&) { FAIL() << "nobody's time is over"; });
  EXPECT_EQ(asked_, 2);
}

TEST_F(WaitingRoomTest, AsManyWakeUpsAreAskedForAsReadersWaitHoweverLongTheyGoOn) {
  auto room = room_of(milliseconds{20});
  silent_reader live;
  silent_reader beyond;
  silent_reader creation;
  int parked = 0;
  const auto wait_again = [&](shape_reader& reader, wait kind) {
    ++parked;
    park(room, reader, kind);
  };
  wait_again(creation, wait::snapshot);
  wait_again(live, wait::live);
  wait_again(beyond, wait::out_of_bounds);
  int expiries = 0;
  while (expiries < 30)
    turn(room, [&](shape_reader& reader) {
      ++expiries;
      wait_again(reader, reader_probe::waits_for(reader));
    });
  // Each that parks may ask once, and each call that finds somebody once for those who are left.
  EXPECT_LE(asked_, parked + expiries);
  EXPECT_LT(due_.size(), 40u);
}

} // namespace
} // namespace busbar
