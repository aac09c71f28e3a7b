// The readers and comparisons of single types, against simple models of them.

#include "sql/datetime.hpp"
#include "sql/decimal.hpp"
#include "sql/text.hpp"
#include "tests/unit/sql/clause.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <random>

namespace busbar::sql {
namespace {

/// A number of tenths of thousandths in one of its many spellings.
std::string spelled(std::int64_t ten_thousandths, std::mt19937_64& random) {
  const auto magnitude = std::to_string(std::abs(ten_thousandths));
  auto digits = std::string(magnitude.size() < 5 ? 5 - magnitude.size() : 0, '0') + magnitude;
  auto point = static_cast<int>(digits.size()) - 4;
  const auto shift = std::uniform_int_distribution<int>{-3, 3}(random);
  point += shift; // the exponent takes it back
  while (point <= 0) {
    digits.insert(0, 1, '0');
    ++point;
  }
  while (point > static_cast<int>(digits.size()))
    digits += '0';
  std::string out = ten_thousandths < 0 ? "-" : random() % 2 == 0 ? "" : "+";
  out += std::string(random() % 3, '0') + digits.substr(0, static_cast<std::size_t>(point));
  out += "." + digits.substr(static_cast<std::size_t>(point)) + std::string(random() % 3, '0');
  return out + "e" + std::to_string(-shift);
}

TEST(Decimals, CompareLikeTheIntegersTheyAre) {
  const auto seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random{seed};
  for (int round = 0; round < 5000; ++round) {
    const auto range = std::int64_t{1} << (random() % 50);
    std::uniform_int_distribution<std::int64_t> any{-range, range};
    const auto a = any(random);
    const auto b = random() % 4 == 0 ? a : any(random);
    const auto left = spelled(a, random);
    const auto right = spelled(b, random);
    decimal x;
    decimal y;
    ASSERT_EQ(read_decimal(left, x), reading::ok) << left;
    ASSERT_EQ(read_decimal(right, y), reading::ok) << right;
    const auto order = compare(x, y);
    ASSERT_EQ(order < 0, a < b) << left << " and " << right;
    ASSERT_EQ(order > 0, a > b) << left << " and " << right;
    const auto printed = to_string(x);
    decimal again;
    ASSERT_EQ(read_decimal(printed, again), reading::ok) << printed;
    ASSERT_EQ(compare(x, again), 0) << left << " printed as " << printed;
  }
}

TEST(Decimals, ArePrintedAsPostgresPrintsThem) {
  const std::pair<const char*, const char*> cases[] = {
      {"1.10", "1.10"},      {".5", "0.5"},
      {"5.", "5"},           {"-0.00", "0.00"},
      {"1e3", "1000"},       {"1.5e3", "1500"},
      {"1.5e-3", "0.0015"},  {"007", "7"},
      {" +1 ", "1"},         {"-1e0", "-1"},
      {"0e5", "0"},          {"nan", "NaN"},
      {"-INF", "-Infinity"}, {"infinity", "Infinity"},
  };
  for (const auto& [text, printed] : cases) {
    decimal d;
    ASSERT_EQ(read_decimal(text, d), reading::ok) << text;
    EXPECT_EQ(to_string(d), printed);
  }
}

TEST(Decimals, SpecialValuesHaveTheirPlaceInTheOrder) {
  const char* ascending[] = {"-Infinity", "-1e100", "-1",       "0",  "1e-100",
                             "1",         "1e100",  "Infinity", "NaN"};
  for (std::size_t i = 0; i < std::size(ascending); ++i)
    for (std::size_t j = 0; j < std::size(ascending); ++j) {
      decimal a;
      decimal b;
      (void)read_decimal(ascending[i], a);
      (void)read_decimal(ascending[j], b);
      EXPECT_EQ(compare(a, b) < 0, i < j) << ascending[i] << " and " << ascending[j];
    }
}

std::string write_date(std::int64_t days) {
  std::string out;
  append_date(out, days);
  return out;
}
std::string write_timestamp(std::int64_t micros, bool with_zone) {
  std::string out;
  append_timestamp(out, micros, with_zone);
  return out;
}

TEST(DatesAndTimes, WhatIsWrittenIsReadBack) {
  const auto seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random{seed};
  std::uniform_int_distribution<std::int64_t> any_day{-2'451'545, 2'145'031'948};
  std::uniform_int_distribution<std::int64_t> any_micro{-211'813'488'000'000'000,
                                                        9'223'371'331'199'999'999};
  for (int round = 0; round < 5000; ++round) {
    const auto day = any_day(random);
    std::int64_t read = 0;
    ASSERT_EQ(read_date(write_date(day), read), reading::ok) << write_date(day);
    ASSERT_EQ(read, day) << write_date(day);
    const auto micros = any_micro(random);
    for (const bool zone : {false, true}) {
      const auto text = write_timestamp(micros, zone);
      ASSERT_EQ(read_timestamp(text, zone, read), reading::ok) << text;
      ASSERT_EQ(read, micros) << text;
    }
  }
}

TEST(DatesAndTimes, TheManySpellingsOfOneMoment) {
  for (const auto* text :
       {"2024-01-08 22:30:00", "2024-01-08T22:30:00Z", "20240108 22:30", "2024/1/8 10:30 PM",
        "08/01/2024 22:30:00.0000001", "8-1-2024 22:30", "January 8, 2024 22:30:00 UTC",
        "8 jan 2024 22:30", "  2024-01-08   22:29:60 ", "2024-01-08 22:30:00 AD"}) {
    std::int64_t micros = 0;
    EXPECT_EQ(read_timestamp(text, true, micros), reading::ok) << text;
    EXPECT_EQ(write_timestamp(micros, true), "2024-01-08 22:30:00+00") << text;
  }
  std::int64_t micros = 0;
  EXPECT_EQ(read_timestamp("2024-01-08 22:30:00+05:30", true, micros), reading::ok);
  EXPECT_EQ(write_timestamp(micros, true), "2024-01-08 17:00:00+00");
  EXPECT_EQ(read_timestamp("2024-01-08 22:30:00+05:30", false, micros), reading::ok);
  EXPECT_EQ(write_timestamp(micros, false), "2024-01-08 22:30:00") << "a zone is read and ignored";
}

TEST(DatesAndTimes, NoNumberInThemMayHaveAnyLength) {
  const std::string many(40, '9');
  for (const auto& text :
       {many, many + "-01-08", "2024-" + many + "-08", "2024-01-" + many, "8-1-" + many,
        "8 jan " + many, "2024-01-08 " + many + ":00", "2024-01-08 22:30:00+" + many}) {
    std::int64_t micros = 0;
    EXPECT_EQ(read_timestamp(text, true, micros), reading::unsupported) << text;
  }
}

TEST(DatesAndTimes, ADateBeyondAllTimestampsStillCompares) {
  const auto table = test::typed({{"d", "date"}, {"ts", "timestamp"}});
  EXPECT_EQ(test::verdict("d > ts", table, {"5874897-12-31", "294276-12-31 23:59:59"}), truth::yes);
  EXPECT_EQ(test::verdict("d < ts", table, {"5874897-12-31", "infinity"}), truth::yes);
  EXPECT_EQ(test::verdict("ts < '5874897-12-31'::date", table, {{}, "2024-01-01 00:00:00"}),
            truth::yes);
  EXPECT_EQ(test::verdict("d = ts", table, {"infinity", "infinity"}), truth::yes);
}

/// LIKE as its definition reads: exponential, and obviously right.
bool like_by_definition(std::string_view text, std::string_view pattern) {
  if (pattern.empty())
    return text.empty();
  if (pattern.front() == '%') {
    for (std::size_t skip = 0; skip <= text.size(); ++skip)
      if (like_by_definition(text.substr(skip), pattern.substr(1)))
        return true;
    return false;
  }
  if (text.empty())
    return false;
  if (pattern.front() == '_')
    return like_by_definition(text.substr(1), pattern.substr(1));
  if (pattern.front() == '\\')
    pattern.remove_prefix(1);
  return text.front() == pattern.front() && like_by_definition(text.substr(1), pattern.substr(1));
}

TEST(Like, MatchesAsItsDefinitionSays) {
  const auto seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random{seed};
  const auto word = [&random](std::string_view alphabet) {
    std::string out;
    for (auto size = random() % 8; size > 0; --size)
      out += alphabet[random() % alphabet.size()];
    return out;
  };
  for (int round = 0; round < 20000; ++round) {
    const auto text = word("ab%");
    auto pattern = word("aab%%_\\");
    if (std::ranges::count(pattern, '\\') > 0)
      pattern += "a"; // so that an escape at the end has something to escape
    ASSERT_EQ(like(text, pattern) == match::yes, like_by_definition(text, pattern))
        << text << " LIKE " << pattern;
  }
}

TEST(Like, UnderscoreIsOneCharacterOfAnySize) {
  for (const auto* text : {"x", "é", "☃", "🙂"}) {
    EXPECT_EQ(like(text, "_"), match::yes) << text;
    EXPECT_EQ(like(text, "__"), match::no) << text;
    EXPECT_EQ(like("a" + std::string{text} + "b", "%_b"), match::yes) << text;
  }
}

TEST(Like, PatternThatEndsWithItsEscapeIsAnErrorOnlyWhereItMatters) {
  EXPECT_EQ(like("abc", "x\\"), match::no);
  EXPECT_EQ(like("xa", "x\\"), match::bad_pattern);
  EXPECT_EQ(like("abc", "%\\"), match::bad_pattern);
}

} // namespace
} // namespace busbar::sql
