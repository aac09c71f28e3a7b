#include "sql/atoms.hpp"
#include "tests/unit/sql/clause.hpp"
#include "tests/unit/sql/random_clause.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace busbar::sql {
namespace {

using kind_type = atom::kind_type;
std::vector<conjunction> conjunctions(std::string_view where) {
  const auto made = test::compile(where, test::every_type());
  EXPECT_TRUE(made) << where << ": " << (made ? "" : made.error().message);
  if (!made)
    return {};
  const auto found = (*made)->conjunctions();
  return {found.begin(), found.end()};
}

std::vector<kind_type> kinds(const conjunction& c) {
  std::vector<kind_type> out;
  for (const auto& a : c.atoms)
    out.push_back(a.kind);
  return out;
}

TEST(Atoms, EachLeafThatAnIndexCanUseIsOne) {
  const std::pair<const char*, kind_type> cases[] = {
      {"a = 1", kind_type::one_of},
      {"1 = a", kind_type::one_of},
      {"a IN (1, 2)", kind_type::one_of},
      {"a = ANY ('{1,2}')", kind_type::one_of},
      {"a = 1 OR a = 2", kind_type::one_of},
      {"NOT (a <> 1)", kind_type::one_of},
      {"a IS NOT DISTINCT FROM 1", kind_type::one_of},
      {"a = 1.5", kind_type::one_of},
      {"a::int8 = 1", kind_type::one_of},
      {"b", kind_type::one_of},
      {"NOT b", kind_type::one_of},
      {"b IS TRUE", kind_type::one_of},
      {"b = false", kind_type::one_of},
      {"m = 'ok'", kind_type::one_of},
      {"m::text IN ('ok', 'sad')", kind_type::one_of},
      {"t LIKE 'abc'", kind_type::one_of},
      {"a > 1", kind_type::range},
      {"NOT a > 1", kind_type::range},
      {"a BETWEEN 1 AND 3", kind_type::range},
      {"d < '2024-01-01 10:00'::timestamp", kind_type::range},
      {"t LIKE 'ab%'", kind_type::prefix},
      {"t LIKE 'a\\%b_'", kind_type::prefix},
      {"ia @> '{1}'", kind_type::contains},
      {"ARRAY[1] <@ ia", kind_type::contains},
      {"1 = ANY (ia)", kind_type::contains},
      {"j ? 'a'", kind_type::contains},
      {"j @> '{\"a\": 1}'", kind_type::contains},
      {"'{\"a\": 1}' <@ j", kind_type::contains},
      {"j ->> 'a' = 'x'", kind_type::contains},
      {"j -> 'a' ->> 'b' <> 'x'", kind_type::contains},
      {"NOT (j ->> 'a')::int > 3", kind_type::contains},
      {"j ->> 'a' IN ('x', 'y')", kind_type::contains},
      {"j ->> 'a' LIKE '%x'", kind_type::contains},
      {"j -> 'a' IS NOT NULL", kind_type::contains},
      {"(j ->> 'a')::bool", kind_type::contains},
      {"ia && '{1,2}'", kind_type::overlaps},
      {"'{1,2}' && ia", kind_type::overlaps},
      {"a IS NULL", kind_type::is_null},
      {"NOT a IS NULL", kind_type::is_not_null},
      {"ia @> '{}'", kind_type::is_not_null},
  };
  for (const auto& [where, kind] : cases) {
    const auto found = conjunctions(where);
    ASSERT_EQ(found.size(), 1u) << where;
    EXPECT_EQ(kinds(found[0]), std::vector{kind}) << where;
  }
}

TEST(Atoms, WhatNoIndexKnowsSaysNothing) {
  for (const auto* where :
       {"a <> 1", "a + 1 = 2", "t LIKE '%a'", "t LIKE t", "a = l", "m > 'sad'", "NOT a IN (1, 2)",
        "t NOT LIKE 'a%'", "(a = 1) IS NOT TRUE", "a = 1 OR a <> 2", "ia = '{1}'", "j ->> 0 = 'x'",
        "j ->> t = 'x'", "j ->> 'a' IS NULL", "j ->> 'a' IS DISTINCT FROM 'x'",
        "NOT j ->> 'a' IN ('x', 'y')", "coalesce(j ->> 'a', 'x') = 'x'"}) {
    const auto found = conjunctions(where);
    const bool says_nothing =
        std::any_of(found.begin(), found.end(), [](const auto& c) { return c.atoms.empty(); });
    EXPECT_TRUE(says_nothing) << where;
  }
}

TEST(Atoms, OrMakesAlternativesAndAndJoinsThem) {
  const auto found = conjunctions("(a = 1 OR l > 2) AND t LIKE 'x%' AND a + 1 > 0");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(kinds(found[0]), (std::vector{kind_type::one_of, kind_type::prefix}));
  EXPECT_EQ(kinds(found[1]), (std::vector{kind_type::range, kind_type::prefix}));
  EXPECT_FALSE(found[0].complete) << "a + 1 > 0 is left to the program";
  EXPECT_TRUE(conjunctions("a = 1 AND b").front().complete);
}

TEST(Atoms, BothBoundsOfARangeAreOneAtom) {
  const auto found = conjunctions("a >= 1 AND a < 9 AND a < 5");
  ASSERT_EQ(found.size(), 1u);
  ASSERT_EQ(found[0].atoms.size(), 1u);
  const auto& range = found[0].atoms[0];
  std::string one;
  std::string five;
  ASSERT_TRUE(append_key(range.form, "1", one) && append_key(range.form, "5", five));
  EXPECT_EQ(range.lower.key, one);
  EXPECT_TRUE(range.lower.inclusive);
  EXPECT_EQ(range.upper.key, five);
  EXPECT_FALSE(range.upper.inclusive);
}

TEST(Atoms, WhatCanNeverBeTrueHasNoAlternative) {
  for (const auto* where : {"false", "NULL", "a = NULL", "a = 1 AND NULL", "ia @> '{NULL}'",
                            "ia && '{}'", "a = 1 AND false"})
    EXPECT_TRUE(conjunctions(where).empty()) << where;
}

TEST(Atoms, EqualValuesHaveEqualKeysHoweverTheyAreSpelled) {
  const auto key = [](type t, std::string_view text) {
    std::string out;
    EXPECT_TRUE(append_key({0, t, t}, text, out)) << text;
    return out;
  };
  EXPECT_EQ(key(type::numeric, "1.0"), key(type::numeric, "1"));
  EXPECT_EQ(key(type::numeric, "100"), key(type::numeric, "1e2"));
  EXPECT_EQ(key(type::numeric, "0.00"), key(type::numeric, "-0"));
  EXPECT_EQ(key(type::float8, "-0"), key(type::float8, "0"));
  EXPECT_EQ(key(type::bpchar, "ab "), key(type::bpchar, "ab"));
  EXPECT_EQ(key(type::interval, "P1M"), key(type::interval, "P30D"));
  EXPECT_EQ(key(type::timestamptz, "2024-01-01 02:00:00+02"),
            key(type::timestamptz, "2024-01-01 00:00:00+00"));
  std::string numeric;
  ASSERT_TRUE(append_key({0, type::int4, type::numeric}, "100", numeric));
  EXPECT_EQ(numeric, key(type::numeric, "100.0"));
}

TEST(Atoms, KeysAreInTheOrderOfTheirValues) {
  const std::pair<type, std::vector<std::string>> ascending[] = {
      {type::int8, {"-9223372036854775808", "-1", "0", "1", "9223372036854775807"}},
      {type::numeric,
       {"-Infinity", "-1e100", "-12.5", "-12", "-1", "-0.01", "-0.001", "0", "0.001", "0.01", "1",
        "1.5", "12", "12.5", "1e100", "Infinity", "NaN"}},
      {type::float8, {"-Infinity", "-1e300", "-1", "0", "5e-324", "1", "1e300", "Infinity", "NaN"}},
      {type::date, {"-infinity", "0044-03-15 BC", "2024-01-01", "5874897-12-31", "infinity"}},
      {type::interval, {"P-1M", "P-1D", "PT0S", "PT24H", "P2D", "P1M", "P31D"}},
      {type::uuid,
       {"00000000-0000-0000-0000-000000000000", "550e8400-e29b-41d4-a716-446655440000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff"}},
      {type::text, {"", "A", "a", "ab", "b", "é"}},
  };
  for (const auto& [t, values] : ascending) {
    std::string before;
    for (const auto& text : values) {
      std::string key;
      ASSERT_TRUE(append_key({0, t, t}, text, key)) << text;
      if (&text != &values.front()) {
        EXPECT_LT(before, key) << text;
      }
      before = key;
    }
  }
}

TEST(Atoms, AreBoundedInNumber) {
  std::string where = "true";
  for (int i = 0; i < 12; ++i)
    where += " AND (a = " + std::to_string(i) + " OR l = " + std::to_string(i) + ")";
  EXPECT_LE(conjunctions(where).size(), conjunctions_max);
  std::string many = "a = 1";
  for (int i = 0; i < 100; ++i)
    many += " OR a > " + std::to_string(i);
  EXPECT_LE(conjunctions(many).size(), conjunctions_max);
}

TEST(Atoms, AValueThatCannotBeReadMayBeAnything) {
  const auto found = conjunctions("a = 1");
  EXPECT_EQ(satisfies(found[0].atoms[0], "not a number"), verdict::unreadable);
  EXPECT_EQ(satisfies(found[0].atoms[0], std::nullopt), verdict::no);
}

// --- The promise -----------------------------------------------------------------------------

TEST(Atoms, EveryRowThatSatisfiesThePredicateSatisfiesAConjunction) {
  auto random = test::seeded_random();
  test::clause_maker maker{random};
  std::vector<test::row> rows;
  for (int i = 0; i < 60; ++i)
    rows.push_back(test::random_row(random));
  int narrowed = 0;
  for (int round = 0; round < 3000; ++round) {
    const auto where = maker.condition(round % 4);
    const auto made = test::compile(where, test::every_type());
    if (!made)
      continue; // a literal that some type refuses
    const auto conjunctions = (*made)->conjunctions();
    ASSERT_LE(conjunctions.size(), conjunctions_max);
    for (const auto& row : rows) {
      const auto answer = test::evaluate(**made, row);
      bool candidate = false;
      for (const auto& c : conjunctions) {
        const auto holds = [&](const atom& a) {
          const auto& value = row[a.form.column];
          return satisfies(a, value ? cell{*value} : cell{}) != verdict::no;
        };
        const bool all = std::all_of(c.atoms.begin(), c.atoms.end(), holds);
        candidate = candidate || all;
        if (all && c.complete) {
          ASSERT_TRUE(answer == truth::yes || answer == truth::failed)
              << where << " is said to be complete";
        }
      }
      if (answer == truth::yes) {
        ASSERT_TRUE(candidate) << where << " as " << (*made)->to_sql();
      }
      narrowed += candidate ? 0 : 1;
    }
  }
  EXPECT_GT(narrowed, 50'000);
}

} // namespace
} // namespace busbar::sql
