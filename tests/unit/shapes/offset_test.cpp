#include "shapes/offset.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace busbar {
namespace {

TEST(OffsetTest, EveryFormOfTheGrammarIsRead) {
  EXPECT_EQ(parse_offset("-1"), log_offset::start());
  EXPECT_EQ(parse_offset("-1_0"), log_offset::start());
  EXPECT_EQ(parse_offset("0_0"), (log_offset{0, 0}));
  EXPECT_EQ(parse_offset("0_inf"), log_offset::snapshot_end());
  EXPECT_EQ(parse_offset("26808152_4"), (log_offset{26808152, 4}));
  EXPECT_EQ(parse_offset("7_inf"), (log_offset{7, log_offset::infinite}));
  EXPECT_EQ(parse_offset("0_02"), (log_offset{0, 2}));
  EXPECT_EQ(parse_offset("007_0"), (log_offset{7, 0}));
}

// F69
TEST(OffsetTest, TheWholeRangeOfBothHalvesIsRead) {
  EXPECT_EQ(parse_offset("18446744073709551615_0"), (log_offset{~std::uint64_t{0}, 0}));
  EXPECT_EQ(parse_offset("1_9223372036854775806"), (log_offset{1, 9223372036854775806}));
  EXPECT_EQ(parse_offset("18446744073709551616_0"), std::nullopt);
  EXPECT_EQ(parse_offset("1_9223372036854775808"), std::nullopt);
  EXPECT_EQ(parse_offset("1_99999999999999999999"), std::nullopt);
}

// F67
TEST(OffsetTest, AnythingElseIsRefused) {
  for (const char* text :
       {"",     "10",     "_",     "1_",     "_1",    "1_2_3", "0_-1",  "-1_1",  "-2",
        "-2_0", "-1_inf", "-0_0",  "+1_0",   "1_+0",  " 1_0",  "1_0 ",  "1 _0",  "1_ 0",
        "1_0x", "a_0",    "0_INF", "0_infx", "inf_0", "0x1_0", "1.0_0", "now_0", "--1"})
    EXPECT_EQ(parse_offset(text), std::nullopt) << '"' << text << '"';
}

TEST(OffsetTest, IsPrintedWithoutLeadingZeros) {
  EXPECT_EQ(to_string(log_offset::start()), "-1");
  EXPECT_EQ(to_string(log_offset::snapshot_end()), "0_inf");
  EXPECT_EQ(to_string(*parse_offset("000_007")), "0_7");
  EXPECT_EQ(to_string(log_offset{~std::uint64_t{0}, 4}), "18446744073709551615_4");
}

TEST(OffsetTest, WhatIsPrintedIsReadBack) {
  for (const log_offset x :
       {log_offset::start(), log_offset{0, 0}, log_offset{0, 12}, log_offset::snapshot_end(),
        log_offset{1, 0}, log_offset{~std::uint64_t{0}, 9223372036854775806}})
    EXPECT_EQ(parse_offset(to_string(x)), x) << to_string(x);
}

TEST(OffsetTest, OrderIsThatOfTheLog) {
  const std::vector<log_offset> log{log_offset::start(),
                                    {0, 0},
                                    {0, 1},
                                    {0, 10},
                                    log_offset::snapshot_end(),
                                    {1, 0},
                                    {1, 2},
                                    {1, log_offset::infinite},
                                    {2, 0},
                                    {std::uint64_t{1} << 63, 0}};
  for (std::size_t i = 0; i < log.size(); ++i)
    for (std::size_t j = 0; j < log.size(); ++j)
      EXPECT_EQ(log[i] < log[j], i < j) << to_string(log[i]) << " " << to_string(log[j]);
}

TEST(OffsetTest, OnlySnapshotChunksLieInTheSnapshot) {
  EXPECT_TRUE((log_offset{0, 0}).in_snapshot());
  EXPECT_TRUE((log_offset{0, 7}).in_snapshot());
  EXPECT_FALSE(log_offset::start().in_snapshot());
  EXPECT_FALSE(log_offset::snapshot_end().in_snapshot());
  EXPECT_FALSE((log_offset{1, 0}).in_snapshot());
}

} // namespace
} // namespace busbar
