#include "tests/unit/sql/clause.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace busbar::sql {
namespace {

using test::complaint;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const test::columns table = test::typed({{"a", "int4"},
                                         {"t", "text"},
                                         {"b", "bool"},
                                         {"d", "date"},
                                         {"ts", "timestamptz"},
                                         {"u", "uuid"},
                                         {"j", "jsonb"}});

TEST(ClauseErrors, SyntaxErrorNamesTheByteInTheWholeStatement) {
  EXPECT_EQ(complaint("1 x 1"), "At location 17: syntax error at or near \"x\"");
  EXPECT_EQ(complaint(""), "At location 15: syntax error at end of input");
  EXPECT_EQ(complaint("a ="), "At location 18: syntax error at end of input");
  EXPECT_EQ(complaint("'open"), "At location 15: unterminated quoted string at or near \"'open\"");
}

TEST(ClauseErrors, SyntaxErrorCountsBytesNotCharacters) {
  EXPECT_EQ(complaint("'é' 1"), "At location 20: syntax error at or near \"1\"");
}

TEST(ClauseErrors, OtherErrorsCountFromTheStartOfTheClause) {
  EXPECT_EQ(complaint("zzz = 1", table), "At location 0: unknown column \"zzz\"");
  EXPECT_EQ(complaint("a = 1 AND zzz = 1", table), "At location 10: unknown column \"zzz\"");
  EXPECT_EQ(complaint("a = 'x'", table),
            "At location 4: invalid input syntax for type integer: \"x\"");
}

TEST(ClauseErrors, EveryRefusalBlamesTheRightField) {
  EXPECT_EQ(test::compile("1 x 1").error().field, "where");
  EXPECT_EQ(test::compile("a = 'x'", table).error().field, "where");
  EXPECT_EQ(test::compile("a = $1", table).error().field, "params");
  EXPECT_EQ(test::compile("a = $1", table, {"x"}).error().field, "params");
  EXPECT_EQ(test::compile("a = $0", table, {"1"}).error().field, "params");
  EXPECT_EQ(test::compile("a = $1 AND t = $1", table, {"1"}).error().field, "where");
  EXPECT_EQ(test::compile("1 x 1").error().code, errc::invalid_argument);
}

TEST(ClauseErrors, NothingButOneExpressionIsAllowed) {
  for (const auto* where : {"true LIMIT 1", "true OFFSET 0", "true ORDER BY 1", "true GROUP BY 1",
                            "true FOR UPDATE", "true UNION SELECT 1", "true HAVING true",
                            "true WINDOW w AS ()", "true FETCH FIRST ROW ONLY",
                            "true INTERSECT SELECT 1", "true;", "true; SELECT 1", "true) OR (true"})
    EXPECT_THAT(complaint(where), StartsWith("At location ")) << where;
}

TEST(ClauseErrors, CommentsDisappear) {
  EXPECT_EQ(test::verdict("a /* ; */ = 1 -- ; and the rest", test::typed({{"a", "int4"}}), {"1"}),
            truth::yes);
}

TEST(ClauseErrors, UnsupportedConstructsAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"a IN (SELECT 1)", "At location 2: a subquery selects from exactly one table"},
      {"EXISTS (SELECT 1)", "At location 0: of subqueries only IN (SELECT …) is supported"},
      {"t SIMILAR TO 'x'", "At location 2: SIMILAR TO is not supported"},
      {"t ~ 'x'", "At location 2: operator ~ is not supported"},
      {"t COLLATE \"C\" = 'x'", "At location 2: COLLATE is not supported"},
      {"B'1' = B'1'", "At location 0: bit strings are not supported"},
      {"x.a = 1", "At location 0: a column is named without its table"},
      {"a OPERATOR(public.=) 1", "At location 2: only built-in operators are supported"},
      {"public.lower(t) = 'x'", "At location 0: only built-in functions are supported"},
      {"now() > ts", "At location 0: function now is not supported"},
      {"md5(t) = 'x'", "At location 0: function md5 is not supported"},
      {"count(*) > 0",
       "At location 0: aggregates, window functions and VARIADIC are not supported"},
      {"a::public.int4 = 1", "At location 1: casts to \"int4\" are not supported"},
      {"a::money = '1'", "At location 1: casts to \"money\" are not supported"},
      {"(a, b) = 1", "At location 7: a row can be compared with a row only"},
      {"(a).x = 1", "At location 1: field selection is not supported"},
      {"extract(century from d) = 21", "At location 0: extract does not support \"century\""},
      {"a = 1 AND 1 / 0 = 1",
       "At location 12: this part is an error for every row: an overflow, a division by zero or an "
       "invalid value"},
  };
  for (const auto& [where, message] : cases)
    EXPECT_EQ(complaint(where, table), message) << where;
  EXPECT_THAT(complaint("CURRENT_DATE > d", table), HasSubstr("depend on more than the row"));
}

TEST(ClauseErrors, LiteralsThatMeanSomethingElseTomorrowAreRefused) {
  for (const auto* word : {"now", "today", " Tomorrow ", "YESTERDAY", "now 10:00"}) {
    EXPECT_THAT(complaint("d = '" + std::string{word} + "'", table),
                HasSubstr("means something else every time"));
    EXPECT_THAT(complaint("ts = '" + std::string{word} + "'", table),
                HasSubstr("means something else every time"));
  }
}

