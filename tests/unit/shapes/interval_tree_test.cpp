#include "shapes/interval_tree.hpp"
#include "tests/unit/sql/random_clause.hpp"

#include <gmock/gmock.h>

#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace busbar {
namespace {

using bound = interval_tree::bound;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

const bound open{};
bound from(std::string key, bool inclusive = true) {
  return {true, inclusive, std::move(key)};
}

std::vector<std::uint32_t> hits(const interval_tree& tree, std::string_view key) {
  std::vector<std::uint32_t> out;
  tree.stab(key, [&](std::uint32_t value) { out.push_back(value); });
  return out;
}

TEST(IntervalTree, BoundsCountOnlyIfTheyAreInclusive) {
  interval_tree tree;
  tree.insert(from("b"), from("d"), 1);
  tree.insert(from("b", false), from("d", false), 2);
  EXPECT_THAT(hits(tree, "a"), IsEmpty());
  EXPECT_THAT(hits(tree, "b"), ElementsAre(1));
  EXPECT_THAT(hits(tree, "c"), UnorderedElementsAre(1, 2));
  EXPECT_THAT(hits(tree, "d"), ElementsAre(1));
  EXPECT_THAT(hits(tree, "da"), IsEmpty());
}

TEST(IntervalTree, ABoundMayBeMissing) {
  interval_tree tree;
  tree.insert(open, from("m", false), 1);
  tree.insert(from("m"), open, 2);
  EXPECT_THAT(hits(tree, ""), ElementsAre(1));
  EXPECT_THAT(hits(tree, "m"), ElementsAre(2));
  EXPECT_THAT(hits(tree, "\xff"), ElementsAre(2));
}

TEST(IntervalTree, FindsAnIntervalByItsBoundsAlone) {
  interval_tree tree;
  const auto node = tree.insert(from("a"), from("b"), 7);
  EXPECT_EQ(tree.find(from("a"), from("b")), node);
  EXPECT_EQ(tree.find(from("a", false), from("b")), interval_tree::none);
  EXPECT_EQ(tree.find(from("a"), open), interval_tree::none);
  tree.erase(node);
  EXPECT_EQ(tree.find(from("a"), from("b")), interval_tree::none);
  EXPECT_TRUE(tree.empty());
}

TEST(IntervalTree, FindsWhatALookAtEachIntervalFindsWhateverComesAndGoes) {
  auto random = sql::test::seeded_random();
  const auto key = [&] { return std::to_string(random() % 60); };
  const auto side = [&] { return random() % 5 == 0 ? open : from(key(), random() % 2 == 0); };
  interval_tree tree;
  struct entry {
    bound lower;
    bound upper;
    interval_tree::node_id node;
  };
  std::map<std::uint32_t, entry> model;
  for (std::uint32_t round = 0; round < 20'000; ++round) {
    if (model.empty() || random() % 100 < 55) {
      const auto lower = side();
      const auto upper = side();
      if (tree.find(lower, upper) == interval_tree::none)
        model[round] = {lower, upper, tree.insert(lower, upper, round)};
    } else {
      const auto gone = std::next(model.begin(), static_cast<int>(random() % model.size()));
      ASSERT_EQ(tree.find(gone->second.lower, gone->second.upper), gone->second.node);
      tree.erase(gone->second.node);
      model.erase(gone);
      while (round % 5000 > 4990 && !model.empty()) { // now and then, all of them
        tree.erase(model.begin()->second.node);
        model.erase(model.begin());
      }
    }
    if (round % 20 != 0)
      continue;
    const auto at = key();
    std::vector<std::uint32_t> expected;
    for (const auto& [value, e] : model)
      if ((!e.lower.exists || (e.lower.inclusive ? at >= e.lower.key : at > e.lower.key)) &&
          (!e.upper.exists || (e.upper.inclusive ? at <= e.upper.key : at < e.upper.key)))
        expected.push_back(value);
    ASSERT_THAT(hits(tree, at), UnorderedElementsAreArray(expected));
  }
}

} // namespace
} // namespace busbar
