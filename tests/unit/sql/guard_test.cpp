// Clauses joined as trees: the outcome says both, says nothing else, and no error of the one tells
// of rows that the other hides.
#include "sql/expression_text.hpp"
#include "sql/guard.hpp"
#include "sql/parse.hpp"
#include "tests/unit/sql/random_clause.hpp"
#include "tests/unit/sql/subquery_clause.hpp"
#include "tests/unit/sql/vectors.hpp"

#include <gtest/gtest.h>

namespace busbar::sql {
namespace {

const guard_finder nobody = [](const table_name&) -> const table_guard* { return nullptr; };

table_guard guard_of(const char* rows, std::vector<std::string> values = {},
                     std::optional<std::vector<std::string>> columns = std::nullopt) {
  return {*condition::parse(rows), std::move(values), std::move(columns)};
}

/// The joined clause; "forbidden", or the complaint, if there is none.
std::string joined(std::string_view where, const table_guard& own,
                   const std::vector<std::string>& parameters = {},
                   const guard_finder& others = nobody) {
  const auto out = guard_clause(where, parameters, own, others);
  return out ? out->where : out.error().forbidden ? "forbidden" : out.error().why.message;
}

TEST(Guard, IsJoinedToTheClauseByAnd) {
  const auto own = guard_of("agency = 'x'");
  EXPECT_EQ(joined("id = 1 OR true", own), R"((("agency" = 'x') AND (("id" = 1) OR TRUE)))");
  EXPECT_EQ(joined("id = 1 -- the end", own), R"((("agency" = 'x') AND ("id" = 1)))");
  EXPECT_EQ(joined("", own), R"(("agency" = 'x'))");
  EXPECT_EQ(joined("id = 1", guard_of("true")), R"(("id" = 1))");
}

TEST(Guard, RefusesWhatIsNotOneClauseByItself) {
  const auto own = guard_of("agency = 'x'");
  for (const auto* clause :
       {"id = 1) OR (true", "true; SELECT 1", "id = 1 /*", "", "true ORDER BY 1"})
    EXPECT_EQ(joined(clause, own).find("OR TRUE"), std::string::npos) << clause;
  EXPECT_NE(joined("id = 1) OR (true", own).find("syntax error"), std::string::npos);
}

TEST(Guard, HasParametersOfItsOwnThatNobodyElseCanName) {
  const auto out = guard_clause("id = $1 AND id < $2", std::vector<std::string>{"5", "9"},
                                guard_of("agency = $1 AND team = $2", {"x", "7"}), nobody);
  ASSERT_TRUE(out);
  EXPECT_EQ(out->where, R"((("agency" = $3) AND ("team" = $4) AND (("id" = $1) AND ("id" < $2))))");
  EXPECT_EQ(out->parameters, (std::vector<std::string>{"5", "9", "x", "7"}));
  for (const auto* clause : {"id = $3", "id = $1 AND agency = $4", "id = $0"})
    EXPECT_NE(guard_clause(clause, std::vector<std::string>{"5", "9"},
                           guard_of("agency = $1 AND team = $2", {"x", "7"}), nobody)
                  .error()
                  .why.message.find("there is no parameter"),
              std::string::npos)
        << clause;
}

TEST(Guard, RefusesColumnsThatAreNotShownWhereverTheyStand) {
  const auto own = guard_of("agency = 'x'", {}, {{"agency", "id"}});
  EXPECT_NE(joined("id = 1 AND agency > 'a'", own), "forbidden");
  for (const auto* clause :
       {"secret = 1", "\"secret\" IS NULL", "id = 1 OR NOT (secret > 1)", "id IN (1, secret)",
        "CASE WHEN id = 1 THEN true ELSE secret = 1 END", "coalesce(secret, id) = 1",
        "ARRAY[id, secret] = '{1,2}'", "id BETWEEN 1 AND secret", "CAST(secret AS text) = ''",
        "xmin IS NULL", "ID = 1 AND \"ID\" = 1"})
    EXPECT_EQ(joined(clause, own), "forbidden") << clause;
}

TEST(Guard, ConfinesTheTablesOfSubqueriesToo) {
  const auto own = guard_of("agency = $1", {"x"});
  const auto teams = guard_of("owner = $1", {"y"}, {{"id", "owner"}});
  const guard_finder find = [&](const table_name& name) {
    return name == table_name{"public", "teams"} ? &teams : nullptr;
  };
  const auto out = guard_clause("team IN (SELECT id FROM teams)", {}, own, find);
  ASSERT_TRUE(out);
  EXPECT_EQ(
      out->where,
      R"((("agency" = $2) AND (("team") IN (SELECT "id" FROM "public"."teams" WHERE ("owner" = $1)))))");
  EXPECT_EQ(out->parameters, (std::vector<std::string>{"y", "x"}));
  EXPECT_EQ(
      joined("team IN (SELECT id FROM teams WHERE id > 1 OR true)", own, {}, find),
      R"((("agency" = $2) AND (("team") IN (SELECT "id" FROM "public"."teams" WHERE (("owner" = $1) AND (("id" > 1) OR TRUE))))))");
  for (const auto* clause :
       {"team IN (SELECT id FROM vault)", "team IN (SELECT id FROM other.teams)",
        "team IN (SELECT secret FROM teams)", "team IN (SELECT id FROM teams WHERE secret = 1)",
        "team IN (SELECT id FROM teams WHERE id IN (SELECT id FROM vault))",
        "NOT (id = 1 OR team IN (SELECT id FROM vault))"})
    EXPECT_EQ(joined(clause, own, {}, find), "forbidden") << clause;
  EXPECT_FALSE(guard_subset("team IN (SELECT id FROM teams)", {}, own));
}

TEST(Guard, LooksAtWhatCanFailOnItsOwnRowsOnly) {
  const auto own = guard_of("agency = 'x'");
  EXPECT_EQ(
      joined("1 / id > 0", own),
      R"((("agency" = 'x') AND (CASE WHEN ("agency" = 'x') THEN ((1 / "id") > 0) ELSE FALSE END)))");
  const auto subset = guard_subset("1 / id > 0 AND id > 5", {}, own);
  ASSERT_TRUE(subset);
  EXPECT_EQ(
      subset->where,
      R"(((CASE WHEN ("agency" = 'x') THEN ((1 / "id") > 0) ELSE FALSE END) AND ("id" > 5)))");
  // CASE cannot hold a subquery, so such a guard takes nothing that can fail.
  EXPECT_EQ(joined("1 / id > 0", guard_of("team IN (SELECT id FROM teams)")), "forbidden");
}

TEST(Guard, LeavesAnyClauseAsItWas) {
  std::size_t clauses = 0;
  for (const auto& vector : test::vectors::all()) {
    const auto v = test::vectors::prepare(vector);
    const auto before = test::vectors::compile(v);
    if (!before)
      continue;
    const auto out = guard_clause(v.where, v.parameters, guard_of("true"), nobody);
    ASSERT_TRUE(out) << v.id << ": " << v.where << ": " << out.error().why.message;
    const auto after = predicate::compile(out->where, out->parameters, v.columns,
                                          {true, true, case_rule::unicode});
    ASSERT_TRUE(after) << v.id << ": " << out->where << ": " << after.error().message;
    EXPECT_EQ((*before)->canonical(), (*after)->canonical()) << v.id;
    ++clauses;
  }
  EXPECT_GT(clauses, 100u);
}

TEST(Guard, AndAnyClauseAgreeWithBothAskedAlone) {
  auto random = test::seeded_random();
  test::clause_maker make{random};
  const auto columns = test::every_type();
  const auto ask = [&](const std::string& where, const test::row& row) {
    const auto p = predicate::compile(where, {}, columns);
    EXPECT_TRUE(p) << where << ": " << (p ? "" : p.error().message);
    return p ? test::evaluate(**p, row) : truth::failed;
  };
  for (int i = 0; i < 1'000; ++i) {
    const auto rows = make.condition(2);
    auto clause = make.condition(3);
    if (i % 3 == 0)
      clause = "(1 / (a - 1) > 0 OR " + clause + ")";
    const auto alone = predicate::compile(clause, {}, columns);
    if (!alone || !predicate::compile(rows, {}, columns))
      continue;
    const auto out = guard_clause(clause, {}, guard_of(rows.c_str()), nobody);
    ASSERT_TRUE(out) << rows << " | " << clause << ": " << out.error().why.message;
    for (int n = 0; n < 5; ++n) {
      const auto row = test::random_row(random);
      const auto allowed = ask(rows, row);
      const auto together = ask(out->where, row);
      if (allowed == truth::failed)
        continue; // of the guard's author, not of the client
      if (allowed == truth::yes)
        EXPECT_EQ(together == truth::yes, ask(clause, row) == truth::yes) << out->where;
      else
        EXPECT_TRUE(together == truth::no || together == truth::unknown)
            << out->where << " is " << together;
    }
  }
}

TEST(Guard, KnowsTheSameClauseInOtherWords) {
  const auto same = [](const char* a, const char* b) {
    return says_the_same(*condition::parse(a), std::vector<std::string>{"x", "y"},
                         *condition::parse(b), std::vector<std::string>{"y", "x"});
  };
  EXPECT_TRUE(same("a = $1", "(A) = $2 -- this"));
  EXPECT_TRUE(same("a = $1", "a = 'x'"));
  EXPECT_FALSE(same("a = $1", "a = $1"));
  EXPECT_FALSE(same("a = $1", "a = $3"));
  EXPECT_FALSE(same("a = $1 AND b", "b AND a = $2"));
}

} // namespace
} // namespace busbar::sql