TEST(ClauseErrors, InvalidLiteralsAreRefused) {
  for (const auto* where : {"a = ''",
                            "a = '1.0'",
                            "a = '2147483648'",
                            "a = '1 2'",
                            "a = '+-1'",
                            "a = '0x10'",
                            "b = 'maybe'",
                            "b = 'o'",
                            "u = 'not-a-uuid'",
                            "u = '550e8400-e29b-41d4-a716-44665544000'",
                            "u = '550e8400-e29b-41d4-a716-446655440000 '",
                            "d = '2023-02-29'",
                            "d = '2024-13-01'",
                            "d = '0000-01-01'",
                            "d = '5874898-01-01'",
                            "d = '4714-11-23 BC'",
                            "d = 'someday'",
                            "ts = '294277-01-01'",
                            "ts = '2024-01-01 24:00:01'",
                            "ts = '2024-01-01 13:00 PM'",
                            "'1e400'::float8 > 1",
                            "'1e-400'::float8 > 1",
                            "'1e300000'::numeric > 1",
                            "'.'::numeric = 1",
                            "'1e'::float8 = 1"})
    EXPECT_THAT(complaint(where, table), StartsWith("At location ")) << where;
}

TEST(ClauseErrors, TypesThatDoNotCompareAreRefused) {
  for (const auto* where :
       {"a = true", "a = t", "u = t", "d = t", "a LIKE '1%'", "a AND b", "NOT a", "a IS TRUE", "a",
        "t", "a IN (1, true)", "a IN (1, 'x')", "b = 1", "a = ANY (ARRAY['1', '2'])", "u < d"})
    EXPECT_THAT(complaint(where, table), StartsWith("At location ")) << where;
}

TEST(ClauseErrors, ThereAreNoArraysOfArrays) {
  const test::columns x{column{.name = "x", .type_name = "int4", .dimensions = 1}};
  EXPECT_THAT(complaint("x = ANY ('{1}')", x), HasSubstr("no arrays of arrays"));
  EXPECT_THAT(complaint("x = ANY (x)", x), HasSubstr("operator = does not exist"));
}

TEST(ClauseErrors, OfAnOpaqueColumnOnlyItsPresenceCanBeAsked) {
  const test::columns j{column{"j", "json"}};
  for (const auto* where : {"j = '{}'", "j IN ('{}', '[]')", "j::text = '{}'", "j || 'x' = 'x'",
                            "coalesce(j, j) IS NULL", "ARRAY[j] IS NULL", "j = ANY ('{}')",
                            "concat(j) = 'x'", "j -> 'a' IS NULL"})
    EXPECT_THAT(complaint(where, j), HasSubstr("only IS NULL")) << where;
  EXPECT_EQ(test::verdict("j IS NOT NULL", j, {"{not even json"}), truth::yes);
  EXPECT_EQ(test::verdict("j IS DISTINCT FROM NULL", j, {std::nullopt}), truth::no);
}

TEST(ClauseErrors, TypesOfOtherKindsAreOpaqueWhateverTheirName) {
  const column domain{"x", "int4", "d"}; // nobody said over what
  const column label{"x", "mood", "e"};
  const column range{"x", "int4range", "r"};
  const column many{"x", "int4range", "r", 1};
  for (const auto& x : {domain, label, range, many}) {
    EXPECT_THAT(complaint("x = '1'", {x}), HasSubstr("only IS NULL"));
    EXPECT_EQ(test::verdict("x IS NULL", {x}, {"{1}"}), truth::no);
  }
}

TEST(ClauseErrors, GeneratedColumnsAreRefusedEvenForNullTests) {
  column x{"x", "int4"};
  x.generated = true;
  EXPECT_THAT(complaint("x IS NULL", {x}), HasSubstr("is generated"));
}

TEST(ClauseErrors, OrderOfTextNeedsBytewiseCollation) {
  column t{"t", "text"};
  t.ordered_bytewise = false;
  for (const auto* where : {"t < 'x'", "'x' >= t", "t BETWEEN 'a' AND 'b'", "t > ANY (ARRAY['a'])"})
    EXPECT_THAT(complaint(where, {t}), HasSubstr("collation")) << where;
  EXPECT_EQ(test::verdict("t = 'x' AND t IN ('x', 'y') AND t LIKE 'x%'", {t}, {"x"}), truth::yes);
}

TEST(ClauseErrors, NondeterministicCollationsAreRefused) {
  column t{"t", "varchar"};
  t.deterministic = false;
  for (const auto* where : {"t = 'x'", "t IN ('x', 'y')", "t LIKE 'x'", "t IS DISTINCT FROM 'x'"})
    EXPECT_THAT(complaint(where, {t}), HasSubstr("nondeterministic")) << where;
  EXPECT_EQ(test::verdict("t IS NULL", {t}, {"x"}), truth::no);
}

TEST(ClauseErrors, OrderOfTwoTextLiteralsNeedsNoCollationOnlyIfOneIsAPrefix) {
  EXPECT_EQ(test::verdict("'1' < '10'"), truth::yes);
  EXPECT_THAT(complaint("'a' < 'B'"), HasSubstr("collation"));
}

TEST(ClauseErrors, ParametersTakeTheTypeOfTheirFirstUse) {
  EXPECT_EQ(test::verdict("a = $1 AND a <> $2", table, {"5", {}, {}, {}, {}, {}, {}}, {"5", "6"}),
            truth::yes);
  EXPECT_THAT(complaint("a = $1 AND t = $1", table, {"1"}), HasSubstr("operator = does not exist"));
  EXPECT_THAT(complaint("$1 IS NULL", {}, {"1"}), HasSubstr("could not determine data type"));
  EXPECT_EQ(complaint("a = $2", table, {"1"}), "At location 4: there is no parameter $2");
}

TEST(ClauseErrors, ParametersMustBeTextThatPostgresWouldStore) {
  using namespace std::string_literals;
  for (const auto& text : {"a\0b"s, "\xff"s, "\xed\xa0\x80"s, "\xc0\x80"s, "\xe2\x82"s})
    EXPECT_EQ(test::compile("t = $1", table, {text}).error().field, "params");
}

} // namespace
} // namespace busbar::sql
