#include "shapes/membership_index.hpp"
#include "tests/unit/sql/subquery_clause.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace busbar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

/// How a clause is entered, in short: "x IN 0" for a membership, "x=" or "-" for a conjunction.
std::vector<std::string> entries_text(std::string_view where) {
  const auto clause = sql::test::with_inner(where);
  std::vector<std::string> out;
  if (clause == nullptr)
    return out;
  const auto entries = entries_of(*clause);
  for (const auto& all : entries.plain) {
    std::string text;
    for (const auto& a : all.atoms)
      text += sql::test::table[a.form.column].name;
    out.push_back(text.empty() ? "-" : text);
  }
  for (const auto* one : entries.memberships)
    out.push_back(sql::test::columns_text(one->left) + " IN " + std::to_string(one->subquery));
  return out;
}

TEST(ClauseEntriesTest, AMembershipIsTakenWhereNothingElseNarrows) {
  EXPECT_THAT(entries_text("x IN (SELECT a FROM t)"), ElementsAre("x IN 0"));
  EXPECT_THAT(entries_text("(x, y) IN (SELECT a, b FROM t)"), ElementsAre("(x,y) IN 0"));
  EXPECT_THAT(entries_text("b AND y > 5 AND x IN (SELECT a FROM t)"), ElementsAre("x IN 0"));
  EXPECT_THAT(entries_text("x IN (SELECT a FROM t) AND y IN (SELECT b FROM t)"),
              ElementsAre("x IN 0"));
}

TEST(ClauseEntriesTest, AnEqualityIsTakenRatherThanAMembership) {
  EXPECT_THAT(entries_text("s = 'a' AND x IN (SELECT a FROM t)"), ElementsAre("s"));
  EXPECT_THAT(entries_text("s LIKE 'a%' AND x IN (SELECT a FROM t)"), ElementsAre("s"));
}

TEST(ClauseEntriesTest, EachAlternativeIsEnteredByItsOwnTest) {
  EXPECT_THAT(entries_text("s = 'a' OR x IN (SELECT a FROM t)"), ElementsAre("s", "x IN 0"));
  EXPECT_THAT(entries_text("x IN (SELECT a FROM t) OR y IN (SELECT b FROM t)"),
              ElementsAre("x IN 0", "y IN 1"));
  EXPECT_THAT(entries_text("false OR x IN (SELECT a FROM t)"), ElementsAre("x IN 0"));
}

TEST(ClauseEntriesTest, WhatIsNotInASetNarrowsNothing) {
  EXPECT_THAT(entries_text("k NOT IN (SELECT id FROM t)"), ElementsAre("-"));
  EXPECT_THAT(entries_text("x IN (SELECT a FROM t) OR k NOT IN (SELECT id FROM t)"),
              ElementsAre("-", "-"));
  EXPECT_THAT(entries_text("x IN (SELECT a FROM t) AND k NOT IN (SELECT id FROM t)"),
              ElementsAre("x IN 0"));
}

/// Clauses with made-up sets, and the rows that concern them.
class MembershipIndexTest : public ::testing::Test {
protected:
  void add(routing_target who, std::string_view where, const std::vector<set_number>& sets) {
    auto clause = sql::test::with_inner(where);
    ASSERT_NE(clause, nullptr);
    index_.add(who, entries_of(*clause).memberships, sets);
    clauses_.push_back(std::move(clause));
  }
  digest digest_of(const std::string& value) {
    const std::vector<sql::key_form> form{
        {.column = 0, .from = sql::type::int4, .as = sql::type::int4}};
    const std::vector<sql::cell> row{value};
    digest out{};
    hasher_.forget();
    EXPECT_EQ(hasher_.read(form, row, out), value_hasher::reading::value);
    return out;
  }
  void hold(set_number set, const std::string& value) { sets_.add(digest_of(value), set); }
  void release(set_number set, const std::string& value) { sets_.remove(digest_of(value), set); }

  std::set<routing_target> find(std::optional<std::string_view> x,
                                std::optional<std::string_view> y = std::nullopt) {
    std::vector<sql::cell> row(sql::test::table.size());
    row[0] = x;
    row[1] = y;
    hasher_.forget();
    std::set<routing_target> out;
    index_.find(row, hasher_, sets_, [&](routing_target who) { out.insert(who); });
    return out;
  }

  value_hasher hasher_{"secret"};
  set_values sets_;
  membership_index index_;
  std::vector<sql::test::compiled> clauses_;
};

