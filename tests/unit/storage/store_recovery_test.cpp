#include "tests/unit/storage/store_fixture.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

namespace busbar::storage {
namespace {

using ::testing::ElementsAre;
using testing::everything;
using ::testing::HasSubstr;

class StoreRecoveryTest : public testing::StoreTest {};

TEST_F(StoreRecoveryTest, NewStoreIsEmpty) {
  EXPECT_EQ(*store_->identity(), std::nullopt);
  EXPECT_EQ(*store_->durable(), lsn{0});
  EXPECT_TRUE(recover().empty());
}

TEST_F(StoreRecoveryTest, IdentityIsKept) {
  const node_identity who{"7123456789012345678", 3, "app", "default"};
  ASSERT_TRUE(store_->set_identity(who));
  reopen();
  EXPECT_EQ(*store_->identity(), who);
}

TEST_F(StoreRecoveryTest, ControlKeyIsMadeOnceAndKept) {
  const auto key = store_->control_key().value();
  EXPECT_EQ(key.size(), 32u);
  EXPECT_EQ(store_->control_key().value(), key);
  reopen();
  EXPECT_EQ(store_->control_key().value(), key);
}

TEST_F(StoreRecoveryTest, EveryStoreHasItsOwnControlKey) {
  const auto key = store_->control_key().value();
  const auto other = store::open({.directory = directory_ / "other"});
  ASSERT_TRUE(other);
  EXPECT_NE((*other)->control_key().value(), key);
}

TEST_F(StoreRecoveryTest, DurableFollowsTheSync) {
  batch writes;
  writes.append_block(shape_id{1}, {100, 0}, block({{0, "a"}}));
  commit(writes);
  EXPECT_EQ(*store_->durable(), lsn{0}); // committed, but nothing promised yet
  ASSERT_TRUE(store_->sync(lsn{108}));
  EXPECT_EQ(*store_->durable(), lsn{108});
  ASSERT_TRUE(store_->sync(lsn{300}));
  reopen();
  EXPECT_EQ(*store_->durable(), lsn{300});
}

TEST_F(StoreRecoveryTest, ShapeIdsAreNeverGivenTwice) {
  std::uint64_t highest = 0;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 1'500; ++i) {
      const auto id = to_number(store_->next_shape_id().value());
      ASSERT_GT(id, highest);
      highest = id;
    }
    reopen();
  }
}

// F07
TEST_F(StoreRecoveryTest, FinishedShapeIsFoundWithTheEndOfItsLog) {
  put(shape_id{5}, record("five"));
  put(shape_id{6}, record("six"));
  batch writes;
  writes.append_block(shape_id{5}, {100, 3}, block({{0, "a"}, {3, "b"}}, 10));
  writes.append_block(shape_id{5}, {200, 8}, block({{8, "c"}}, 77));
  commit(writes);
  reopen();
  const auto shapes = recover();
  ASSERT_EQ(shapes.size(), 2u);
  EXPECT_EQ(shapes[0].id, shape_id{5});
  EXPECT_EQ(shapes[0].record.handle, "five");
  EXPECT_EQ(shapes[0].record.visibility, record("").visibility);
  EXPECT_EQ(shapes[0].head, (log_offset{200, 8}));
  EXPECT_EQ(shapes[0].open_chunk_bytes, 77u);
  EXPECT_EQ(shapes[1].head, log_offset::snapshot_end());
  EXPECT_EQ(shapes[1].open_chunk_bytes, 0u);
}

