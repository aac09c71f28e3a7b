#include "tests/unit/storage/store_fixture.hpp"

#include <gmock/gmock.h>

namespace busbar::storage {
namespace {

using testing::everything;

class StoreLogTest : public testing::StoreTest {
protected:
  /// Transaction 100 in two blocks, 200 in one; another shape's log around it.
  void write_sample() {
    batch writes;
    writes.append_block(shape_id{6}, {100, 0}, block({{0, "before"}}));
    writes.append_block(shape_, {100, 2}, block({{0, "a"}, {2, "b"}}));
    writes.append_block(shape_, {100, 7}, block({{6, "c"}, {7, "d"}}));
    writes.append_block(shape_, {200, 4}, block({{4, "e"}}));
    writes.append_block(shape_id{8}, {100, 0}, block({{0, "behind"}}));
    commit(writes);
  }
  std::optional<log_offset> chunk_end(log_offset after) {
    auto found = store_->chunk_end_after(shape_, after);
    EXPECT_TRUE(found);
    return found ? *found : std::nullopt;
  }

  shape_id shape_{7};
};

TEST_F(StoreLogTest, EveryOffsetIsFollowedByExactlyTheEntriesBehindIt) {
  write_sample();
  const std::vector<std::pair<log_offset, std::string>> expected{
      {log_offset::start(), "a,b,c,d,e"},
      {{0, 0}, "a,b,c,d,e"},
      {log_offset::snapshot_end(), "a,b,c,d,e"},
      {{99, log_offset::infinite}, "a,b,c,d,e"},
      {{100, 0}, "b,c,d,e"},
      {{100, 1}, "b,c,d,e"},
      {{100, 2}, "c,d,e"},
      {{100, 5}, "c,d,e"},
      {{100, 6}, "d,e"},
      {{100, 7}, "e"},
      {{100, log_offset::infinite}, "e"},
      {{150, 0}, "e"},
      {{200, 3}, "e"},
      {{200, 4}, ""},
      {{201, 0}, ""},
      {everything, ""}};
  for (const auto& [after, entries] : expected)
    EXPECT_EQ(read(shape_, after, everything), entries) << to_string(after);
}

TEST_F(StoreLogTest, ReadingEndsAtTheUpperOffset) {
  write_sample();
  EXPECT_EQ(read(shape_, log_offset::start(), {100, 2}), "a,b");
  EXPECT_EQ(read(shape_, log_offset::start(), {100, 7}), "a,b,c,d");
  EXPECT_EQ(read(shape_, {100, 7}, {100, 7}), "");
  EXPECT_EQ(read(shape_, log_offset::start(), log_offset::snapshot_end()), "");
}

TEST_F(StoreLogTest, VisitorCanStop) {
  write_sample();
  int visits = 0;
  const auto done = store_->read_log(shape_, log_offset::start(), everything,
                                     [&](log_offset, std::string_view) { return ++visits < 2; });
  EXPECT_TRUE(done);
  EXPECT_EQ(visits, 2);
}

TEST_F(StoreLogTest, NothingIsVisibleBeforeTheCommit) {
  batch writes;
  writes.append_block(shape_, {100, 0}, block({{0, "a"}}));
  EXPECT_FALSE(writes.empty());
  EXPECT_EQ(read(shape_, log_offset::start(), everything), "");
  commit(writes);
  EXPECT_EQ(read(shape_, log_offset::start(), everything), "a");
}

TEST_F(StoreLogTest, RepeatedTransactionRewritesTheSameEntries) {
  write_sample();
  write_sample();
  EXPECT_EQ(read(shape_, log_offset::start(), everything), "a,b,c,d,e");
}

TEST_F(StoreLogTest, LogSurvivesReopening) {
  write_sample();
  reopen();
  EXPECT_EQ(read(shape_, log_offset::start(), everything), "a,b,c,d,e");
}

TEST_F(StoreLogTest, DroppedTransactionLeavesItsNeighboursAlone) {
  write_sample();
  batch writes;
  writes.mark_boundary(shape_, {100, 2});
  writes.mark_boundary(shape_, {200, 4});
  writes.drop_transaction(shape_, 100);
  commit(writes);
  EXPECT_EQ(read(shape_, log_offset::start(), everything), "e");
  EXPECT_EQ(chunk_end(log_offset::start()), (log_offset{200, 4}));
  EXPECT_EQ(read(shape_id{6}, log_offset::start(), everything), "before");
  EXPECT_EQ(read(shape_id{8}, log_offset::start(), everything), "behind");
}

TEST_F(StoreLogTest, ChunkEndIsTheFirstBehindTheOffset) {
  EXPECT_EQ(chunk_end(log_offset::start()), std::nullopt);
  batch writes;
  writes.mark_boundary(shape_, {100, 2});
  writes.mark_boundary(shape_, {300, 0});
  writes.mark_boundary(shape_id{6}, {250, 0});
  writes.mark_boundary(shape_id{8}, {50, 0});
  commit(writes);
  EXPECT_EQ(chunk_end(log_offset::start()), (log_offset{100, 2}));
  EXPECT_EQ(chunk_end(log_offset::snapshot_end()), (log_offset{100, 2}));
  EXPECT_EQ(chunk_end({100, 1}), (log_offset{100, 2}));
  EXPECT_EQ(chunk_end({100, 2}), (log_offset{300, 0}));
  EXPECT_EQ(chunk_end({299, 9}), (log_offset{300, 0}));
  EXPECT_EQ(chunk_end({300, 0}), std::nullopt);
}

TEST_F(StoreLogTest, SnapshotPiecesAreReadBackAndEndWithNull) {
  ASSERT_TRUE(store_->put_snapshot_piece(shape_, 0, 0, "first", true));
  ASSERT_TRUE(store_->put_snapshot_piece(shape_, 0, 1, "second", false));
  ASSERT_TRUE(store_->put_snapshot_piece(shape_, 1, 0, std::string(100'000, 'x'), false));
  EXPECT_EQ(**store_->read_snapshot_piece(shape_, 0, 0), "first");
  EXPECT_EQ(**store_->read_snapshot_piece(shape_, 0, 1), "second");
  EXPECT_EQ(store_->read_snapshot_piece(shape_, 1, 0).value()->size(), 100'000u);
  EXPECT_EQ(*store_->read_snapshot_piece(shape_, 0, 2), nullptr);
  EXPECT_EQ(*store_->read_snapshot_piece(shape_, 2, 0), nullptr);
  EXPECT_EQ(*store_->read_snapshot_piece(shape_id{8}, 0, 0), nullptr);
}

TEST_F(StoreLogTest, FinishedSnapshotIsThereAfterReopening) {
  ASSERT_TRUE(store_->put_snapshot_piece(shape_, 0, 0, "first", true));
  ASSERT_TRUE(store_->put_snapshot_piece(shape_, 0, 1, "second", false));
  ASSERT_TRUE(store_->finish_snapshots(std::array{std::pair{shape_, record("h")}}, true));
  reopen();
  EXPECT_EQ(**store_->read_snapshot_piece(shape_, 0, 1), "second");
  ASSERT_EQ(recover().size(), 1u);
}

TEST_F(StoreLogTest, SnapshotPiecesAndChunkEndsDoNotMix) {
  ASSERT_TRUE(store_->put_snapshot_piece(shape_, 0, 0, "piece", true));
  EXPECT_EQ(chunk_end(log_offset::start()), std::nullopt);
}

} // namespace
} // namespace busbar::storage