TEST_F(MembershipIndexTest, FindsWhoAsksASetThatHasTheValue) {
  add(1, "x IN (SELECT a FROM t WHERE b = 1)", {11});
  add(2, "x IN (SELECT a FROM t WHERE b = 2)", {12});
  add(3, "y IN (SELECT a FROM t WHERE b = 2)", {12});
  hold(11, "5");
  hold(12, "6");
  EXPECT_THAT(find("5"), ElementsAre(1));
  EXPECT_THAT(find("6"), ElementsAre(2));
  EXPECT_THAT(find("5", "6"), ElementsAre(1, 3));
  EXPECT_THAT(find("7", "5"), IsEmpty());
  release(11, "5");
  EXPECT_THAT(find("5"), IsEmpty());
}

TEST_F(MembershipIndexTest, NullIsInNoSetAndWhatCannotBeReadMayBeInAny) {
  add(1, "x IN (SELECT a FROM t WHERE b = 1)", {11});
  add(2, "y IN (SELECT a FROM t WHERE b = 1)", {11});
  hold(11, "5");
  EXPECT_THAT(find(std::nullopt), IsEmpty());
  EXPECT_THAT(find("no number"), ElementsAre(1));
}

TEST_F(MembershipIndexTest, WhoIsTakenOutIsFoundNoMore) {
  add(1, "x IN (SELECT a FROM t WHERE b = 1) OR y IN (SELECT a FROM t WHERE b = 2)", {11, 12});
  add(2, "x IN (SELECT a FROM t WHERE b = 1)", {11});
  hold(11, "5");
  hold(12, "6");
  EXPECT_THAT(find("5", "6"), ElementsAre(1, 2));
  index_.remove(1);
  index_.remove(7); // was never there
  EXPECT_THAT(find("5", "6"), ElementsAre(2));
  index_.remove(2);
  EXPECT_TRUE(index_.empty());
  EXPECT_THAT(find("5", "6"), IsEmpty());
}

TEST_F(MembershipIndexTest, FindsExactlyWhatAskingEachSetFinds) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  constexpr std::uint32_t sets = 40;
  for (std::uint32_t i = 0; i < sets; ++i)
    add(i,
        (i % 2 == 0 ? "x" : "y") + std::string{" IN (SELECT a FROM t WHERE b = "} +
            std::to_string(i) + ")",
        {1 + i / 2}); // two clauses a set
  std::map<set_number, std::set<std::string>> model;
  for (int round = 0; round < 5'000; ++round) {
    const auto set = 1 + static_cast<set_number>(random() % (sets / 2));
    const auto value = std::to_string(random() % 60);
    if (model[set].insert(value).second) {
      hold(set, value);
    } else {
      model[set].erase(value);
      release(set, value);
    }
    const auto x = std::to_string(random() % 60);
    const auto y = std::to_string(random() % 60);
    std::set<routing_target> expected;
    for (std::uint32_t i = 0; i < sets; ++i)
      if (model[1 + i / 2].contains(i % 2 == 0 ? x : y))
        expected.insert(i);
    ASSERT_EQ(find(x, y), expected);
  }
}

/// Seconds; where both tables had one order, half a minute.
TEST(SetValuesTest, TakeAllOfALargeSetInTheOrderInWhichItIsKept) {
  std::mt19937_64 random{11};
  value_counts counts;
  for (int i = 0; i < 400'000; ++i) {
    const std::array<std::uint64_t, 2> bytes{random(), random()};
    digest value{};
    std::memcpy(value.data(), bytes.data(), value.size());
    counts.add_one(value);
  }
  const auto begin = std::chrono::steady_clock::now();
  set_values held;
  counts.for_each([&](const digest& value, std::uint32_t) { held.add(value, 1); });
  EXPECT_EQ(held.size(), counts.size());
  counts.for_each([&](const digest& value, std::uint32_t) { held.remove(value, 1); });
  EXPECT_EQ(held.size(), 0u);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds{10});
}

TEST(ValueCountsTest, CountsLikeAMap) {
  std::mt19937 random{7};
  value_counts counts;
  std::map<digest, std::uint32_t> model;
  for (int round = 0; round < 20'000; ++round) {
    digest value{};
    value[0] = static_cast<unsigned char>(random() % 4); // they crowd together
    value[5] = static_cast<unsigned char>(random());
    const auto count = static_cast<std::uint32_t>(random() % 3);
    counts.set(value, count);
    if (count == 0)
      model.erase(value);
    else
      model[value] = count;
    if (random() % 2 == 0) {
      counts.add_one(value);
      ++model[value];
    }
    ASSERT_EQ(counts.of(value), model.contains(value) ? model[value] : 0);
    ASSERT_EQ(counts.size(), model.size());
  }
  std::map<digest, std::uint32_t> all;
  counts.for_each([&](const digest& value, std::uint32_t count) { all.emplace(value, count); });
  EXPECT_EQ(all, model);
}

} // namespace
} // namespace busbar