TEST_F(StoreRecoveryTest, ShapesOfOneTableShareItAndWhatIsKnownOfIt) {
  auto other = record("other");
  auto renamed = *other.table;
  renamed.name = "renamed";
  other.table = std::make_shared<const table_info>(renamed);
  put(shape_id{5}, record("five"));
  put(shape_id{6}, record("six"));
  put(shape_id{7}, other);
  const table_facts facts{
      .table = *record("").table, .published_by = {501}, .publication_xid = 3, .partitions = {}};
  const snapshot seen{.xmin = 120, .xmax = 130, .xip = {125}};
  batch writes;
  writes.put_facts(std::array{shape_id{5}, shape_id{6}}, facts, seen, facts.table);
  commit(writes);
  for (int start = 0; start < 2; ++start) {
    reopen();
    const auto shapes = recover();
    ASSERT_EQ(shapes.size(), 3u);
    EXPECT_EQ(shapes[0].record.table, shapes[1].record.table);
    EXPECT_EQ(*shapes[0].record.table, *record("").table);
    EXPECT_EQ(*shapes[2].record.table, renamed);
    EXPECT_EQ(shapes[0].known, shapes[1].known);
    EXPECT_EQ(shapes[2].known, nullptr);
  }
}

TEST_F(StoreRecoveryTest, ATableThatNoShapeIsOnIsForgottenAndCanComeAgain) {
  put(shape_id{5}, record("five"));
  ASSERT_TRUE(store_->remove_shape(shape_id{5}, true));
  reopen();
  EXPECT_TRUE(recover().empty());
  put(shape_id{6}, record("six"));
  reopen();
  const auto shapes = recover();
  ASSERT_EQ(shapes.size(), 1u);
  EXPECT_EQ(*shapes[0].record.table, *record("").table);
}

