#include "http/cursor.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace busbar::http {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::sys_seconds epoch = std::chrono::sys_days{2024y / 10 / 9};

TEST(Cursor, IsTheNextMultipleOfTheLongPoll) {
  EXPECT_EQ(next_cursor(0, 20s, epoch + 58867205s, 7), 58867220);
  EXPECT_EQ(next_cursor(0, 20s, epoch + 58867220s, 7), 58867220) << "a multiple is its own next";
}

TEST(Cursor, MovesOnFromAClientThatIsAlreadyThere) {
  EXPECT_EQ(next_cursor(58867220, 20s, epoch + 58867205s, 7), 58867227);
  EXPECT_EQ(next_cursor(99999999, 20s, epoch + 58867205s, 1), 100000000);
}

TEST(Cursor, IsZeroWithoutALongPoll) {
  EXPECT_EQ(next_cursor(5, 0s, epoch + 10s, 7), 0);
}

TEST(Cursor, OnlyPlainIntegersCount) {
  EXPECT_EQ(parse_cursor("58867220"), 58867220);
  EXPECT_EQ(parse_cursor("-5"), -5);
  for (const auto* text : {"", " 1", "1 ", "1.5", "x", "0x10", "99999999999999999999"})
    EXPECT_EQ(parse_cursor(text), 0) << text;
}

TEST(Cursor, IsGreaterThanAnyCursorThatCounts) {
  for (const auto* text : {"0", "66909260", "4611686018427387904", "4611686018427387905"}) {
    const auto previous = parse_cursor(text);
    EXPECT_GT(next_cursor(previous, 20s, epoch + 66909251s, 1), previous) << text;
  }
}

} // namespace
} // namespace busbar::http
