#include "base/lsn.hpp"

#include <gtest/gtest.h>

namespace busbar {
namespace {

TEST(LsnTest, IsPrintedAsPostgresPrintsIt) {
  EXPECT_EQ(to_pg_string(lsn{0}), "0/0");
  EXPECT_EQ(to_pg_string(lsn{26'808'152}), "0/1990F58");
  EXPECT_EQ(to_pg_string(lsn{0x16'b374'd848}), "16/B374D848");
  EXPECT_EQ(to_pg_string(lsn{~std::uint64_t{0}}), "FFFFFFFF/FFFFFFFF");
}

TEST(LsnTest, WhatIsPrintedIsReadBack) {
  for (const std::uint64_t x :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0xffffffff}, std::uint64_t{0x100000000},
        std::uint64_t{0x7fffffffffffffff}, ~std::uint64_t{0}})
    EXPECT_EQ(parse_lsn(to_pg_string(lsn{x})), lsn{x}) << x;
}

TEST(LsnTest, LowerCaseAndLeadingZerosAreRead) {
  EXPECT_EQ(parse_lsn("16/b374d848"), lsn{0x16'b374'd848});
  EXPECT_EQ(parse_lsn("00000000/0000000A"), lsn{10});
}

TEST(LsnTest, AnythingElseIsRefused) {
  for (const char* text : {"", "/", "1/", "/1", "1", "1/2/3", " 1/2", "1/2 ", "1 /2", "-1/2",
                           "1/-2", "+1/2", "0x1/2", "G/1", "1/G", "100000000/0", "0/100000000"})
    EXPECT_EQ(parse_lsn(text), std::nullopt) << '"' << text << '"';
}

// F69
TEST(LsnTest, IsComparedUnsigned) {
  EXPECT_LT(lsn{0x7fffffffffffffff}, lsn{0x8000000000000000});
}

} // namespace
} // namespace busbar
