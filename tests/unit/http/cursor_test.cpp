#include "http/cursor.hpp"

#include <gtest/gtest.h>

namespace busbar::http {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::sys_seconds epoch = std::chrono::sys_days{2024y / 10 / 9};

TEST(Cursor, IsTheNextMultipleOfTheLongPoll) {
  EXPECT_EQ(next_cursor("", 20s, epoch + 58867205s, 7), "58867220");
  EXPECT_EQ(next_cursor("", 20s, epoch + 58867220s, 7), "58867220") << "a multiple is its own next";
}

// F23
TEST(Cursor, MovesOnFromAClientThatIsAlreadyThere) {
  EXPECT_EQ(next_cursor("58867220", 20s, epoch + 58867205s, 7), "58867227");
  EXPECT_EQ(next_cursor("99999999", 20s, epoch + 58867205s, 1), "100000000");
}

TEST(Cursor, IsZeroWithoutALongPoll) {
  EXPECT_EQ(next_cursor("5", 0s, epoch + 10s, 7), "0");
}

TEST(Cursor, IsGreaterThanZeroBeforeItsEpoch) {
  EXPECT_EQ(next_cursor("", 20s, epoch - 100s, 7), "7");
  EXPECT_EQ(next_cursor("", 20s, epoch, 7), "7");
}

// F67
TEST(Cursor, OnlyPlainIntegersCount) {
  EXPECT_EQ(parse_cursor("58867220"), "58867220");
  EXPECT_EQ(parse_cursor("0058867220"), "58867220");
  EXPECT_EQ(parse_cursor("99999999999999999999"), "99999999999999999999");
  for (const auto* text : {"", " 1", "1 ", "1.5", "x", "0x10", "-5", "0", "000"})
    EXPECT_EQ(parse_cursor(text), "") << text;
}

// F23
TEST(Cursor, IsGreaterThanAnyCursorThatCounts) {
  const auto next = [](std::string_view previous, std::int64_t jitter) {
    return next_cursor(parse_cursor(previous), 20s, epoch + 66909251s, jitter);
  };
  EXPECT_EQ(next("0", 1), "66909260");
  EXPECT_EQ(next("66909259", 1), "66909260");
  EXPECT_EQ(next("66909260", 3600), "66912860");
  EXPECT_EQ(next("4611686018427387905", 1), "4611686018427387906");
  EXPECT_EQ(next("9223372036854775807", 3600), "9223372036854779407");
  EXPECT_EQ(next("18446744073709551615", 1), "18446744073709551616");
  EXPECT_EQ(next("99999999999999999999999", 3600), "100000000000000000003599");
  EXPECT_EQ(next(std::string(5'000, '9'), 1), '1' + std::string(5'000, '0'));
}

} // namespace
} // namespace busbar::http
