// Clauses with IN (SELECT …): what is accepted, and its plan.
#include "tests/unit/sql/subquery_clause.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace busbar::sql {
namespace {

using test::compile_with_inner;
using test::is_open;
using test::plan_of;
using test::plan_text;
using test::table;
using test::with_inner;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Subquery, AClauseWithoutOneHasNoPlan) {
  EXPECT_EQ(with_inner("x = 1")->subqueries(), nullptr);
}

TEST(Subquery, DropsOutWhereItDecidesNothing) {
  const auto made = with_inner("x IN (SELECT a FROM t) OR true");
  EXPECT_EQ(made->subqueries(), nullptr);
  EXPECT_EQ(made->evaluate({}), truth::yes);
}

TEST(Subquery, IsDescribedWithItsTableColumnsAndCondition) {
  const auto made = with_inner("(y, x) IN (SELECT b, a FROM t WHERE l = 5000000000)");
  const auto& plan = *made->subqueries();
  ASSERT_EQ(plan.subqueries.size(), 1u);
  const auto& s = plan.subqueries[0];
  EXPECT_EQ(s.schema, "public");
  EXPECT_EQ(s.table, "t");
  EXPECT_THAT(s.columns, ElementsAre(2, 1)); // as written, whatever their names
  EXPECT_THAT(s.keys, ElementsAre(key_form{2, type::int4, type::int4, false},
                                  key_form{1, type::int4, type::int4, false}));
  EXPECT_THAT(plan.positions[0].left, ElementsAre(key_form{1, type::int4, type::int4, false},
                                                  key_form{0, type::int4, type::int4, false}));
  EXPECT_EQ(s.where->to_sql(), R"(("l" OPERATOR(pg_catalog.=) '5000000000'::pg_catalog.int8))");
  const std::string sql = R"(SELECT "t"."b", "t"."a" FROM "public"."t" WHERE ("t"."l" )"
                          R"(OPERATOR(pg_catalog.=) '5000000000'::pg_catalog.int8))";
  EXPECT_EQ(s.sql, sql);
  EXPECT_EQ(made->to_sql(), R"((ROW("y", "x") OPERATOR(pg_catalog.=) ANY ()" + sql + "))");
}

TEST(Subquery, WithoutConditionHasNone) {
  for (const auto* where : {"x IN (SELECT a FROM t)", "x IN (SELECT a FROM t WHERE true)"})
    EXPECT_EQ(with_inner(where)->subqueries()->subqueries[0].where, nullptr);
}

TEST(Subquery, IsNeverAnsweredFromTheRowAlone) {
  const std::vector<cell> row(table.size(), cell{"1"});
  EXPECT_EQ(with_inner("x = 1 OR x IN (SELECT a FROM t)")->evaluate(row), truth::failed);
}

TEST(Subquery, SpellingsMeanTheSame) {
  const std::pair<const char*, const char*> cases[] = {
      {"x IN (SELECT a FROM t)", "x = ANY (SELECT a FROM t)"},
      {"x IN (SELECT a FROM t)", "x = SOME ((SELECT ALL t.a AS other FROM public.t))"},
      {"x IN (SELECT a FROM t)", "ROW(x) OPERATOR(pg_catalog.=) ANY (SELECT (a) FROM public.t)"},
      {"x IN (SELECT a FROM t)", "x IN (SELECT q.a FROM t AS q WHERE 1 = 1)"},
      {"x IN (SELECT a FROM t WHERE b = 1)", "x IN (SELECT q.a FROM t q WHERE 1 = q.b)"},
      {"k NOT IN (SELECT id FROM t)", "NOT (k IN (SELECT id FROM t))"},
      {"k NOT IN (SELECT id FROM t)", "NOT k = ANY (SELECT id FROM t)"},
      {"x IN (SELECT a FROM t) AND s = 'open'", "'open' = s AND x IN (SELECT a FROM t)"},
      {"x IN (SELECT a FROM t WHERE b IN (2, 1))", "x IN (SELECT a FROM t WHERE b = 1 OR b = 2)"},
      {"x IN (SELECT a FROM t)", "NOT NOT x IN (SELECT a FROM t)"},
  };
  for (const auto& [one, other] : cases)
    EXPECT_EQ(with_inner(one)->canonical(), with_inner(other)->canonical())
        << one << " and " << other;
}

