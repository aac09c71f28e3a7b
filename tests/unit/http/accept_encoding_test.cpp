#include "http/accept_encoding.hpp"

#include <gtest/gtest.h>

namespace busbar::http {
namespace {

TEST(AcceptEncodingTest, OnlyWhatTheClientNamesIsUsed) {
  EXPECT_EQ(preferred_coding(""), coding::identity);
  EXPECT_EQ(preferred_coding("identity"), coding::identity);
  EXPECT_EQ(preferred_coding("br, deflate"), coding::identity);
  EXPECT_EQ(preferred_coding("gzip, deflate"), coding::gzip);
  EXPECT_EQ(preferred_coding("x-gzip"), coding::gzip);
  EXPECT_EQ(preferred_coding("GZIP"), coding::gzip);
  EXPECT_EQ(preferred_coding("zstd"), coding::zstd);
  EXPECT_EQ(preferred_coding("gzipped"), coding::identity);
}

TEST(AcceptEncodingTest, OfEqualsZstdIsTaken) {
  EXPECT_EQ(preferred_coding("gzip, deflate, br, zstd"), coding::zstd);
  EXPECT_EQ(preferred_coding("zstd;q=0.5, gzip;q=0.5"), coding::zstd);
}

TEST(AcceptEncodingTest, TheHeavierWeightWins) {
  EXPECT_EQ(preferred_coding("gzip;q=1.0, zstd;q=0.9"), coding::gzip);
  EXPECT_EQ(preferred_coding("gzip ; q=0.1,\tzstd; q=0.2"), coding::zstd);
  EXPECT_EQ(preferred_coding("gzip;q=0.001, zstd;q=0"), coding::gzip);
}

TEST(AcceptEncodingTest, WeightZeroForbids) {
  EXPECT_EQ(preferred_coding("gzip;q=0"), coding::identity);
  EXPECT_EQ(preferred_coding("gzip;q=0.000, zstd;q=0"), coding::identity);
  EXPECT_EQ(preferred_coding("gzip;q=0, *"), coding::identity);
}

TEST(AcceptEncodingTest, WhoReadsAnythingGetsGzip) {
  EXPECT_EQ(preferred_coding("*"), coding::gzip);
  EXPECT_EQ(preferred_coding("*;q=0"), coding::identity);
  EXPECT_EQ(preferred_coding("br, *;q=0.1"), coding::gzip);
}

TEST(AcceptEncodingTest, AMalformedWeightTakesItsElementOut) {
  for (const auto* weight : {"q=", "q=2", "q=1.5", "q=0.1234", "q=0,5x", "1", "q=-1", "x=1"})
    EXPECT_EQ(preferred_coding(std::string{"gzip;"} + weight), coding::identity) << weight;
}

} // namespace
} // namespace busbar::http
