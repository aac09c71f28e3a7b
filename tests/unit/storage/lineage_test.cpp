#include "storage/lineage.hpp"

#include <gtest/gtest.h>

#include <string>

namespace busbar::storage {
namespace {

using namespace std::string_literals;

TEST(LineageTest, OnDiskItIsPairsOfNumbers) {
  const lineage terms{{.term = 0x0102, .first = 3}, {.term = 0x0103, .first = 0x0405}};
  const auto bytes = "\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x03"
                     "\0\0\0\0\0\0\x01\x03\0\0\0\0\0\0\x04\x05"s;
  EXPECT_EQ(encode(terms), bytes);
  EXPECT_EQ(decode_lineage(bytes).value(), terms);
  EXPECT_EQ(decode_lineage("").value(), lineage{});
}

TEST(LineageTest, PartsOfEntriesAndOtherOrdersAreCorrupt) {
  const auto bytes = encode(lineage{{1, 10}, {2, 20}});
  for (std::size_t size = 1; size < bytes.size(); ++size)
    if (size != bytes.size() / 2) {
      const auto read = decode_lineage(bytes.substr(0, size));
      ASSERT_FALSE(read) << size;
      EXPECT_EQ(read.error().code, errc::corrupt);
    }
  EXPECT_FALSE(decode_lineage(encode(lineage{{2, 10}, {1, 20}})));
  EXPECT_FALSE(decode_lineage(encode(lineage{{1, 10}, {1, 20}})));
  EXPECT_FALSE(decode_lineage(encode(lineage{{1, 20}, {2, 20}})));
}

TEST(LineageTest, WhoHasTheSameTermsMayFollowUpToWhereTheLeaderIs) {
  const lineage terms{{1, 10}, {2, 20}};
  EXPECT_TRUE(may_follow(terms, 21, terms, 30));
  EXPECT_TRUE(may_follow(terms, 30, terms, 30));
  EXPECT_FALSE(may_follow(terms, 31, terms, 30));
}

TEST(LineageTest, WhoMissedTermsMayFollowIfHeWasNotBeyondTheNextOnesBeginning) {
  const lineage leaders{{1, 10}, {2, 20}, {3, 30}};
  EXPECT_TRUE(may_follow({{1, 10}}, 20, leaders, 40));
  EXPECT_FALSE(may_follow({{1, 10}}, 21, leaders, 40));
  EXPECT_TRUE(may_follow({{1, 10}, {2, 20}}, 30, leaders, 40));
  EXPECT_FALSE(may_follow({{1, 10}, {2, 20}}, 31, leaders, 40));
}

TEST(LineageTest, WhoLedATermThatTheLeaderDoesNotKnowMustCopy) {
  EXPECT_FALSE(may_follow({{1, 10}, {2, 20}}, 20, {{1, 10}, {3, 20}}, 40));
  EXPECT_FALSE(may_follow({{1, 10}, {2, 20}}, 20, {{1, 10}}, 40));
  EXPECT_FALSE(may_follow({{1, 10}}, 10, {{1, 11}}, 40)); // that term began elsewhere
  EXPECT_FALSE(may_follow({{1, 9}, {2, 20}}, 20, {{1, 10}, {2, 20}}, 40));
}

TEST(LineageTest, WhoHasNoTermsMustCopy) {
  EXPECT_FALSE(may_follow({}, 0, {{1, 10}}, 40));
  EXPECT_FALSE(may_follow({}, 0, {}, 0));
  EXPECT_FALSE(may_follow({{1, 10}}, 10, {}, 40));
}

TEST(LineageTest, EachForgetsOldTermsAtItsOwnTime) {
  EXPECT_TRUE(may_follow({{1, 10}, {2, 20}}, 25, {{2, 20}, {3, 30}}, 40));
  EXPECT_TRUE(may_follow({{2, 20}}, 25, {{1, 10}, {2, 20}, {3, 30}}, 40));
  EXPECT_FALSE(may_follow({{1, 10}}, 15, {{2, 20}, {3, 30}}, 40));
}

} // namespace
} // namespace busbar::storage
