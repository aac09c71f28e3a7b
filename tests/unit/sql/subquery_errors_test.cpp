// Subqueries that are refused: where the complaint points, and what it says.
#include "tests/unit/sql/subquery_clause.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace busbar::sql {
namespace {

using test::compile_with_inner;
using test::plan_of;
using test::with_inner;
using ::testing::HasSubstr;

std::string complaint(std::string_view where) {
  const auto made = compile_with_inner(where);
  if (made)
    return "(accepted)";
  EXPECT_EQ(made.error().field, "where") << where;
  EXPECT_EQ(made.error().code, errc::invalid_argument) << where;
  return made.error().message;
}

TEST(SubqueryErrors, NameWhatIsNotSupported) {
  const std::pair<const char*, const char*> cases[] = {
      {"x IN (SELECT DISTINCT a FROM t)", "2: DISTINCT is not supported in a subquery"},
      {"x IN (SELECT a FROM t GROUP BY a)", "2: GROUP BY is not supported in a subquery"},
      {"x IN (SELECT a FROM t HAVING true)", "2: HAVING is not supported in a subquery"},
      {"x IN (SELECT a FROM t WINDOW w AS ())", "2: WINDOW is not supported in a subquery"},
      {"x IN (SELECT a FROM t ORDER BY a)", "2: ORDER BY is not supported in a subquery"},
      {"x IN (SELECT a FROM t LIMIT 1)", "2: LIMIT is not supported in a subquery"},
      {"x IN (SELECT a FROM t FETCH FIRST ROW ONLY)", "2: LIMIT is not supported in a subquery"},
      {"x IN (SELECT a FROM t OFFSET 1)", "2: OFFSET is not supported in a subquery"},
      {"x IN (SELECT a FROM t FOR UPDATE)", "2: FOR UPDATE is not supported in a subquery"},
      {"x IN (SELECT a INTO u FROM t)", "2: INTO is not supported in a subquery"},
      {"x IN (WITH q AS (SELECT 1) SELECT a FROM q)", "2: WITH is not supported in a subquery"},
      {"x IN (VALUES (1))", "2: VALUES is not supported in a subquery"},
      {"x IN (SELECT a FROM t UNION SELECT b FROM t)",
       "2: UNION, INTERSECT or EXCEPT is not supported in a subquery"},
      {"x IN (SELECT a FROM t, t AS u)", "2: a subquery selects from exactly one table"},
      {"x IN (SELECT a FROM t JOIN t u ON true)", "2: a subquery selects from exactly one table"},
      {"x IN (SELECT a FROM (SELECT 1) q)", "2: a subquery selects from exactly one table"},
      {"x IN (SELECT a FROM generate_series(1, 2) a)",
       "2: a subquery selects from exactly one table"},
      {"x IN (SELECT a FROM t TABLESAMPLE system (1))",
       "2: a subquery selects from exactly one table"},
      {"x IN (SELECT a FROM ONLY t)", "25: ONLY is not supported"},
      {"x IN (SELECT a FROM db.public.t)", "20: a table is named without its database"},
      {"x IN (SELECT a FROM t q(a))", "20: other names for columns are not supported"},
      {"x IN (SELECT * FROM t)", "13: * is not supported"},
      {"x IN (SELECT t.* FROM t)", "13: * is not supported"},
      {"x IN (TABLE t)", "0: * is not supported"},
      {"x IN (SELECT a + 1 FROM t)", "13: a subquery selects columns, and no expressions"},
      {"x IN (SELECT 1 FROM t)", "13: a subquery selects columns, and no expressions"},
      {"x IN (SELECT a::int4 FROM t)", "13: a subquery selects columns, and no expressions"},
      {"x IN (SELECT u.a FROM t)", "13: a subquery can only name columns of its own table"},
      {"x IN (SELECT t.a FROM t q)", "13: a subquery can only name columns of its own table"},
      {"x IN (SELECT a FROM t WHERE things.x = a)",
       "28: a subquery can only name columns of its own table"},
      {"x IN (SELECT a FROM t WHERE b IN (SELECT a FROM other.t q WHERE t.a = 1))",
       "64: a subquery can only name columns of its own table"},
      {"x IN (SELECT a FROM t WHERE x = 1)", "28: unknown column \"x\""},
      {"x IN (SELECT k FROM t)", "13: unknown column \"k\""},
      {"zzz IN (SELECT a FROM t)", "0: unknown column \"zzz\""},
      {"x IN (SELECT ctid FROM t)", "13: unknown column \"ctid\""},
      {"x IN (SELECT a FROM missing)", "2: a subquery cannot use table \"public.missing\""},
      {"x IN (SELECT a FROM nowhere.t)", "2: a subquery cannot use table \"nowhere.t\""},
      {"x IN (SELECT g FROM t)", "13: column \"g\" is generated and not in the replication stream"},
      {"g IN (SELECT a FROM t)", "0: column \"g\" is generated and not in the replication stream"},
      {"x IN (SELECT a FROM t WHERE g = 1)",
       "28: column \"g\" is generated and not in the replication stream"},
      {"x + 1 IN (SELECT a FROM t)",
       "2: the left side of IN (SELECT …) is a column or a list of columns"},
      {"1 IN (SELECT a FROM t)",
       "0: the left side of IN (SELECT …) is a column or a list of columns"},
      {"x::int4 IN (SELECT a FROM t)",
       "1: the left side of IN (SELECT …) is a column or a list of columns"},
      {"(x, 1) IN (SELECT a, b FROM t)",
       "4: the left side of IN (SELECT …) is a column or a list of columns"},
      {"x IN (SELECT a, b FROM t)", "2: subquery has too many columns"},
      {"(x, y) IN (SELECT a FROM t)", "7: subquery has too few columns"},
      {"EXISTS (SELECT a FROM t)", "0: of subqueries only IN (SELECT …) is supported"},
      {"x = (SELECT a FROM t)", "4: of subqueries only IN (SELECT …) is supported"},
      {"x < ANY (SELECT a FROM t)", "2: of subqueries only IN (SELECT …) is supported"},
      {"x <> ALL (SELECT a FROM t)", "2: of subqueries only IN (SELECT …) is supported"},
      {"x = ANY (ARRAY(SELECT a FROM t))", "9: of subqueries only IN (SELECT …) is supported"},
      {"x = ANY ((SELECT ia FROM t)::int4[])", "9: of subqueries only IN (SELECT …) is supported"},
      {"(x, y) = (SELECT a, b FROM t)", "9: of subqueries only IN (SELECT …) is supported"},
      {"(x IN (SELECT a FROM t)) IS TRUE",
       "3: IN (SELECT …) is supported below AND, OR and NOT only"},
      {"(b AND x IN (SELECT a FROM t)) IS NOT FALSE",
       "9: IN (SELECT …) is supported below AND, OR and NOT only"},
      {"(x IN (SELECT a FROM t)) IS NULL",
       "3: IN (SELECT …) is supported below AND, OR and NOT only"},
      {"(x IN (SELECT a FROM t)) = true",
       "3: IN (SELECT …) is supported below AND, OR and NOT only"},
      {"coalesce(x IN (SELECT a FROM t), false)",
       "11: IN (SELECT …) is supported below AND, OR and NOT only"},
      {"CASE WHEN x IN (SELECT a FROM t) THEN b ELSE false END",
       "12: IN (SELECT …) is supported below AND, OR and NOT only"},
      {"x IN (SELECT l FROM t)",
       "0: IN (SELECT …) needs equal types, and \"x\" is of type integer, "
       "\"l\" of type bigint"},
      {"s IN (SELECT v FROM t)", "0: IN (SELECT …) needs equal types, and \"s\" is of type text, "
                                 "\"v\" of type character varying"},
      {"m IN (SELECT m2 FROM t)",
       "0: IN (SELECT …) needs equal types, and \"m\" is of type mood, \"m2\" of type mood"},
      {"j IN (SELECT j FROM t)", "0: IN (SELECT …) is not supported for type jsonb"},
      {"ia IN (SELECT ia FROM t)", "0: IN (SELECT …) is not supported for type integer[]"},
      {"net IN (SELECT net FROM t)", "0: IN (SELECT …) is not supported for type inet"},
      {"w IN (SELECT w FROM t)", "2: a column has a nondeterministic collation"},
      {"s IN (SELECT w FROM t)", "2: it is not clear which of two columns' collations is meant"},
      {"x IN (SELECT a FROM t WHERE a = 'one')",
       "32: invalid input syntax for type integer: \"one\""},
  };
  for (const auto& [where, message] : cases)
    EXPECT_EQ(complaint(where), "At location " + std::string{message}) << where;
}

TEST(SubqueryErrors, NotInNeedsColumnsThatAreNotNull) {
  const std::pair<const char*, const char*> cases[] = {
      {"x NOT IN (SELECT id FROM t)", "x"},
      {"k NOT IN (SELECT a FROM t)", "a"},
      {"(k, y) NOT IN (SELECT id, id FROM t)", "y"},
      {"NOT (b OR k IN (SELECT a FROM t))", "a"},
      {"x IN (SELECT a FROM t WHERE NOT id IN (SELECT b FROM t))", "b"},
  };
  for (const auto& [where, name] : cases)
    EXPECT_THAT(complaint(where),
                HasSubstr("needs columns that are NOT NULL on both sides, and \"" +
                          std::string{name} + "\" may be NULL"))
        << where;
  EXPECT_EQ(plan_of("NOT NOT x IN S0"), "x IN 0");
  EXPECT_EQ(plan_of("(k, k) NOT IN (SELECT id, id FROM t)"), "NOT (k,k) IN 0");
}

TEST(SubqueryErrors, OneSubqueryHasOnePolarity) {
  EXPECT_EQ(complaint("k IN (SELECT id FROM t) OR (b AND k NOT IN (SELECT t.id FROM t))"),
            "At location 36: one subquery cannot be used both with and without NOT");
}

TEST(SubqueryErrors, TooManyAlternativesAreRefused) {
  std::string where;
  for (int i = 0; i < 6; ++i)
    where += (i > 0 ? " AND " : "") + std::string{"(x IN (SELECT a FROM t) OR b IS NULL)"};
  EXPECT_NE(with_inner(where), nullptr); // 64
  EXPECT_THAT(complaint(where + " AND (x IN (SELECT a FROM t) OR b)"),
              HasSubstr("more than 100 alternatives"));
  for (int i = 0; i < 40; ++i)
    where += " AND (x IN (SELECT a FROM t) OR b IS NULL)";
  EXPECT_THAT(complaint(where), HasSubstr("more than 100 alternatives"));
}

TEST(SubqueryErrors, DepthIsLimited) {
  const auto nested = [](int levels) {
    std::string where = "x IN (SELECT a FROM t";
    for (int i = 1; i < levels; ++i)
      where += " WHERE b IN (SELECT a FROM t";
    return where + std::string(static_cast<std::size_t>(levels), ')');
  };
  EXPECT_NE(with_inner(nested(8)), nullptr);
  EXPECT_THAT(complaint(nested(9)), HasSubstr("subqueries are nested too deeply"));
  EXPECT_THAT(complaint(nested(60)), HasSubstr("subqueries are nested too deeply"));
  EXPECT_THAT(complaint(nested(2000)), HasSubstr("nested too deeply"));
}

TEST(SubqueryErrors, AListOfManyIsNoAlternative) {
  std::string where = "x IN (SELECT a FROM t) AND y IN (0";
  for (int i = 1; i < 500; ++i)
    where += ", " + std::to_string(i);
  EXPECT_EQ(with_inner(where + ")")->subqueries()->disjunct_ends.size(), 1u);
}

} // namespace
} // namespace busbar::sql
