#include "tests/unit/actors/materializer_fixture.hpp"

#include <gmock/gmock.h>

namespace busbar {
namespace {

using ::testing::ElementsAre;
using testing::frame_builder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::made_shape;

/// items (the fixture's table) is the root of one leaf, and of a middle with another leaf.
class MaterializerPartitionsTest : public testing::MaterializerTest {
protected:
  static constexpr std::uint32_t leaf = 16401;
  static constexpr std::uint32_t middle = 16402;
  static constexpr std::uint32_t deep = 16403;

  static std::vector<std::pair<std::string, std::uint32_t>> columns() {
    return {{"id", 23}, {"title", 25}, {"done", 16}, {"note", 25}};
  }
  static frame_builder tree() {
    auto built = frame_builder{};
    built.relation(leaf, "leaf", columns()).below(oid);
    built.relation(deep, "deep", columns()).below(middle).below(oid);
    return built;
  }
  static std::shared_ptr<const table_info> like_items(std::uint32_t number, std::string name) {
    auto made = *testing::items();
    made.oid = number;
    made.name = std::move(name);
    return std::make_shared<const table_info>(std::move(made));
  }
  shape_ptr live_shape_on(std::uint64_t id, const std::shared_ptr<const table_info>& table) {
    const auto shape = made_shape(id, {}, table);
    expect(shape);
    create_at(shape, 100, 109);
    EXPECT_EQ(splice(shape, {.xmin = 110, .xmax = 110, .xip = {}})->value, true);
    return shape;
  }
};

TEST_F(MaterializerPartitionsTest, ChangeOfALeafReachesEveryTableAboveAtTheSamePosition) {
  const auto root = live_shape(1);
  const auto on_middle = live_shape_on(2, like_items(middle, "middle"));
  const auto on_leaf = live_shape_on(3, like_items(leaf, "leaf"));
  apply(tree().begin(200, 120).insert(leaf, row(1)).insert(deep, row(2)).commit());
  EXPECT_THAT(log_of(root), ElementsAre("200_0 insert 1", "200_2 insert 2 last"));
  EXPECT_THAT(log_of(on_middle), ElementsAre("200_2 insert 2 last"));
  EXPECT_THAT(log_of(on_leaf), ElementsAre("200_0 insert 1 last"));
}

TEST_F(MaterializerPartitionsTest, RowThatMovesBetweenLeavesIsDeletedAndInserted) {
  const auto root = live_shape(1);
  apply(tree().begin(200, 120).insert(leaf, row(1)).commit());
  apply(frame_builder{}.begin(300, 121).remove(leaf, row(1)).insert(deep, row(1, "b")).commit());
  EXPECT_THAT(log_of(root),
              ElementsAre("200_0 insert 1 last", "300_0 delete 1", "300_2 insert 1 last"));
}

TEST_F(MaterializerPartitionsTest, ShapeMadeLaterFollowsLeavesThatWereDescribedBefore) {
  apply(tree().begin(90, 108).insert(leaf, row(1)).commit());
  const auto root = live_shape(1);
  apply(frame_builder{}.begin(200, 120).insert(leaf, row(2)).commit());
  EXPECT_THAT(log_of(root), ElementsAre("200_0 insert 2 last"));
  EXPECT_THAT(invalidated_, IsEmpty());
}

TEST_F(MaterializerPartitionsTest, TruncateOfALeafEndsItsShapesAndThoseAboveButNotBeside) {
  const auto root = live_shape(1);
  const auto on_leaf = live_shape_on(2, like_items(leaf, "leaf"));
  const auto on_deep = live_shape_on(3, like_items(deep, "deep"));
  apply(tree().begin(200, 120).truncate(leaf).commit());
  EXPECT_TRUE(root->progress().gone);
  EXPECT_TRUE(on_leaf->progress().gone);
  EXPECT_FALSE(on_deep->progress().gone);
}

TEST_F(MaterializerPartitionsTest, DetachedLeafNoLongerReachesTheRoot) {
  const auto root = live_shape(1);
  apply(tree().begin(200, 120).insert(leaf, row(1)).commit());
  apply(frame_builder{}
            .relation(leaf, "leaf", columns())
            .begin(300, 121)
            .insert(leaf, row(2))
            .commit());
  EXPECT_THAT(log_of(root), ElementsAre("200_0 insert 1 last"));
}

TEST_F(MaterializerPartitionsTest, LeafWithoutIdentityIsReportedAndItsInsertsHarmNobody) {
  const auto root = live_shape(1);
  apply(frame_builder{}
            .relation(leaf, "leaf", columns())
            .below(oid)
            .without_identity()
            .begin(200, 120)
            .insert(leaf, row(1))
            .commit());
  EXPECT_THAT(to_mend_, ElementsAre(root));
  EXPECT_THAT(invalidated_, IsEmpty());
  EXPECT_THAT(log_of(root), ElementsAre("200_0 insert 1 last"));
}

// F43
TEST_F(MaterializerPartitionsTest, ChangeWithoutOldImageEndsOnlyTheShapesThatItConcerns) {
  const auto root = live_shape(1);
  const auto on_leaf = live_shape_on(2, like_items(leaf, "leaf"));
  const auto on_deep = live_shape_on(3, like_items(deep, "deep"));
  apply(tree().begin(200, 120).update(leaf, {}, row(1)).key_only().commit());
  ASSERT_EQ(invalidated_.size(), 2u);
  EXPECT_THAT(invalidated_[0].second, HasSubstr("REPLICA IDENTITY FULL"));
  EXPECT_TRUE(root->progress().gone);
  EXPECT_TRUE(on_leaf->progress().gone);
  EXPECT_FALSE(on_deep->progress().gone);
}

TEST_F(MaterializerPartitionsTest, PartitionAttachedAfterTheSnapshotEndsTheShapesAboveTheLink) {
  const auto root = live_shape(1);
  const auto on_middle = live_shape_on(2, like_items(middle, "middle"));
  apply(frame_builder{}
            .relation(deep, "deep", columns())
            .below(middle, 60) // before the snapshots
            .below(oid, 115)   // after
            .begin(200, 120)
            .insert(deep, row(1))
            .commit());
  ASSERT_EQ(invalidated_.size(), 1u);
  EXPECT_EQ(invalidated_[0].first, root);
  EXPECT_THAT(invalidated_[0].second, HasSubstr("attached"));
  EXPECT_THAT(log_of(on_middle), ElementsAre("200_0 insert 1 last"));
}

TEST_F(MaterializerPartitionsTest, SnapshotThatDoesNotSeeAnAttachmentEndsItsShape) {
  const auto root = made_shape(1);
  expect(root);
  create_at(root, 100, 109);
  apply(frame_builder{}
            .relation(leaf, "leaf", columns())
            .below(oid, 115)
            .begin(200, 120)
            .insert(leaf, row(1))
            .commit());
  splice(root, {.xmin = 110, .xmax = 110, .xip = {}});
  EXPECT_TRUE(root->progress().gone);
}

TEST_F(MaterializerPartitionsTest, LeafDescribedAgainUnchangedEndsNothing) {
  const auto root = live_shape(1);
  apply(tree().begin(200, 120).insert(leaf, row(1)).commit());
  reconnect();
  apply(tree().begin(300, 121).insert(leaf, row(2)).commit());
  EXPECT_THAT(invalidated_, IsEmpty());
  EXPECT_THAT(log_of(root), ElementsAre("200_0 insert 1 last", "300_0 insert 2 last"));
}

} // namespace
} // namespace busbar