TEST(Subquery, CanonicalFormsDifferWhereTheAnswersMay) {
  const std::pair<const char*, const char*> cases[] = {
      {"x IN (SELECT a FROM t)", "x IN (SELECT b FROM t)"},
      {"x IN (SELECT a FROM t)", "y IN (SELECT a FROM t)"},
      {"x IN (SELECT a FROM t)", "x IN (SELECT a FROM other.t)"},
      {"x IN (SELECT a FROM t)", "x IN (SELECT a FROM t WHERE flag)"},
      {"(x, y) IN (SELECT a, b FROM t)", "(x, y) IN (SELECT b, a FROM t)"},
      {"k IN (SELECT id FROM t)", "k NOT IN (SELECT id FROM t)"},
  };
  for (const auto& [one, other] : cases)
    EXPECT_NE(with_inner(one)->canonical(), with_inner(other)->canonical())
        << one << " and " << other;
}

TEST(Subquery, NamesMayBeQuotedCapitalAndUnicode) {
  const auto made = with_inner(R"(x IN (SELECT "A b" FROM "Ünï ""t""" WHERE "A b" > 1))");
  EXPECT_EQ(made->subqueries()->subqueries[0].sql,
            R"(SELECT "Ünï ""t"""."A b" FROM "public"."Ünï ""t""" WHERE ("Ünï ""t"""."A b" )"
            R"(OPERATOR(pg_catalog.>) '1'::pg_catalog.int4))");
}

TEST(Subquery, ParametersAreTypedAtEachLevelByItself) {
  const auto made = with_inner("x IN (SELECT a FROM t WHERE s = $1) AND l = $1 AND s = '7'", {"7"});
  EXPECT_THAT(made->to_sql(), HasSubstr("'7'::pg_catalog.int8"));
  EXPECT_THAT(made->subqueries()->subqueries[0].sql, HasSubstr("'7'::pg_catalog.text"));
  EXPECT_EQ(compile_with_inner("x IN (SELECT a FROM t WHERE l = $2)", {"1"}).error().field,
            "params");
  EXPECT_EQ(compile_with_inner("x IN (SELECT a FROM t WHERE l = $1)", {"one"}).error().field,
            "params");
}

TEST(Subquery, MayBeOnAnyTypeThatHasKeys) {
  for (const auto* where :
       {"l IN (SELECT l FROM t)", "s IN (SELECT s FROM t)", "b IN (SELECT flag FROM t)",
        "c IN (SELECT c FROM t)", "m IN (SELECT m FROM t)"})
    EXPECT_NE(with_inner(where)->subqueries(), nullptr) << where;
}

TEST(Subquery, KeysOfOneValueAreEqualOnBothSides) {
  const auto made = with_inner("(c, m) IN (SELECT c, m FROM t)");
  const auto& plan = *made->subqueries();
  const std::pair<const char*, const char*> texts[] = {{"ab   ", "ab          "}, {"ok", "ok"}};
  for (std::size_t i = 0; i < 2; ++i) {
    std::string left;
    std::string right;
    ASSERT_TRUE(append_key(plan.positions[0].left[i], texts[i].first, left));
    ASSERT_TRUE(append_key(plan.subqueries[0].keys[i], texts[i].second, right));
    EXPECT_EQ(left, right);
  }
}

TEST(SubqueryPlan, NumbersPositionsOverTheDisjuncts) {
  EXPECT_EQ(plan_of("(x IN S0 AND s = 'open') OR y IN S1"),
            "x IN 0 & " + std::string{is_open} + " | y IN 1");
  const auto made = with_inner("(x IN (SELECT a FROM t) AND s = 'open') OR y IN (SELECT b FROM t)");
  EXPECT_THAT(made->subqueries()->disjunct_ends, ElementsAre(2, 3));
}

