#include "tests/unit/actors/table_fanout_fixture.hpp"

#include <gmock/gmock.h>

#include <map>
#include <set>

namespace busbar {
namespace {

using ::testing::ElementsAre;
using testing::frame_builder;
using ::testing::HasSubstr;
using testing::image_row;
using ::testing::IsEmpty;
using testing::items_relation;
using testing::made_shape;
using testing::null;
using testing::oid;
using testing::only_columns;
using testing::TableFanoutTest;
using testing::where;

TEST_F(TableFanoutTest, EachShapeGetsWhatItsClauseAdmits) {
  fanout_.describe(items_relation());
  auto& all = add();
  auto& done = add(where("done = true"));
  auto& small = add(where("id < 10"));
  insert({"5", "a", "f", null});
  EXPECT_THAT(got_[&all], ElementsAre("500_0 insert 5"));
  EXPECT_THAT(got_[&done], IsEmpty());
  EXPECT_THAT(got_[&small], ElementsAre("500_0 insert 5"));
}

TEST_F(TableFanoutTest, RowsMoveInAndOut) {
  fanout_.describe(items_relation());
  auto& done = add(where("done = true"));
  update({"1", "a", "f", null}, {"1", "a", "t", null});
  EXPECT_THAT(got_[&done], ElementsAre("500_0 insert 1"));
  update({"1", "a", "t", null}, {"1", "b", "t", null});
  EXPECT_THAT(got_[&done], ElementsAre("500_0 update 1"));
  update({"1", "a", "t", null}, {"1", "a", "f", null});
  EXPECT_THAT(got_[&done], ElementsAre("500_0 delete 1"));
  update({"1", "a", "f", null}, {"1", "b", "f", null});
  EXPECT_THAT(got_, IsEmpty());
  route(change().remove(oid, {"1", "a", "t", null}));
  EXPECT_THAT(got_[&done], ElementsAre("500_0 delete 1"));
}

TEST_F(TableFanoutTest, ClauseThatIsUnknownForARowDoesNotAdmitIt) {
  fanout_.describe(items_relation());
  auto& noted = add(where("note = 'x'"));
  insert({"1", "a", "f", null});
  EXPECT_THAT(got_, IsEmpty());
  EXPECT_THAT(broken_, IsEmpty());
  insert({"1", "a", "f", "x"});
  EXPECT_THAT(got_[&noted], ElementsAre("500_0 insert 1"));
}

TEST_F(TableFanoutTest, SharedEncodingGivesEveryShapeTheSameBytes) {
  fanout_.describe(items_relation());
  auto& one = add();
  auto& two = add();
  auto& three = add(where("id = 1"));
  insert({"1", "a", "f", null});
  EXPECT_EQ(bytes_[&one], bytes_[&two]);
  EXPECT_EQ(bytes_[&one], bytes_[&three]);
  ASSERT_EQ(bytes_[&one].size(), 1u);
  EXPECT_THAT(bytes_[&one][0], HasSubstr(R"("title":"a")"));
}

TEST_F(TableFanoutTest, OnlyUserOfAnEncodingMayTakeItChangeAfterChange) {
  fanout_.describe(items_relation());
  auto& one = add();
  insert({"1", "a", "f", null});
  ASSERT_EQ(bytes_[&one].size(), 1u);
  insert({"2", "b", "f", null});
  ASSERT_EQ(bytes_[&one].size(), 1u);
  EXPECT_THAT(bytes_[&one][0], HasSubstr(R"("title":"b")"));
}

TEST_F(TableFanoutTest, EachSelectionAndModeHasItsOwnBytes) {
  fanout_.describe(items_relation());
  auto& some = add(only_columns({"id", "done"}));
  shape_request full;
  full.replica_full = true;
  auto& whole = add(full);
  update({"1", "a", "f", null}, {"1", "a", "t", null});
  ASSERT_EQ(bytes_[&some].size(), 1u);
  EXPECT_THAT(bytes_[&some][0], HasSubstr(R"("value":{"id":"1","done":"t"},)"));
  ASSERT_EQ(bytes_[&whole].size(), 1u);
  EXPECT_THAT(bytes_[&whole][0], HasSubstr(R"("old_value":{"done":"f"})"));
  update({"1", "a", "f", null}, {"1", "b", "f", null});
  EXPECT_THAT(got_[&some], IsEmpty()); // nothing that it shows has changed
}

TEST_F(TableFanoutTest, StreamMayHaveItsColumnsInAnotherOrder) {
  auto relation = items_relation();
  std::swap(relation.columns[0], relation.columns[3]);
  fanout_.describe(relation);
  auto& one = add(where("id = 7"));
  insert({"a note", "a title", "f", "7"});
  ASSERT_EQ(bytes_[&one].size(), 1u);
  EXPECT_THAT(bytes_[&one][0],
              HasSubstr(R"("value":{"id":"7","title":"a title","done":"f","note":"a note"})"));
}

TEST_F(TableFanoutTest, EachLeafIsReadInItsOwnColumnOrderAndNamedAsTheShapesTable) {
  constexpr std::uint32_t one = 17001;
  constexpr std::uint32_t two = 17002;
  auto leaf = items_relation();
  leaf.oid = one;
  leaf.name = "items_1";
  fanout_.describe(leaf);
  leaf.oid = two;
  leaf.name = "items_2";
  std::reverse(leaf.columns.begin(), leaf.columns.end());
  fanout_.describe(leaf);
  auto& all = add(where("title = 'a'"));
  const std::string value = R"("value":{"id":"1","title":"a","done":"f","note":null})";
  for (int round = 0; round < 2; ++round) { // one's order is not forgotten over the other's
    route(change().insert(one, {"1", "a", "f", null}));
    ASSERT_EQ(bytes_[&all].size(), 1u);
    EXPECT_THAT(bytes_[&all][0], HasSubstr(value));
    EXPECT_THAT(bytes_[&all][0], HasSubstr(R"("key":"\"public\".\"items\"/\"1\"")"));
    route(change().insert(two, {null, "f", "a", "1"}));
    ASSERT_EQ(bytes_[&all].size(), 1u);
    EXPECT_THAT(bytes_[&all][0], HasSubstr(value));
  }
}

TEST_F(TableFanoutTest, LeafThatDoesNotFitBreaksTheShapesOnlyAtItsOwnChanges) {
  constexpr std::uint32_t narrow = 17001;
  fanout_.describe(items_relation());
  auto leaf = items_relation();
  leaf.oid = narrow;
  leaf.columns.pop_back();
  fanout_.describe(leaf);
  auto& all = add();
  auto& some = add(only_columns({"id", "title"}));
  insert({"1", "a", "f", null});
  EXPECT_THAT(broken_, IsEmpty());
  route(change().insert(narrow, {"2", "a", "f"}));
  EXPECT_EQ(broken_.size(), 1u);
  EXPECT_TRUE(broken_.contains(&all));
  EXPECT_THAT(got_[&some], ElementsAre("500_0 insert 2"));
}

TEST_F(TableFanoutTest, WhoDoesNotWantTheTransactionGetsNothing) {
  fanout_.describe(items_relation());
  auto& one = add();
  auto& two = add();
  unwanted_.insert(&one);
  insert({"1", "a", "f", null});
  EXPECT_THAT(got_[&one], IsEmpty());
  EXPECT_THAT(got_[&two], ElementsAre("500_0 insert 1"));
}

TEST_F(TableFanoutTest, RemovedShapeGetsNothingAndTheOthersGoOn) {
  fanout_.describe(items_relation());
  auto& one = add();
  auto& two = add();
  auto& three = add(where("id = 1"));
  fanout_.remove(one);
  fanout_.remove(three);
  insert({"1", "a", "f", null});
  EXPECT_THAT(got_[&two], ElementsAre("500_0 insert 1"));
  EXPECT_EQ(got_.size(), 1u);
  EXPECT_FALSE(fanout_.empty());
  fanout_.remove(two);
  EXPECT_TRUE(fanout_.empty());
}

TEST_F(TableFanoutTest, UpdateConcernsTheShapesOfBothItsRows) {
  fanout_.describe(items_relation());
  auto& one = add(where("title = 'one'"));
  auto& two = add(where("title = 'two'"));
  auto& low = add(where("id < 10"));
  add(where("title = 'three'"));
  update({"1", "one", "f", null}, {"1", "two", "f", null});
  EXPECT_THAT(got_[&one], ElementsAre("500_0 delete 1"));
  EXPECT_THAT(got_[&two], ElementsAre("500_0 insert 1"));
  EXPECT_THAT(got_[&low], ElementsAre("500_0 update 1"));
  EXPECT_EQ(got_.size(), 3u);
}

TEST_F(TableFanoutTest, FilterGoesOnAsLongAsAnyShapeHasIt) {
  fanout_.describe(items_relation());
  auto& first = add(where("id = 1 AND title LIKE '%a%'"));
  auto& second = add(where("title LIKE '%a%' AND 1 = id"));
  fanout_.remove(first); // whose compiled clause the group was made with
  insert({"1", "a", "f", null});
  EXPECT_THAT(got_[&second], ElementsAre("500_0 insert 1"));
  fanout_.remove(second);
  auto& third = add(where("id = 1 AND title LIKE '%a%'"));
  insert({"1", "a", "f", null});
  EXPECT_THAT(got_[&third], ElementsAre("500_0 insert 1"));
  EXPECT_EQ(got_.size(), 1u);
}

TEST_F(TableFanoutTest, AmongManyShapesThatComeAndGoEachGetsItsOwn) {
  fanout_.describe(items_relation());
  std::vector<shape_log_writer*> shapes;
  for (int i = 0; i < 300; ++i)
    shapes.push_back(&add(where("id = " + std::to_string(i / 3))));
  for (int i = 0; i < 300; i += 2)
    fanout_.remove(*shapes[static_cast<std::size_t>(i)]);
  for (int id = 0; id < 100; ++id) {
    insert({std::to_string(id), "a", "f", null});
    std::set<const shape_log_writer*> expected;
    for (int i = 3 * id; i < 3 * id + 3; ++i)
      if (i % 2 == 1)
        expected.insert(shapes[static_cast<std::size_t>(i)]);
    std::set<const shape_log_writer*> got;
    for (const auto& [log, entries] : got_)
      got.insert(log);
    ASSERT_EQ(got, expected) << id;
  }
}

TEST_F(TableFanoutTest, FailingRowIsShownOnlyToClausesThatItMayConcern) {
  fanout_.describe(items_relation());
  auto& dividing = add(where("title = 'a' AND 10 / id > 1"));
  auto& other = add(where("title = 'b' AND 10 / id > 1"));
  insert({"0", "a", "f", null});
  EXPECT_TRUE(broken_.contains(&dividing));
  EXPECT_FALSE(broken_.contains(&other));
}

TEST_F(TableFanoutTest, EveryShapeIsVisitedAlsoIfTheVisitRemovesIt) {
  add();
  add();
  add(where("id = 1"));
  int visits = 0;
  fanout_.for_each([&](shape_log_writer& log) {
    ++visits;
    fanout_.remove(log);
  });
  EXPECT_EQ(visits, 3);
  EXPECT_TRUE(fanout_.empty());
}

// -- what breaks a shape --------------------------------------------------------------------------

TEST_F(TableFanoutTest, AddedColumnBreaksOnlyShapesOfAllColumns) {
  fanout_.describe(items_relation());
  auto& all = add();
  auto& some = add(only_columns({"id", "title"}));
  auto relation = items_relation();
  relation.columns.push_back({"added", 25});
  fanout_.describe(relation);
  EXPECT_THAT(broken_, IsEmpty()); // found at the next change
  insert({"1", "a", "f", null, "new"});
  ASSERT_EQ(broken_.size(), 1u);
  EXPECT_THAT(broken_[&all], HasSubstr("added"));
  EXPECT_THAT(got_[&some], ElementsAre("500_0 insert 1"));
}

TEST_F(TableFanoutTest, LostColumnBreaksShapesThatSelectOrFilterByIt) {
  fanout_.describe(items_relation());
  auto& selecting = add(only_columns({"id", "note"}));
  auto filter = only_columns({"id"});
  filter.where = "note = 'x'";
  auto& filtering = add(filter);
  auto& neither = add(only_columns({"id", "title"}));
  auto relation = items_relation();
  relation.columns.pop_back();
  fanout_.describe(relation);
  insert({"1", "a", "f"});
  EXPECT_EQ(broken_.size(), 2u);
  EXPECT_THAT(broken_[&selecting], HasSubstr("note"));
  EXPECT_THAT(broken_[&filtering], HasSubstr("note"));
  EXPECT_THAT(got_[&neither], ElementsAre("500_0 insert 1"));
}

TEST_F(TableFanoutTest, ShapeThatComesLateIsHeldAgainstTheStreamAsItIs) {
  auto relation = items_relation();
  relation.columns.pop_back();
  fanout_.describe(relation);
  auto& narrow = add(only_columns({"id", "title"}));
  insert({"1", "a", "f"});
  auto& wide = add(only_columns({"id", "note"}));
  auto& late = add(only_columns({"id", "title"}));
  insert({"2", "a", "f"});
  EXPECT_EQ(broken_.size(), 1u);
  EXPECT_THAT(broken_[&wide], HasSubstr("note"));
  EXPECT_THAT(got_[&narrow], ElementsAre("500_0 insert 2"));
  EXPECT_THAT(got_[&late], ElementsAre("500_0 insert 2"));
}

TEST_F(TableFanoutTest, RetypedColumnIsALostOne) {
  fanout_.describe(items_relation());
  auto& all = add();
  auto relation = items_relation();
  relation.columns[3].type_oid = 1043;
  fanout_.describe(relation);
  insert({"1", "a", "f", null});
  EXPECT_THAT(broken_[&all], HasSubstr("note"));
}

TEST_F(TableFanoutTest, RenamedTableBreaksAllShapes) {
  fanout_.describe(items_relation());
  add();
  add(where("id = 1"));
  auto relation = items_relation();
  relation.name = "articles";
  fanout_.describe(relation);
  insert({"1", "a", "f", null});
  EXPECT_EQ(broken_.size(), 2u);
  EXPECT_TRUE(fanout_.empty());
}

TEST_F(TableFanoutTest, LostReplicaIdentityBreaksAllShapes) {
  fanout_.describe(items_relation());
  add();
  route(change().update(oid, {"1", null, null, null}, {"1", "a", "f", null}).key_only());
  EXPECT_EQ(broken_.size(), 1u);
  auto& next = add();
  fanout_.describe(items_relation());
  route(change().update(oid, {}, {"1", "a", "f", null}));
  EXPECT_THAT(broken_[&next], HasSubstr("REPLICA IDENTITY"));
}

TEST_F(TableFanoutTest, RowThatDoesNotFitItsDescriptionBreaksTheShapes) {
  fanout_.describe(items_relation());
  add();
  insert({"1", "a"});
  EXPECT_EQ(broken_.size(), 1u);
}

TEST_F(TableFanoutTest, RowOnWhichTheClauseFailsBreaksOnlyItsShapes) {
  fanout_.describe(items_relation());
  auto& filtering = add(where("id > 5"));
  auto& all = add();
  insert({"not a number", "a", "f", null});
  EXPECT_EQ(broken_.size(), 1u);
  EXPECT_TRUE(broken_.contains(&filtering));
  EXPECT_EQ(got_[&all].size(), 1u);
}

TEST_F(TableFanoutTest, ChangeBeforeAnyDescriptionBreaksTheShapes) {
  add();
  insert({"1", "a", "f", null});
  EXPECT_EQ(broken_.size(), 1u);
}

/// The stream may lag behind the catalog that a new shape was defined against: what it delivers of
/// the time before is no harm to a shape that does not want it.
TEST_F(TableFanoutTest, UnwantedChangesBreakNothing) {
  auto& young = add();
  unwanted_.insert(&young);
  insert({"1", "a", "f", null}); // not described
  EXPECT_THAT(broken_, IsEmpty());
  auto before = items_relation();
  before.columns.pop_back();
  fanout_.describe(before);
  insert({"1", "a", "f"});
  route(change().update(oid, {"1", null, null}, {"1", "a", "f"}).key_only());
  insert({"1"});
  EXPECT_THAT(broken_, IsEmpty());
  fanout_.describe(items_relation());
  unwanted_.clear();
  insert({"1", "a", "f", null});
  EXPECT_THAT(broken_, IsEmpty());
  EXPECT_THAT(got_[&young], ElementsAre("500_0 insert 1"));
}

TEST_F(TableFanoutTest, MisfitIsFoundAlsoIfItsFirstChangeWasUnwanted) {
  auto& all = add();
  auto relation = items_relation();
  relation.columns.push_back({"added", 25});
  fanout_.describe(relation);
  unwanted_.insert(&all);
  insert({"1", "a", "f", null, "new"});
  EXPECT_THAT(broken_, IsEmpty());
  unwanted_.clear();
  insert({"2", "a", "f", null, "new"});
  EXPECT_TRUE(broken_.contains(&all));
  EXPECT_THAT(got_, IsEmpty());
}

} // namespace
} // namespace busbar
