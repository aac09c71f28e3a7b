#include "actors/frame_credits.hpp"

#include <gtest/gtest.h>

namespace busbar {
namespace {

TEST(FrameCredits, ManyMaterializersLeaveRoomForAsManyFramesAsOne) {
  frame_credits credits{32, 16};
  for (int frame = 0; frame < 16; ++frame) {
    EXPECT_FALSE(credits.full()) << frame;
    credits.sent();
  }
  EXPECT_TRUE(credits.full());
}

TEST(FrameCredits, TheSlowestDecides) {
  frame_credits credits{2, 2};
  credits.sent();
  credits.sent();
  EXPECT_TRUE(credits.applied(0)); // it may wait for this one
  EXPECT_FALSE(credits.applied(0));
  EXPECT_TRUE(credits.full());
  EXPECT_TRUE(credits.applied(1));
  EXPECT_FALSE(credits.full());
  EXPECT_FALSE(credits.idle());
  EXPECT_TRUE(credits.applied(1)) << "nothing is left to do";
  EXPECT_TRUE(credits.idle());
}

TEST(FrameCredits, FramesOfAnEarlierConnectionCreditNothing) {
  frame_credits credits{1, 2};
  credits.sent();
  credits.reset();
  EXPECT_FALSE(credits.applied(0));
  EXPECT_TRUE(credits.idle());
  credits.sent();
  credits.sent();
  EXPECT_TRUE(credits.full());
}

} // namespace
} // namespace busbar