TEST(SubqueryPlan, MultipliesOut) {
  EXPECT_EQ(plan_of("(x IN S0 OR y IN S1) AND (b OR k IN S2)"),
            R"(x IN 0 & "b" | x IN 0 & k IN 2 | y IN 1 & "b" | y IN 1 & k IN 2)");
}

TEST(SubqueryPlan, CountsSubqueriesInTheOrderOfTheClause) {
  // Positions reach k IN S2 before y IN S1.
  EXPECT_EQ(plan_of("(x IN S0 OR y IN S1) AND k IN S2"), "x IN 0 & k IN 2 | y IN 1 & k IN 2");
}

TEST(SubqueryPlan, HasOneSubqueryForEqualOnes) {
  EXPECT_EQ(plan_of("x IN S0 OR y IN S0"), "x IN 0 | y IN 0");
  EXPECT_EQ(plan_text("x IN (SELECT a FROM t WHERE b = 1 AND flag) OR "
                      "y IN (SELECT q.a FROM public.t q WHERE flag AND 1 = b)"),
            "x IN 0 | y IN 0");
}

TEST(SubqueryPlan, KeepsPartsWithoutSubqueriesTogether) {
  const auto made =
      with_inner("(x = 1 OR y = 2 OR x IN (SELECT a FROM t)) AND s IN ('a','b','c') AND "
                 "k BETWEEN SYMMETRIC 1 AND 5 AND (b OR l > 1)");
  const auto& plan = *made->subqueries();
  ASSERT_THAT(plan.disjunct_ends, ElementsAre(2, 4));
  EXPECT_EQ(plan.positions[0].leaf->canonical(), with_inner("x = 1 OR y = 2")->canonical());
  EXPECT_EQ(plan.positions[1].leaf->canonical(),
            with_inner("s IN ('a','b','c') AND k BETWEEN SYMMETRIC 1 AND 5 AND (b OR l > 1)")
                ->canonical());
  EXPECT_EQ(plan.positions[1].leaf, plan.positions[3].leaf);
}

TEST(SubqueryPlan, PushesNotDown) {
  EXPECT_EQ(plan_of("NOT (k IN S2 OR s = 'open')"), "NOT k IN 0 & NOT " + std::string{is_open});
  EXPECT_EQ(plan_of("NOT (k IN S2 AND s = 'open')"), "NOT k IN 0 | NOT " + std::string{is_open});
  EXPECT_EQ(plan_of("NOT (b AND NOT (x IN S0 OR s = 'open'))"),
            R"(NOT "b" | x IN 0 | )" + std::string{is_open});
  EXPECT_EQ(plan_of("NOT (NOT x IN S0 OR (b AND b IS TRUE))"),
            R"(x IN 0 & NOT ("b" AND ("b" IS TRUE)))");
  EXPECT_EQ(plan_of("x IN S0 AND NOT b"), R"(x IN 0 & (NOT "b"))"); // NOT alone is a leaf's own
}

TEST(SubqueryPlan, OfNestedSubqueriesIsTheirsAlone) {
  const auto valid =
      with_inner("x IN (SELECT a FROM t WHERE flag AND (b, id) IN "
                 "(SELECT a, b FROM t WHERE b IN (SELECT a FROM other.t) OR s = '')) AND b");
  const auto& outer = *valid->subqueries();
  ASSERT_EQ(outer.subqueries.size(), 1u);
  const auto& middle = *outer.subqueries[0].where;
  ASSERT_NE(middle.subqueries(), nullptr);
  ASSERT_EQ(middle.subqueries()->subqueries.size(), 1u);
  EXPECT_THAT(middle.columns_used(), ElementsAre(2, 3, 6));
  const auto& innermost = *middle.subqueries()->subqueries[0].where;
  ASSERT_EQ(innermost.subqueries()->subqueries.size(), 1u);
  EXPECT_EQ(innermost.subqueries()->subqueries[0].sql, R"(SELECT "t"."a" FROM "other"."t")");
  EXPECT_THAT(valid->columns_used(), ElementsAre(0, 5));
}

