#include "sql/packed_atoms.hpp"
#include "sql/program.hpp"
#include "sql/program_pool.hpp"
#include "sql/subquery.hpp"
#include "tests/unit/sql/clause.hpp"
#include "tests/unit/sql/random_clause.hpp"

#include <gtest/gtest.h>

namespace busbar::sql {
namespace {

result<test::compiled> compile(std::string_view where, program_pool& pool) {
  return predicate::compile(where, {}, test::every_type(), {}, {}, &pool);
}

TEST(ProgramPool, ClausesThatDifferInConstantsShareTheRest) {
  program_pool pool;
  std::vector<test::compiled> kept;
  for (int i = 0; i < 100; ++i) {
    kept.push_back(*compile("a = " + std::to_string(i), pool));
    kept.push_back(*compile("a > " + std::to_string(i) + " AND b", pool));
  }
  EXPECT_EQ(pool.size(), 2u);
}

TEST(ProgramPool, WhatNobodyUsesAnyMoreIsForgotten) {
  program_pool pool;
  for (int i = 1; i < 2'000; ++i) {
    std::string list = "0";
    for (int k = 0; k <= i % 500; ++k)
      list += ", " + std::to_string(k + 1);
    ASSERT_TRUE(compile("a IN (" + list + ")", pool));
    ASSERT_LE(pool.size(), 64u);
  }
}

TEST(ProgramPool, ASharedProgramAnswersAsOneOfItsOwn) {
  auto random = test::seeded_random();
  test::clause_maker maker{random};
  std::vector<test::row> rows;
  for (int i = 0; i < 30; ++i)
    rows.push_back(test::random_row(random));
  program_pool pool;
  std::vector<test::compiled> kept;
  for (int round = 0; round < 3'000; ++round) {
    const auto where = maker.condition(round % 3);
    const auto own = test::compile(where, test::every_type());
    const auto sharing = compile(where, pool);
    ASSERT_EQ(own.has_value(), sharing.has_value());
    if (!own)
      continue;
    kept.push_back(*sharing);
    EXPECT_EQ((*own)->to_sql(), (*sharing)->to_sql());
    EXPECT_EQ((*own)->canonical(), (*sharing)->canonical());
    for (const auto& row : rows)
      ASSERT_EQ(test::evaluate(**own, row), test::evaluate(**sharing, row)) << where;
  }
  EXPECT_LT(pool.size(), kept.size() / 2) << "hardly anything was shared";
}

TEST(PackedAtoms, AreReadBackAsTheyWere) {
  const std::string binary{"\0\x80\xff", 3};
  const std::vector<conjunction> all{
      {.atoms = {}, .complete = true},
      {.atoms = {{.kind = atom::kind_type::one_of,
                  .form = {.column = 700, .from = type::int4, .as = type::numeric},
                  .keys = {binary, "", std::string(1'000, 'k')}},
                 {.kind = atom::kind_type::range,
                  .form = {.column = 1, .elements = true},
                  .lower = {true, false, "low"},
                  .upper = {false, false, ""}}},
       .complete = false}};
  const auto read = unpack(pack(all));
  ASSERT_EQ(read.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(read[i].complete, all[i].complete);
    ASSERT_EQ(read[i].atoms.size(), all[i].atoms.size());
    for (std::size_t k = 0; k < all[i].atoms.size(); ++k) {
      const auto& was = all[i].atoms[k];
      const auto& is = read[i].atoms[k];
      EXPECT_EQ(is.kind, was.kind);
      EXPECT_EQ(is.form, was.form);
      EXPECT_EQ(is.keys, was.keys);
      for (const auto bound : {&atom::lower, &atom::upper}) {
        EXPECT_EQ((is.*bound).exists, (was.*bound).exists);
        EXPECT_EQ((is.*bound).inclusive, (was.*bound).inclusive);
        EXPECT_EQ((is.*bound).key, (was.*bound).key);
      }
    }
  }
  EXPECT_TRUE(unpack(pack({})).empty());
}

TEST(Subqueries, AreNotOverlookedWithoutParsing) {
  EXPECT_FALSE(may_have_subqueries(""));
  EXPECT_FALSE(may_have_subqueries("a = 1 AND t LIKE 'x%'"));
  EXPECT_TRUE(may_have_subqueries("a IN (SELECT b FROM t)"));
  EXPECT_TRUE(may_have_subqueries("a IN (\nsElEcT b FROM t)"));
  EXPECT_TRUE(may_have_subqueries("a IN (TABLE t)"));
  EXPECT_TRUE(may_have_subqueries("a IN (VALUES (1))"));
}

} // namespace
} // namespace busbar::sql
