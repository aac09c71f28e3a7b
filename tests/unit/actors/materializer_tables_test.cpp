#include "shapes/table_record.hpp"
#include "tests/unit/actors/materializer_fixture.hpp"

#include <gmock/gmock.h>

namespace busbar {
namespace {

using ::testing::ElementsAre;
using testing::facts_of;
using testing::frame_builder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// Shapes on items, whose snapshots see all below xid 110.
class MaterializerTablesTest : public testing::MaterializerTest {
protected:
  static constexpr std::uint32_t leaf = 16401;

  static table_facts items() { return facts_of(*testing::items()); }
  static snapshot as_of(std::uint64_t xmax) { return {.xmin = xmax, .xmax = xmax, .xip = {}}; }
  static table_facts without_not_null() {
    auto facts = items();
    facts.table.columns[1].not_null = false;
    return facts;
  }
  void tell(const table_facts& facts, std::uint64_t xmax) {
    note({.tables = {std::make_shared<const table_facts>(facts)}, .seen = as_of(xmax)});
  }
  /// What a frame says of the table in front of its changes.
  static auto saying(const table_facts& facts, std::uint64_t xmax) {
    return [facts, xmax](schema::Frame::Builder root) {
      encode(root.initTables(1)[0], facts);
      encode(root.initTablesSeen(), as_of(xmax));
    };
  }
  std::string fault() const {
    return invalidated_.empty() ? std::string{} : invalidated_.back().second;
  }
};

constexpr auto title_not_null = R"("title":{"type":"text","not_null":true})";

TEST_F(MaterializerTablesTest, SchemaFollowsBeforeTheFramesChangesAreShown) {
  const auto shape = live_shape(1);
  EXPECT_THAT(*shape->schema_json(), HasSubstr(title_not_null));
  apply(described()
            .with(saying(without_not_null(), 121))
            .begin(200, 120)
            .insert(oid, row(1))
            .commit());
  EXPECT_THAT(*shape->schema_json(), Not(HasSubstr(title_not_null)));
  EXPECT_THAT(log_of(shape), ElementsAre("200_0 insert 1 last"));
  EXPECT_THAT(invalidated_, IsEmpty());
}

TEST_F(MaterializerTablesTest, WhatIsOlderThanWhatIsKnownIsNotBelieved) {
  const auto shape = live_shape(1);
  tell(without_not_null(), 109); // before the shape's snapshot
  EXPECT_THAT(*shape->schema_json(), HasSubstr(title_not_null));
  tell(without_not_null(), 130);
  EXPECT_THAT(*shape->schema_json(), Not(HasSubstr(title_not_null)));
  tell(items(), 129); // read before, told after
  EXPECT_THAT(*shape->schema_json(), Not(HasSubstr(title_not_null)));
  tell(items(), 131);
  EXPECT_THAT(*shape->schema_json(), HasSubstr(title_not_null));
}

TEST_F(MaterializerTablesTest, AFaultEndsTheShapeBeforeTheFramesChangesAreShown) {
  const auto shape = live_shape(1);
  auto gone = items();
  gone.table.columns[1].type_oid = 20;
  apply(described().with(saying(gone, 121)).begin(200, 120).insert(oid, row(1)).commit());
  EXPECT_TRUE(shape->progress().gone);
  EXPECT_THAT(fault(), HasSubstr("\"title\" was dropped, renamed or retyped"));
  EXPECT_THAT(log_of(shape), IsEmpty());
  EXPECT_THAT(recover(), IsEmpty()) << "also after a crash";
}

TEST_F(MaterializerTablesTest, WhatIsKnownSurvivesACrash) {
  auto before = items();
  before.partitions = {{.oid = leaf, .attached_xid = 0}};
  auto shape = live_shape(1);
  tell(before, 130);
  crash();
  auto after = before;
  after.partitions.clear();
  tell(after, 129);
  EXPECT_THAT(fault(), IsEmpty());
  tell(after, 131);
  EXPECT_THAT(fault(), HasSubstr("detached or dropped"));
}

TEST_F(MaterializerTablesTest, AShapeOfWhichNothingWasStoredTakesWhatItHearsFirst) {
  auto stored = record("handle-7");
  stored.visibility = as_of(110);
  ASSERT_TRUE(store_->finish_snapshots(std::array{std::pair{storage::shape_id{7}, stored}}, false));
  crash();
  ASSERT_EQ(shapes_.size(), 1u);
  auto first = items();
  first.published_by = {77};
  tell(first, 130);
  EXPECT_THAT(fault(), IsEmpty());
  first.published_by = {78};
  tell(first, 140);
  EXPECT_THAT(fault(), HasSubstr("out of the publication"));
}

TEST_F(MaterializerTablesTest, AShapeThatCatchesUpHearsWhatItsFramesSaid) {
  const auto shape = testing::made_shape(1);
  expect(shape);
  create_at(shape, 100, 109);
  auto gone = items();
  gone.table.columns[1].type_oid = 20;
  // Read after the snapshot was, but the frame comes before the snapshotter says so.
  apply(frame_builder{}.with(saying(gone, 125)).begin(200, 120).insert(other_oid, row(1)).commit());
  EXPECT_THAT(invalidated_, IsEmpty());
  splice(shape, as_of(110));
  EXPECT_THAT(fault(), HasSubstr("retyped"));
}

TEST_F(MaterializerTablesTest, ALeafThatIsDescribedOutsideOfItsTreeTookItsRowsAlong) {
  const auto with = live_shape(1);
  auto facts = items();
  facts.partitions = {{.oid = leaf, .attached_xid = 0}};
  tell(facts, 130);
  const std::vector<std::pair<std::string, std::uint32_t>> columns{
      {"id", 23}, {"title", 25}, {"done", 16}, {"note", 25}};
  apply(frame_builder{}.relation(leaf, "leaf", columns).below(oid).begin(200, 131).commit());
  EXPECT_THAT(invalidated_, IsEmpty());
  // A shape made since then never had its rows.
  const auto without = testing::made_shape(2);
  expect(without);
  create_at(without, 300, 140);
  splice(without, as_of(141));
  apply(frame_builder{}.relation(leaf, "leaf", columns).begin(400, 142).commit());
  EXPECT_THAT(fault(), HasSubstr("detached"));
  EXPECT_TRUE(with->progress().gone);
  EXPECT_FALSE(without->progress().gone);
}

} // namespace
} // namespace busbar