TEST(SubqueryPlan, ColumnsUsedAreThoseOfLeavesAndLeftSides) {
  EXPECT_THAT(with_inner("(y, x) IN (SELECT a, b FROM t) OR (s = 'a' AND k IN (SELECT a FROM t))")
                  ->columns_used(),
              ElementsAre(0, 1, 2, 4));
}

TEST(SubqueryPlan, ConjunctionsLeaveMembershipOpen) {
  const auto anything = with_inner("x IN (SELECT a FROM t)");
  ASSERT_EQ(anything->conjunctions().size(), 1u);
  EXPECT_THAT(anything->conjunctions()[0].atoms, IsEmpty());
  const auto some = with_inner("x IN (SELECT a FROM t) AND s = 'open' OR l = 3");
  ASSERT_EQ(some->conjunctions().size(), 2u);
  for (const auto& c : some->conjunctions()) {
    EXPECT_EQ(c.atoms.size(), 1u);
    EXPECT_FALSE(c.complete);
  }
}

TEST(SubqueryPlan, IsTheSameAfterARoundTripThroughSql) {
  for (const auto* where :
       {"x IN (SELECT a FROM t)", "NOT (k IN (SELECT id FROM t) OR s = 'open')",
        "(x, y) IN (SELECT b, a FROM t WHERE s LIKE 'a%') AND (b OR k IN (SELECT id FROM t))",
        "(x IN (SELECT a FROM t) OR y IN (SELECT b FROM t)) AND s IN ('a', 'b') AND l > 3 AND NOT "
        "b",
        "x IN (SELECT a FROM t WHERE b IN (SELECT a FROM other.t WHERE a > 1) OR flag)",
        R"(x IN (SELECT "A b" FROM "Ünï ""t"""))", "m IN (SELECT m FROM t WHERE m = 'ok')"}) {
    const auto made = with_inner(where);
    for (const auto& text : {made->to_sql(), made->canonical()})
      EXPECT_EQ(with_inner(text)->canonical(), made->canonical()) << text;
    EXPECT_EQ(with_inner(made->to_sql())->to_sql(), made->to_sql());
    EXPECT_EQ(plan_text(made->to_sql()), plan_text(where));
    const auto again = with_inner(made->to_sql());
    for (std::size_t i = 0; i < made->subqueries()->subqueries.size(); ++i) {
      const auto& one = made->subqueries()->subqueries[i];
      EXPECT_EQ(one.sql, again->subqueries()->subqueries[i].sql);
      EXPECT_EQ(one.canonical, again->subqueries()->subqueries[i].canonical);
    }
  }
}

TEST(InnerTables, AreNamedOnceInOrder) {
  const auto named = inner_tables(
      "a IN (SELECT b FROM \"T\" WHERE c IN (SELECT d FROM z.u)) OR e IN (SELECT f FROM t) OR "
      "NOT g IN (SELECT h FROM public.\"T\" AS v)");
  ASSERT_TRUE(named) << named.error().message;
  EXPECT_THAT(*named, ElementsAre(table_name{"public", "T"}, table_name{"z", "u"},
                                  table_name{"public", "t"}));
  EXPECT_THAT(*inner_tables("a = 1"), IsEmpty());
}

TEST(InnerTables, ComplainAsCompilingDoes) {
  for (const auto* where :
       {"a IN (SELECT", "(x IN (SELECT a FROM t)) IS TRUE", "EXISTS (SELECT 1)"})
    EXPECT_EQ(inner_tables(where).error().message, compile_with_inner(where).error().message)
        << where;
}

} // namespace
} // namespace busbar::sql
