#include "tests/unit/actors/table_fanout_fixture.hpp"

namespace busbar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::items_relation;
using testing::null;
using testing::TableFanoutTest;

TEST_F(TableFanoutTest, ShapeThatAsksASetIsShownTheRowsWhoseValueTheSetHas) {
  fanout_.describe(items_relation());
  auto& one = add_asking("id", 70);
  auto& two = add_asking("id", 80);
  hold(70, "1");
  hold(80, "2");
  insert({"1", "a", "f", null});
  EXPECT_THAT(judged_, ElementsAre(std::pair{&one, "new"}));
  update({"1", "a", "f", null}, {"2", "a", "f", null});
  EXPECT_EQ(judged_[&one], "old");
  EXPECT_EQ(judged_[&two], "new");
  insert({"3", "a", "f", null});
  EXPECT_THAT(judged_, IsEmpty());
  fanout_.remove(two);
  insert({"2", "a", "f", null});
  EXPECT_THAT(judged_, IsEmpty());
}

TEST_F(TableFanoutTest, SameSubqueryOfTwoSetsIsLookedUpInBoth) {
  fanout_.describe(items_relation());
  auto& old = add_asking("id", 70);
  auto& made_anew = add_asking("id", 90);
  hold(90, "1");
  insert({"1", "a", "f", null});
  EXPECT_THAT(judged_, ElementsAre(std::pair{&made_anew, "new"}));
  fanout_.remove(old);
  insert({"1", "a", "f", null});
  EXPECT_THAT(judged_, ElementsAre(std::pair{&made_anew, "new"}));
}

TEST_F(TableFanoutTest, WhatGoesByAShapeThatJudgesForItselfIsTold) {
  fanout_.describe(items_relation());
  auto& asks = add_asking("id", 70);
  auto& plain = add();
  hold(70, "1");
  unwanted_ = {&asks, &plain};
  update({"1", "a", "f", null}, {"2", "a", "f", null});
  EXPECT_THAT(passed_, ElementsAre(std::pair{&asks, "old"}));
  EXPECT_THAT(judged_, IsEmpty());
  insert({"2", "a", "f", null});
  EXPECT_THAT(passed_, IsEmpty());
}

TEST_F(TableFanoutTest, ChangeIsBroughtToOneShapeAlone) {
  fanout_.describe(items_relation());
  auto& one = add_asking("id", 70);
  auto& two = add_asking("id", 70);
  hold(70, "1");
  only_one_ = &two;
  update({"5", "a", "f", null}, {"6", "a", "f", null});
  EXPECT_THAT(judged_, ElementsAre(std::pair{&two, "old"})) << "whatever the sets have by now";
  can_judge_ = false;
  update({"1", "a", "f", null}, {"1", "b", "f", null});
  EXPECT_THAT(broken_[&two], HasSubstr("cannot be evaluated"));
  EXPECT_FALSE(broken_.contains(&one));
}

} // namespace
} // namespace busbar
