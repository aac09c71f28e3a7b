#include "actors/frame_credits.hpp"

#include <gtest/gtest.h>

namespace busbar {
namespace {

TEST(FrameCredits, ManyMaterializersLeaveRoomForAsManyFramesAsOne) {
  frame_credits credits{32, 16, 1'000'000};
  for (int frame = 0; frame < 16; ++frame) {
    EXPECT_FALSE(credits.full()) << frame;
    credits.sent(10);
  }
  EXPECT_TRUE(credits.full());
}

TEST(FrameCredits, TheSlowestDecides) {
  frame_credits credits{2, 2, 1'000'000};
  credits.sent(10);
  credits.sent(20);
  EXPECT_TRUE(credits.applied(0, 10)); // it may wait for this one
  EXPECT_FALSE(credits.applied(0, 20));
  EXPECT_TRUE(credits.full());
  EXPECT_TRUE(credits.applied(1, 10));
  EXPECT_FALSE(credits.full());
  EXPECT_FALSE(credits.idle());
  EXPECT_TRUE(credits.applied(1, 20)) << "nothing is left to do";
  EXPECT_TRUE(credits.idle());
}

TEST(FrameCredits, FramesOfAnEarlierConnectionCreditNothing) {
  frame_credits credits{1, 2, 1'000'000};
  credits.sent(10);
  credits.reset();
  EXPECT_FALSE(credits.applied(0, 10));
  EXPECT_TRUE(credits.idle());
  credits.sent(10);
  credits.sent(10);
  EXPECT_TRUE(credits.full());
}

TEST(FrameCredits, EnormousFramesLeaveRoomForFewer) {
  frame_credits credits{1, 16, 1'000};
  credits.sent(5'000); // one goes through, however large
  EXPECT_TRUE(credits.full());
  EXPECT_TRUE(credits.applied(0, 5'000));
  EXPECT_FALSE(credits.full());
  credits.sent(600);
  EXPECT_FALSE(credits.full());
  credits.sent(600);
  EXPECT_TRUE(credits.full());
  EXPECT_TRUE(credits.applied(0, 600)) << "there is room again, though one is left";
  EXPECT_FALSE(credits.full());
  EXPECT_FALSE(credits.idle());
}

} // namespace
} // namespace busbar
