// Shapes that go, many at a time. F49
#include "tests/unit/storage/store_fixture.hpp"

#include <gmock/gmock.h>

namespace busbar::storage {
namespace {

using ::testing::ElementsAre;
using testing::everything;
using ::testing::IsEmpty;

class StoreRemovalTest : public testing::StoreTest {
protected:
  void add(std::uint64_t id, std::size_t entries, std::size_t bytes) {
    put(shape_id{id}, record("shape" + std::to_string(id)));
    ASSERT_TRUE(store_->put_snapshot_piece(shape_id{id}, 0, 0, block({{0, "row"}}, 0), true));
    batch writes;
    for (std::size_t i = 0; i < entries; ++i)
      writes.append_block(shape_id{id}, {100 + i, 0}, block({{0, std::string(bytes, 'x')}}));
    writes.put_set_value(shape_id{id}, digest{}, 1);
    commit(writes);
  }
  bool is_there(std::uint64_t id) {
    return !read(shape_id{id}, log_offset::start(), everything).empty() ||
           *store_->read_snapshot_piece(shape_id{id}, 0, 0) ||
           !store_->read_set(shape_id{id}).value().values.empty();
  }
};

TEST_F(StoreRemovalTest, ManyShapesGoTogetherWhateverTheirSizeAndTheOthersStay) {
  for (std::uint64_t id = 1; id <= 60; ++id)
    add(id, id % 3 == 0 ? 40 : 2, id % 5 == 0 ? 20'000 : 10);
  std::vector<store::removal> removals;
  for (std::uint64_t id = 1; id <= 60; ++id)
    if (id % 2 == 0 || (id > 20 && id < 40)) {
      ASSERT_TRUE(store_->mark_removed(shape_id{id}));
      removals.push_back({shape_id{id}, true});
    }
  std::ranges::reverse(removals);
  ASSERT_TRUE(store_->remove_shapes(removals));
  EXPECT_THAT(store_->removed_shapes().value(), IsEmpty());
  for (const bool reopened : {false, true}) {
    if (reopened)
      reopen();
    for (std::uint64_t id = 1; id <= 60; ++id)
      EXPECT_EQ(is_there(id), id % 2 == 1 && (id <= 20 || id >= 40)) << id;
  }
  EXPECT_EQ(recover().size(), 60 - removals.size());
}

TEST_F(StoreRemovalTest, ARemovalThatACrashInterruptedIsFoundAgain) {
  for (std::uint64_t id = 1; id <= 3; ++id)
    add(id, 2, 10);
  ASSERT_TRUE(store_->mark_removed(shape_id{1}));
  ASSERT_TRUE(store_->mark_removed(shape_id{3}));
  ASSERT_TRUE(store_->remove_shape(shape_id{3}, false)); // somebody may still write for it
  reopen();
  ASSERT_EQ(recover().size(), 1u);
  EXPECT_THAT(store_->removed_shapes().value(), ElementsAre(shape_id{1}, shape_id{3}));
  clear_away();
  EXPECT_THAT(store_->removed_shapes().value(), IsEmpty());
  EXPECT_FALSE(is_there(1));
  EXPECT_TRUE(is_there(2));
}

TEST_F(StoreRemovalTest, DataThatNothingTellsOfIsFoundUnlessThisProcessMadeIt) {
  for (int i = 0; i < 10; ++i)
    ASSERT_TRUE(store_->next_shape_id());
  add(2, 2, 10);
  batch writes;
  writes.append_block(shape_id{3}, {100, 0}, block({{0, "a"}})); // its record was lost
  commit(writes);
  ASSERT_TRUE(store_->put_snapshot_piece(shape_id{4}, 0, 0, "piece", true));
  reopen();
  const auto young = store_->next_shape_id().value();
  writes.append_block(young, {100, 0}, block({{0, "a"}}));
  commit(writes);
  EXPECT_THAT(store_->ownerless_shapes().value(), ElementsAre(shape_id{3}, shape_id{4}));
  ASSERT_TRUE(store_->remove_shape(shape_id{3}, true));
  ASSERT_TRUE(store_->remove_shape(shape_id{4}, true));
  EXPECT_THAT(store_->ownerless_shapes().value(), IsEmpty());
  EXPECT_TRUE(is_there(2));
}

TEST_F(StoreRemovalTest, APurgeLeavesTheMarksOfShapesThatMayStillBeWritten) {
  add(1, 2, 10);
  ASSERT_TRUE(store_->mark_removed(shape_id{1}));
  const std::array usage{std::pair{shape_id{1}, shape_usage{1, 2}}};
  ASSERT_TRUE(store_->put_usage(usage));
  ASSERT_TRUE(store_->remove_all_shapes());
  put(shape_id{1}, record("late"));
  reopen();
  EXPECT_THAT(recover(), IsEmpty());
  clear_away();
  put(shape_id{1}, record("another"));
  ASSERT_EQ(recover().size(), 1u);
  EXPECT_EQ(recover()[0].usage, shape_usage{});
}

TEST_F(StoreRemovalTest, WhenAShapeWasReadIsKept) {
  add(1, 1, 1);
  add(2, 1, 1);
  const std::array usage{std::pair{shape_id{2}, shape_usage{1'700'000'000'000'000, 12'345}}};
  ASSERT_TRUE(store_->put_usage(usage));
  reopen();
  const auto shapes = recover();
  ASSERT_EQ(shapes.size(), 2u);
  EXPECT_EQ(shapes[0].usage, shape_usage{});
  EXPECT_EQ(shapes[1].usage, usage[0].second);
}

} // namespace
} // namespace busbar::storage
