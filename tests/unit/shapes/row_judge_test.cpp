#include "shapes/row_judge.hpp"
#include "tests/unit/sql/subquery_clause.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace busbar {
namespace {

using ::testing::ElementsAre;

/// Some columns of sql::test::table; those that are left out are NULL.
using named_cells = std::map<std::string, std::string>;

/// A clause, what its subqueries hold, and the rows it is asked about.
class RowJudgeTest : public ::testing::Test {
protected:
  void ask(std::string_view where) {
    clause_ = sql::test::with_inner(where);
    ASSERT_NE(clause_, nullptr);
    ASSERT_NE(clause_->subqueries(), nullptr);
    plan_ = clause_->subqueries();
    tagger_.emplace("secret", "handle", *plan_);
  }

  /// The subquery has a row with these values, in the order of its columns.
  void hold(std::uint16_t subquery, const std::vector<std::string>& values) {
    held_.insert({subquery, digest_of(plan_->subqueries[subquery].keys, values)});
  }

  judged_row judged(const named_cells& named) {
    judged_row out;
    EXPECT_TRUE(try_judge(named, out));
    return out;
  }

  bool try_judge(const named_cells& named, judged_row& out) {
    const auto contains = [&](std::uint16_t subquery, const digest& value) {
      return held_.contains({subquery, value});
    };
    return judge(*plan_, cells(named), hasher_, contains, out);
  }

  bool visible(const named_cells& named) { return judged(named).visible; }

  /// As it stands in tags.
  std::string word(const digest& value) const {
    std::string out;
    tagger_->append_value(out, value);
    return out;
  }

  row_cells cells(const named_cells& named) {
    hasher_.forget();
    texts_ = named;
    cells_.assign(sql::test::table.size(), std::nullopt);
    for (std::size_t i = 0; i < cells_.size(); ++i)
      if (const auto found = texts_.find(sql::test::table[i].name); found != texts_.end())
        cells_[i] = found->second;
    return cells_;
  }

  digest digest_of(const std::vector<sql::key_form>& forms,
                   const std::vector<std::string>& values) {
    std::size_t width = 0;
    for (const auto& form : forms)
      width = std::max<std::size_t>(width, form.column + 1u);
    std::vector<sql::cell> row(width);
    for (std::size_t i = 0; i < forms.size(); ++i)
      row[forms[i].column] = values[i];
    digest out{};
    hasher_.forget();
    EXPECT_EQ(hasher_.read(forms, row, out), value_hasher::reading::value);
    return out;
  }