TEST_F(StoreRecoveryTest, SplicePointIsKept) {
  put(shape_id{5}, record("five"));
  put(shape_id{6}, record("six"));
  batch writes;
  writes.mark_splice_passed(shape_id{6}, 123'456);
  commit(writes);
  reopen();
  const auto shapes = recover();
  ASSERT_EQ(shapes.size(), 2u);
  EXPECT_EQ(shapes[0].splice_passed, 0u);
  EXPECT_EQ(shapes[1].splice_passed, 123'456u);
}

TEST_F(StoreRecoveryTest, AShapeThatHadOnlyBegunIsRemoved) {
  ASSERT_TRUE(store_->begin_shapes(std::array{shape_id{5}, shape_id{6}}));
  ASSERT_TRUE(store_->put_snapshots(std::array{shape_id{5}, shape_id{6}}, "piece"));
  put(shape_id{6}, record("six"));
  reopen();
  const auto shapes = recover();
  ASSERT_EQ(shapes.size(), 1u);
  EXPECT_EQ(shapes[0].id, shape_id{6});
  EXPECT_THAT(store_->removed_shapes().value(), ElementsAre(shape_id{5}));
  ASSERT_TRUE(store_->remove_shape(shape_id{5}, true));
  EXPECT_EQ(*store_->read_snapshot_piece(shape_id{5}, 0, 0), nullptr);
  EXPECT_EQ(**store_->read_snapshot_piece(shape_id{6}, 0, 0), "piece");
}

TEST_F(StoreRecoveryTest, AFinishedChunkOfTheLogIsNoticed) {
  put(shape_id{5}, record("five"));
  put(shape_id{6}, record("six"));
  batch writes;
  writes.mark_boundary(shape_id{6}, {100, 3});
  commit(writes);
  reopen();
  const auto shapes = recover();
  ASSERT_EQ(shapes.size(), 2u);
  EXPECT_FALSE(shapes[0].has_boundaries);
  EXPECT_TRUE(shapes[1].has_boundaries);
}

// F29
TEST_F(StoreRecoveryTest, ShapeWithoutAFinishedSnapshotIsRemoved) {
  put(shape_id{5}, record("five", false));
  ASSERT_TRUE(store_->put_snapshot_piece(shape_id{5}, 0, 0, "piece", true));
  batch writes;
  writes.append_block(shape_id{5}, {100, 0}, block({{0, "a"}}));
  commit(writes);
  reopen();
  EXPECT_TRUE(recover().empty());
  EXPECT_THAT(store_->removed_shapes().value(), ElementsAre(shape_id{5}));
  clear_away();
  EXPECT_TRUE(store_->removed_shapes().value().empty());
  EXPECT_EQ(*store_->read_snapshot_piece(shape_id{5}, 0, 0), nullptr);
  EXPECT_EQ(read(shape_id{5}, log_offset::start(), everything), "");
}

TEST_F(StoreRecoveryTest, TransactionWrittenInPartIsDropped) {
  put(shape_id{5}, record("five"));
  batch writes;
  writes.append_block(shape_id{5}, {100, 0}, block({{0, "whole"}}, 42));
  commit(writes);
  writes.open_transaction(0, 200);
  writes.append_block(shape_id{5}, {200, 6}, block({{6, "half"}}, 0));
  writes.mark_boundary(shape_id{5}, {200, 6});
  commit(writes);
  reopen();
  auto shapes = recover();
  ASSERT_EQ(shapes.size(), 1u);
  EXPECT_EQ(shapes[0].head, (log_offset{100, 0}));
  EXPECT_EQ(shapes[0].open_chunk_bytes, 42u);
  EXPECT_EQ(read(shape_id{5}, log_offset::start(), everything), "whole");
  EXPECT_EQ(store_->chunk_end_after(shape_id{5}, log_offset::start()).value(), std::nullopt);
  // Once repaired it is a store like any other: what is sent again stays.
  writes.append_block(shape_id{5}, {200, 6}, block({{6, "again"}}));
  commit(writes);
  reopen();
  EXPECT_EQ(recover().at(0).head, (log_offset{200, 6}));
}

TEST_F(StoreRecoveryTest, FinishedTransactionOfSeveralBatchesIsKept) {
  put(shape_id{5}, record("five"));
  batch writes;
  writes.open_transaction(0, 200);
  writes.append_block(shape_id{5}, {200, 0}, block({{0, "one"}}));
  commit(writes);
  writes.append_block(shape_id{5}, {200, 2}, block({{2, "two"}}));
  writes.close_transaction(0);
  commit(writes);
  reopen();
  EXPECT_EQ(recover().at(0).head, (log_offset{200, 2}));
  EXPECT_EQ(read(shape_id{5}, log_offset::start(), everything), "one,two");
}

TEST_F(StoreRecoveryTest, EachWriterHasItsOwnOpenTransaction) {
  put(shape_id{4}, record("four"));
  put(shape_id{5}, record("five"));
  batch writes;
  writes.open_transaction(0, 200);
  writes.append_block(shape_id{4}, {200, 0}, block({{0, "whole"}}));
  writes.open_transaction(1, 200);
  writes.append_block(shape_id{5}, {200, 2}, block({{2, "half"}}));
  commit(writes);
  writes.close_transaction(0); // writer 0 is done, writer 1 is not
  commit(writes);
  reopen();
  const auto shapes = recover();
  ASSERT_EQ(shapes.size(), 2u);
  EXPECT_EQ(shapes[1].head, log_offset::snapshot_end());
}

TEST_F(StoreRecoveryTest, AShapeThatIsFurtherKeepsWhatAnotherWriterHasInPart) {
  put(shape_id{4}, record("four"));
  put(shape_id{5}, record("five"));
  batch writes;
  writes.open_transaction(0, 200);
  writes.append_block(shape_id{4}, {200, 0}, block({{0, "half"}}));
  commit(writes);
  writes.append_block(shape_id{5}, {200, 2}, block({{2, "whole"}}));
  writes.append_block(shape_id{5}, {250, 0}, block({{0, "later"}}));
  commit(writes); // writer 1 is done with both
  reopen();
  const auto seen = store_->recover(recovery::look).value();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].head, log_offset::snapshot_end());
  EXPECT_EQ(seen[1].head, (log_offset{250, 0}));
  const auto shapes = recover();
  ASSERT_EQ(shapes.size(), 2u);
  EXPECT_EQ(shapes[0].head, log_offset::snapshot_end());
  EXPECT_EQ(shapes[1].head, (log_offset{250, 0}));
  EXPECT_EQ(read(shape_id{5}, log_offset::start(), everything), "whole,later");
}

