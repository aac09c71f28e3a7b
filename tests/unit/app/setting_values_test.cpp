#include "app/setting_values.hpp"

#include <gtest/gtest.h>

#include <array>

namespace busbar::app {
namespace {

using namespace std::chrono_literals;

TEST(SettingValues, BooleansAreReadInAnyCase) {
  for (const auto* text : {"true", "TRUE", "1", "yes", "On"})
    EXPECT_EQ(read_boolean(text), true) << text;
  for (const auto* text : {"false", "0", "No", "off"})
    EXPECT_EQ(read_boolean(text), false) << text;
  for (const auto* text : {"", "t", "2", "true "})
    EXPECT_FALSE(read_boolean(text)) << text;
}

TEST(SettingValues, CountsKeepTheirBounds) {
  EXPECT_EQ(read_count("7", {7, 9}), 7u);
  EXPECT_EQ(read_count("9", {7, 9}), 9u);
  for (const auto* text : {"", "6", "10", "-8", "+8", "8 ", "8s", "18446744073709551616"})
    EXPECT_FALSE(read_count(text, {7, 9})) << text;
}

TEST(SettingValues, DurationsTakeTheirUnitOrTheOneOfTheSetting) {
  EXPECT_EQ(read_duration("250", 1ms, 0ms, 1h), 250ms);
  EXPECT_EQ(read_duration("250", 1s, 0ms, 1h), 250s);
  EXPECT_EQ(read_duration("250ms", 1s, 0ms, 1h), 250ms);
  EXPECT_EQ(read_duration("20s", 1ms, 0ms, 1h), 20s);
  EXPECT_EQ(read_duration("3m", 1ms, 0ms, 1h), 3min);
  for (const auto* text : {"", "s", "1h", "1.5s", "-1s", "2 s", "61m", "18446744073709551615m"})
    EXPECT_FALSE(read_duration(text, 1ms, 0ms, 1h)) << text;
}

TEST(SettingValues, SizesKnowPowersOfThousandAndOf1024) {
  const bounds all{0, std::uint64_t{1} << 40};
  EXPECT_EQ(read_size("512", all), 512u);
  EXPECT_EQ(read_size("2KB", all), 2'000u);
  EXPECT_EQ(read_size("2KiB", all), 2'048u);
  EXPECT_EQ(read_size("3mb", all), 3'000'000u);
  EXPECT_EQ(read_size("3MiB", all), 3u << 20);
  EXPECT_EQ(read_size("1GiB", all), 1u << 30);
  for (const auto* text : {"", "KB", "1.5MB", "2 KB", "2KBit", "18446744073709551615GiB"})
    EXPECT_FALSE(read_size(text, all)) << text;
}

TEST(SettingValues, WhatIsWrittenIsReadBackAsTheSame) {
  for (const auto value : {0ms, 1ms, 1500ms, 20'000ms, 60'000ms, 90'000ms})
    EXPECT_EQ(read_duration(write_duration(value), 1s, 0ms, 1h), value);
  for (const std::uint64_t value : {0ul, 1ul, 1000ul, 1024ul, 10'485'760ul, 1ul << 30, 1ul << 40})
    EXPECT_EQ(read_size(write_size(value), {0, std::uint64_t{1} << 50}), value);
  EXPECT_EQ(write_duration(90s), "90s");
  EXPECT_EQ(write_size(10'485'760), "10MiB");
}

TEST(SettingValues, NearestIsTheFewestEditsAwayOrNothing) {
  constexpr std::array<std::string_view, 3> names{"PORT", "SECRET", "STORAGE_DIR"};
  EXPECT_EQ(nearest("PROT", names), "PORT");
  EXPECT_EQ(nearest("SECERT", names), "SECRET");
  EXPECT_EQ(nearest("STORAGEDIR", names), "STORAGE_DIR");
  EXPECT_EQ(nearest("XYZZY", names), "");
}

} // namespace
} // namespace busbar::app