  sql::test::compiled clause_;
  const sql::subquery_plan* plan_ = nullptr;
  std::optional<row_tagger> tagger_;
  std::set<std::pair<std::uint16_t, digest>> held_;
  value_hasher hasher_{"secret"};
  named_cells texts_;
  std::vector<sql::cell> cells_;
};

TEST_F(RowJudgeTest, InIsTrueExactlyIfTheValueIsHeld) {
  ask("x IN (SELECT a FROM t)");
  hold(0, {"5"});
  EXPECT_TRUE(visible({{"x", "5"}}));
  EXPECT_FALSE(visible({{"x", "6"}}));
  EXPECT_FALSE(visible({}));
}

TEST_F(RowJudgeTest, NotInIsFalseExactlyIfTheValueIsHeld) {
  ask("k NOT IN (SELECT id FROM t)");
  EXPECT_TRUE(visible({{"k", "5"}}));
  hold(0, {"5"});
  EXPECT_FALSE(visible({{"k", "5"}}));
  EXPECT_TRUE(visible({{"k", "6"}}));
}

TEST_F(RowJudgeTest, NotOfAnUnknownPartIsNotTrue) {
  ask("NOT (k IN (SELECT id FROM t) OR s = 'k')");
  hold(0, {"5"});
  EXPECT_TRUE(visible({{"k", "6"}, {"s", "other"}}));
  EXPECT_FALSE(visible({{"k", "6"}, {"s", "k"}}));
  EXPECT_FALSE(visible({{"k", "6"}})) << "s = 'k' is NULL, and so is its NOT";
  EXPECT_FALSE(visible({{"k", "5"}, {"s", "other"}}));
}

TEST_F(RowJudgeTest, OneDisjunctWithAllItsPositionsIsEnough) {
  ask("x IN (SELECT a FROM t) AND s = 'open' OR y IN (SELECT b FROM t)");
  hold(0, {"5"});
  hold(1, {"7"});
  const auto both = judged({{"x", "5"}, {"s", "open"}, {"y", "7"}});
  EXPECT_TRUE(both.visible);
  EXPECT_THAT(both.holds, ElementsAre(true, true, true));
  const auto second = judged({{"x", "5"}, {"s", "shut"}, {"y", "7"}});
  EXPECT_TRUE(second.visible);
  EXPECT_THAT(second.holds, ElementsAre(true, false, true));
  const auto neither = judged({{"x", "5"}, {"s", "shut"}, {"y", "5"}});
  EXPECT_FALSE(neither.visible);
  EXPECT_THAT(neither.holds, ElementsAre(true, false, false));
}

TEST_F(RowJudgeTest, ATupleWithANullIsInNothing) {
  ask("(x, y) IN (SELECT a, b FROM t)");
  hold(0, {"1", "2"});
  EXPECT_TRUE(visible({{"x", "1"}, {"y", "2"}}));
  EXPECT_FALSE(visible({{"x", "2"}, {"y", "1"}}));
  const auto half = judged({{"x", "1"}});
  EXPECT_FALSE(half.visible);
  EXPECT_THAT(half.values, ElementsAre(std::nullopt));
}

TEST_F(RowJudgeTest, WhereATupleIsSplitMatters) {
  ask("(s, c) IN (SELECT s, c FROM t)");
  const auto& left = plan_->positions[0].left;
  EXPECT_NE(digest_of(left, {"ab", "c"}), digest_of(left, {"a", "bc"}));
  EXPECT_NE(digest_of(left, {"", "abc"}), digest_of(left, {"abc", ""}));
}

TEST_F(RowJudgeTest, WhatSqlCallsEqualIsOneValue) {
  ask("c IN (SELECT c FROM t)");
  hold(0, {"abc                 "});
  EXPECT_TRUE(visible({{"c", "abc  "}})) << "padded to another width";
  EXPECT_FALSE(visible({{"c", " abc "}}));
}

TEST_F(RowJudgeTest, WhatCannotBeReadOrEvaluatedIsNotJudged) {
  judged_row out;
  ask("x IN (SELECT a FROM t)");
  EXPECT_FALSE(try_judge({{"x", "five"}}, out));
  ask("1 / y = 1 AND x IN (SELECT a FROM t)");
  EXPECT_TRUE(try_judge({{"x", "5"}, {"y", "1"}}, out));
  EXPECT_FALSE(try_judge({{"x", "5"}, {"y", "0"}}, out));
}

TEST_F(RowJudgeTest, ATagHasASlotForEveryPosition) {
  ask("x IN (SELECT a FROM t) AND s = 'open' OR y IN (SELECT b FROM t)");
  const auto row = judged({{"x", "5"}, {"s", "shut"}, {"y", "7"}});
  EXPECT_THAT(tagger_->tags(row),
              ElementsAre(word(*row.values[0]) + "/1/", "//" + word(*row.values[2])));
  std::string headers;
  tagger_->append_headers(headers, row);
  EXPECT_EQ(headers, ",\"tags\":[\"" + word(*row.values[0]) + "/1/\",\"//" + word(*row.values[2]) +
                         "\"],\"active_conditions\":[false,false,false]");
}

TEST_F(RowJudgeTest, EqualValuesHaveOneWordInAShapeAndAnotherInTheNext) {
  ask("x IN (SELECT a FROM t) OR y IN (SELECT b FROM t)");
  const auto row = judged({{"x", "5"}, {"y", "5"}});
  const auto tags = tagger_->tags(row);
  ASSERT_EQ(tags.size(), 2u);
  EXPECT_EQ(tags[0].substr(0, 32), tags[1].substr(1));
  const row_tagger other_shape{"secret", "another handle", *plan_};
  const row_tagger other_node{"another secret", "handle", *plan_};
  EXPECT_NE(other_shape.tags(row), tags);
  EXPECT_NE(other_node.tags(row), tags);
}

TEST_F(RowJudgeTest, NullHasAWordThatNoValueHas) {
  ask("s IN (SELECT s FROM t)");
  const auto null = tagger_->tags(judged({}));
  ASSERT_EQ(null.size(), 1u);
  EXPECT_EQ(null[0].size(), 32u) << "an empty slot would say that the position is not in it";
  EXPECT_EQ(tagger_->tags(judged({{"x", "1"}})), null);
  for (const auto* text : {"NULL", "", "null"})
    EXPECT_NE(tagger_->tags(judged({{"s", text}})), null) << text;
}

TEST_F(RowJudgeTest, AnUpdateRemovesTheTagsThatItDoesNotHaveAnyMore) {
  ask("x IN (SELECT a FROM t) OR y IN (SELECT b FROM t)");
  hold(0, {"5"});
  const auto before = judged({{"x", "5"}, {"y", "7"}});
  const auto after = judged({{"x", "6"}, {"y", "7"}});
  const auto old_tags = tagger_->tags(before);
  const auto new_tags = tagger_->tags(after);
  std::string headers;
  tagger_->append_update_headers(headers, before, after);
  EXPECT_EQ(headers, ",\"tags\":[\"" + new_tags[0] + "\",\"" + new_tags[1] +
                         "\"],\"removed_tags\":[\"" + old_tags[0] +
                         "\"],\"active_conditions\":[false,false]");
  headers.clear();
  tagger_->append_update_headers(headers, before, before);
  EXPECT_EQ(headers, ",\"tags\":[\"" + old_tags[0] + "\",\"" + old_tags[1] +
                         "\"],\"removed_tags\":[],\"active_conditions\":[true,false]");
}

TEST_F(RowJudgeTest, AnUpdateMattersIfAValueOrAConditionChanges) {
  ask("x IN (SELECT a FROM t) AND s = 'open' OR y IN (SELECT b FROM t)");
  const auto base = judged({{"x", "5"}, {"s", "open"}, {"y", "7"}});
  EXPECT_FALSE(row_tagger::differs(base, judged({{"x", "5"}, {"s", "open"}, {"y", "7"}})));
  EXPECT_TRUE(row_tagger::differs(base, judged({{"x", "6"}, {"s", "open"}, {"y", "7"}})));
  EXPECT_TRUE(row_tagger::differs(base, judged({{"x", "5"}, {"s", "shut"}, {"y", "7"}})));
  EXPECT_TRUE(row_tagger::differs(base, judged({{"x", "5"}, {"s", "open"}})));
}

TEST_F(RowJudgeTest, TagsThatGoAndComeShareAValueOnlyWithinADisjunct) {
  ask("x IN (SELECT a FROM t) AND y IN (SELECT b FROM t)");
  const auto base = judged({{"x", "1"}, {"y", "1"}});
  EXPECT_FALSE(tagger_->shares_value(base, base));
  EXPECT_TRUE(tagger_->shares_value(base, judged({{"x", "2"}, {"y", "1"}})));
  EXPECT_TRUE(tagger_->shares_value(base, judged({{"x", "1"}})));
  EXPECT_FALSE(tagger_->shares_value(base, judged({{"x", "2"}, {"y", "2"}})));

  ask("x IN (SELECT a FROM t) OR y IN (SELECT b FROM t)");
  EXPECT_FALSE(
      tagger_->shares_value(judged({{"x", "1"}, {"y", "1"}}), judged({{"x", "2"}, {"y", "1"}})));
  ask("x IN (SELECT a FROM t) AND s = 'open'");
  EXPECT_FALSE(tagger_->shares_value(judged({{"x", "1"}, {"s", "open"}}),
                                     judged({{"x", "2"}, {"s", "open"}})))
      << "the slot of a plain condition is no value";
}

TEST_F(RowJudgeTest, ManyColumnListsOfARowAreReadRightHoweverOftenTheyAreAsked) {
  const named_cells named{{"x", "1"}, {"y", "2"}, {"k", "3"}, {"s", "four"}};
  const auto row = cells(named);
  std::vector<std::vector<sql::key_form>> lists;
  for (const std::uint16_t first : {0, 1, 2})
    for (const std::uint16_t second : {0, 1, 2})
      for (const std::uint16_t third : {0, 1, 2})
        lists.push_back({{first, sql::type::int4, sql::type::int4, false},
                         {second, sql::type::int4, sql::type::int4, false},
                         {third, sql::type::int4, sql::type::int4, false}});
  for (int round = 0; round < 2; ++round)
    for (const auto& forms : lists) {
      digest remembered{};
      digest anew{};
      value_hasher other{"secret"};
      EXPECT_EQ(hasher_.read(forms, row, remembered), value_hasher::reading::value);
      EXPECT_EQ(other.read(forms, row, anew), value_hasher::reading::value);
      EXPECT_EQ(remembered, anew);
    }
}

TEST_F(RowJudgeTest, WhatWasJudgedBeforeLeavesNoTrace) {
  ask("x IN (SELECT a FROM t) OR y IN (SELECT b FROM t)");
  hold(0, {"5"});
  judged_row reused = judged({{"x", "5"}, {"y", "7"}});
  ASSERT_TRUE(try_judge({}, reused));
  EXPECT_FALSE(reused.visible);
  EXPECT_THAT(reused.holds, ElementsAre(false, false));
  EXPECT_THAT(reused.values, ElementsAre(std::nullopt, std::nullopt));
}

} // namespace
} // namespace busbar
