// Clauses made to hurt: they get an error, and quickly, and nothing overflows.

#include "tests/unit/sql/clause.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace busbar::sql {
namespace {

using test::complaint;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i)
    out += text;
  return out;
}

const test::columns table = test::typed({{"a", "int4"}, {"b", "bool"}, {"t", "text"}});

TEST(ClauseLimits, TenThousandParenthesesAreRefused) {
  EXPECT_THAT(complaint(repeated("(", 10000) + "b" + repeated(")", 10000), table),
              HasSubstr("nested too deeply"));
}

TEST(ClauseLimits, DeepTreesWithoutParenthesesAreRefusedToo) {
  for (const auto& where :
       {repeated("NOT ", 10000) + "b", "b" + repeated(" ISNULL", 9000),
        "a" + repeated("+a", 30000) + " = 1", "a" + repeated("::int4", 9000) + " = 1",
        "true" + repeated(" UNION SELECT 1", 4000), "- " + repeated("- ", 30000) + "a = 1",
        repeated("CASE WHEN b AND ", 3000) + "b" + repeated(" THEN b END", 3000),
        repeated("a BETWEEN 1 AND NOT ", 3000) + "b", repeated("a[", 20000),
        "1 FROM x" + repeated(" JOIN x ON b AND b", 3000)})
    EXPECT_THAT(complaint(where, table), StartsWith("At location ")) << where.substr(0, 40);
}

TEST(ClauseLimits, DepthBelowTheLimitWorksOnASmallStack) {
  const auto where = repeated("(", 240) + "b" + repeated(" IS TRUE)", 240);
  auto answer = truth::failed;
  std::thread{[&] { answer = test::verdict(where, table, {"1", "t", "x"}); }}.join();
  EXPECT_EQ(answer, truth::yes);
}

TEST(ClauseLimits, EveryFormMayBeAsDeepAsTheLimitAllows) {
  test::columns wide = table;
  wide.push_back({.name = "ia", .type_name = "int4", .dimensions = 1});
  for (auto& c : wide)
    c.cases = case_rule::ascii;
  for (const auto& where :
       {repeated("lower(", 200) + "t" + repeated(")", 200) + " = 'x'",
        repeated("coalesce(", 200) + "a" + repeated(", 7)", 200) + " = 1",
        repeated("- ", 400) + "a = 1", repeated("ia[", 160) + "a" + repeated("]", 160) + " = 1",
        repeated("(a + ", 160) + "0" + repeated(")", 160) + " = 160",
        repeated("CASE WHEN b THEN ", 100) + "b" + repeated(" ELSE b END", 100),
        repeated("array_append(", 150) + "ia" + repeated(", 1)", 150) + " @> '{1}'",
        "t" + repeated("::text::varchar", 100) + " = 'x'"}) {
    auto answer = truth::failed;
    std::thread{[&] { answer = test::verdict(where, wide, {"1", "t", "x", "{1}"}); }}.join();
    EXPECT_EQ(answer, truth::yes) << where.substr(0, 40) << ": " << complaint(where, wide);
  }
}

TEST(ClauseLimits, WideClausesAreNotDeep) {
  const auto where = "a = 0" + repeated(" OR a = 7", 6000);
  EXPECT_EQ(test::verdict(where, table, {"7", {}, {}}), truth::yes);
  EXPECT_EQ(test::verdict(where, table, {"8", {}, {}}), truth::no);
}

TEST(ClauseLimits, LongListsAreSearchedNotWalkedThrough) {
  std::string where = "a IN (";
  for (int i = 0; i < 9000; ++i)
    where += std::to_string(2 * i) + ",";
  where += "-1)";
  const auto made = test::compile(where, table);
  ASSERT_TRUE(made) << made.error().message;
  for (const int x : {-1, 0, 2, 8998, 17998})
    EXPECT_EQ(test::evaluate(**made, {std::to_string(x), {}, {}}), truth::yes) << x;
  for (const int x : {-2, 1, 8999, 18000})
    EXPECT_EQ(test::evaluate(**made, {std::to_string(x), {}, {}}), truth::no) << x;
}

TEST(ClauseLimits, TheTextIsLimitedWithItsPrefix) {
  const std::string fits = "t = '" + std::string(65536 - 15 - 6, 'x') + "'";
  EXPECT_TRUE(test::compile(fits, table));
  EXPECT_THAT(complaint(fits + " ", table), HasSubstr("longer than 65536 bytes"));
}

TEST(ClauseLimits, TooManyNodesAreRefused) {
  EXPECT_THAT(complaint("a IN (1" + repeated(",1", 25000) + ")", table),
              HasSubstr("too many parts"));
}

TEST(ClauseLimits, AShortClauseThatMeansALongOneIsRefused) {
  std::string where = "b";
  for (int i = 0; i < 60; ++i)
    where = "(" + where + ") BETWEEN SYMMETRIC false AND true";
  EXPECT_THAT(complaint(where, table), HasSubstr("too large"));
  where = "b";
  for (int i = 0; i < 60; ++i)
    where = "(" + where + ") IS DISTINCT FROM b";
  EXPECT_THAT(complaint(where, table), HasSubstr("too large"));
  EXPECT_THAT(complaint(where + " IN (true, false)", table), StartsWith("At location "));
}

TEST(ClauseLimits, ALongParameterUsedOftenIsRefused) {
  const std::string text(60000, 'x');
  EXPECT_THAT(complaint("t <> $1" + repeated(" AND t <> $1", 30), table, {text}),
              HasSubstr("too large"));
  EXPECT_EQ(complaint("t = $1", table, {std::string(2'000'000, 'x')}), "(accepted)")
      << "how long they may be the caller says";
}

TEST(ClauseLimits, BytesThatAreNoTextAreRefused) {
  using namespace std::string_literals;
  EXPECT_THAT(complaint("t = 'a\0'"s, table), HasSubstr("UTF-8"));
  EXPECT_THAT(complaint("t = '\xff'", table), HasSubstr("UTF-8"));
  EXPECT_THAT(complaint("t = E'\\xff'", table), StartsWith("At location "));
}

} // namespace
} // namespace busbar::sql