// F30
TEST_F(StoreRecoveryTest, ShapeWithADamagedLogIsRemovedAndTheOthersStay) {
  put(shape_id{5}, record("five"));
  put(shape_id{6}, record("six"));
  batch writes;
  writes.append_block(shape_id{5}, {100, 0}, "not a block");
  writes.append_block(shape_id{6}, {100, 0}, block({{0, "a"}}));
  commit(writes);
  reopen();
  const auto shapes = recover();
  ASSERT_EQ(shapes.size(), 1u);
  EXPECT_EQ(shapes[0].record.handle, "six");
}

TEST_F(StoreRecoveryTest, RemovedShapeLeavesNothingAndItsNeighboursAlone) {
  batch writes;
  for (const std::uint64_t id : {4, 5, 6}) {
    put(shape_id{id}, record("shape"));
    ASSERT_TRUE(store_->put_snapshot_piece(shape_id{id}, 0, 0, "piece", true));
    writes.append_block(shape_id{id}, {100, 0}, block({{0, "a"}}));
    writes.mark_boundary(shape_id{id}, {100, 0});
    writes.mark_splice_passed(shape_id{id}, 90);
  }
  commit(writes);
  ASSERT_TRUE(store_->remove_shape(shape_id{5}, true));
  EXPECT_EQ(*store_->read_snapshot_piece(shape_id{5}, 0, 0), nullptr);
  EXPECT_EQ(read(shape_id{5}, log_offset::start(), everything), "");
  EXPECT_EQ(store_->chunk_end_after(shape_id{5}, log_offset::start()).value(), std::nullopt);
  reopen();
  const auto shapes = recover();
  ASSERT_EQ(shapes.size(), 2u);
  for (const auto& shape : shapes) {
    EXPECT_NE(shape.id, shape_id{5});
    EXPECT_EQ(shape.splice_passed, 90u);
    EXPECT_EQ(read(shape.id, log_offset::start(), everything), "a");
    EXPECT_NE(*store_->read_snapshot_piece(shape.id, 0, 0), nullptr);
  }
}

TEST_F(StoreRecoveryTest, ShapeMarkedAsRemovedIsNotFoundThoughItsDataIsStillThere) {
  put(shape_id{5}, record("five"));
  put(shape_id{6}, record("six"));
  put(shape_id{7}, record("seven"));
  batch writes;
  writes.append_block(shape_id{5}, {100, 0}, block({{0, "a"}}));
  writes.mark_removed(shape_id{5});
  commit(writes);
  ASSERT_TRUE(store_->mark_removed(shape_id{6}));
  reopen();
  const auto shapes = recover();
  ASSERT_EQ(shapes.size(), 1u);
  EXPECT_EQ(shapes[0].id, shape_id{7});
  clear_away();
  EXPECT_EQ(read(shape_id{5}, log_offset::start(), everything), "");
}

// F29
TEST_F(StoreRecoveryTest, SnapshotThatFinishesAfterTheRemovalBringsNothingBack) {
  put(shape_id{5}, record("five", false));
  ASSERT_TRUE(store_->mark_removed(shape_id{5}));
  ASSERT_TRUE(store_->remove_shape(shape_id{5}, false)); // its snapshotter still writes
  ASSERT_TRUE(store_->finish_snapshots(std::array{std::pair{shape_id{5}, record("five")}}, false));
  reopen();
  EXPECT_TRUE(recover().empty());
}

TEST_F(StoreRecoveryTest, RemovingAllShapesKeepsTheNodesOwnFacts) {
  const auto key = store_->control_key().value();
  ASSERT_TRUE(store_->sync(lsn{500}));
  put(shape_id{5}, record("five"));
  batch writes;
  writes.append_block(shape_id{5}, {100, 0}, block({{0, "a"}}));
  writes.mark_splice_passed(shape_id{5}, 90);
  commit(writes);
  ASSERT_TRUE(store_->remove_all_shapes());
  reopen();
  EXPECT_TRUE(recover().empty());
  EXPECT_EQ(read(shape_id{5}, log_offset::start(), everything), "");
  EXPECT_EQ(store_->control_key().value(), key);
  EXPECT_EQ(*store_->durable(), lsn{500});
}

// -- opening --------------------------------------------------------------------------------------

TEST_F(StoreRecoveryTest, DirectoryThatAnotherProcessHoldsIsRefused) {
  store_.reset();
  int ready[2];
  int release[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(release), 0);
  const auto lock_file = settings().directory + "/LOCK";
  const auto child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const int fd = ::open(lock_file.c_str(), O_RDWR | O_CREAT, 0644);
    struct flock whole = {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    char state = ::fcntl(fd, F_SETLK, &whole) == 0 ? 'y' : 'n';
    if (::write(ready[1], &state, 1) == 1)
      static_cast<void>(::read(release[0], &state, 1));
    ::_exit(0);
  }
  char state = 0;
  ASSERT_EQ(::read(ready[0], &state, 1), 1);
  EXPECT_EQ(state, 'y');
  const auto opened = store::open(settings());
  ASSERT_EQ(::write(release[1], "x", 1), 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  for (const int fd : {ready[0], ready[1], release[0], release[1]})
    ::close(fd);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, errc::misconfigured);
  EXPECT_THAT(opened.error().message, HasSubstr("in use by another process"));
  EXPECT_THAT(opened.error().message, HasSubstr(settings().directory));
  reopen(); // and free again once that process is gone
}

TEST_F(StoreRecoveryTest, DirectoryThatThisProcessHoldsIsRefused) {
  const auto opened = store::open(settings());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, errc::misconfigured);
  EXPECT_THAT(opened.error().message, HasSubstr("in use"));
}

TEST_F(StoreRecoveryTest, PathThatCannotBeADirectoryIsOneClearError) {
  std::ofstream{directory_ / "file"} << "not a directory";
  for (const auto& path : {directory_ / "file", directory_ / "file/below"}) {
    const auto opened = store::open({.directory = path});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, errc::misconfigured);
    EXPECT_THAT(opened.error().message, HasSubstr(path));
    EXPECT_EQ(opened.error().message.find('\n'), std::string::npos);
  }
}

TEST_F(StoreRecoveryTest, WhatIsKnownOfATableComesBackAndGoesWithItsShape) {
  const table_facts facts{
      .table = *record("a").table, .published_by = {501}, .publication_xid = 3, .partitions = {}};
  const snapshot seen{.xmin = 120, .xmax = 130, .xip = {125}};
  const auto known = [&](shape_id id) {
    for (auto& shape : recover())
      if (shape.id == id)
        return shape.known;
    ADD_FAILURE() << "no shape " << to_number(id);
    return known_ptr{};
  };
  for (const bool all_at_once : {false, true}) {
    put(shape_id{1}, record("a"));
    put(shape_id{2}, record("b"));
    batch writes;
    writes.put_facts(std::array{shape_id{1}}, facts, seen, *record("a").table);
    commit(writes);
    reopen();
    ASSERT_TRUE(known(shape_id{1}));
    EXPECT_EQ(*known(shape_id{1})->facts, facts);
    EXPECT_EQ(known(shape_id{1})->seen, seen);
    EXPECT_FALSE(known(shape_id{2}));
    ASSERT_TRUE(all_at_once ? store_->remove_all_shapes()
                            : store_->remove_shape(shape_id{1}, true));
    put(shape_id{1}, record("a"));
    EXPECT_FALSE(known(shape_id{1}));
  }
}

} // namespace
} // namespace busbar::storage
