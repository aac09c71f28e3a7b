#include "actors/shape_log_writer.hpp"
#include "tests/unit/actors/made_shape.hpp"
#include "tests/unit/storage/store_fixture.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

namespace busbar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::made_shape;

constexpr std::uint64_t chunk_bytes = 1000;

/// An entry of at least `bytes`, that tells its place as real ones do.
encoded_entry entry(std::uint64_t tx, std::int64_t op, std::size_t bytes = 0) {
  encoded_entry e{.op = op, .json = R"({"headers":{)", .last_at = 12};
  e.json += R"("operation":"insert","lsn":")" + std::to_string(tx) + R"(","op_position":)" +
            std::to_string(op) + R"(,"pad":")";
  if (e.json.size() < bytes)
    e.json.append(bytes - e.json.size(), 'x');
  e.json += R"("}})";
  return e;
}

class ShapeLogWriterTest : public testing::StoreTest {
protected:
  void SetUp() override {
    StoreTest::SetUp();
    accept(*log_);
  }
  static void accept(shape_log_writer& log) {
    log.created(10);
    log.accept(std::make_shared<const snapshot>(snapshot{.xmin = 100, .xmax = 110, .xip = {104}}));
  }
  void show() {
    commit(writes_);
    move_ = log_->publish();
  }
  void transaction(std::uint64_t tx, const std::vector<std::size_t>& sizes) {
    std::int64_t op = 0;
    for (const auto bytes : sizes) {
      log_->append(tx, entry(tx, op, bytes), writes_);
      op += 2;
    }
    log_->commit(tx, writes_);
  }
  std::vector<std::string> all() const {
    return testing::entries_of(*store_, shape_->id(), log_offset::snapshot_end(),
                               testing::everything);
  }
  std::vector<log_offset> chunk_ends() const {
    std::vector<log_offset> ends;
    auto at = log_offset::start();
    while (const auto next = store_->chunk_end_after(shape_->id(), at).value()) {
      ends.push_back(*next);
      at = *next;
    }
    return ends;
  }
  /// What the protocol (8.2) says of these entries.
  std::vector<log_offset> expected_chunk_ends() const {
    std::vector<log_offset> ends;
    std::uint64_t sum = 0;
    for (const auto& e : all()) {
      sum += e.size();
      if (sum < chunk_bytes)
        continue;
      ends.push_back({std::stoull(testing::between(e, "\"lsn\":\"", '"')),
                      std::stoll(testing::between(e, "\"op_position\":", ','))});
      sum = 0;
    }
    return ends;
  }
  static std::vector<bool> marks(const std::vector<std::string>& entries) {
    std::vector<bool> marked;
    for (const auto& e : entries)
      marked.push_back(e.find(R"("headers":{"last":true,)") != std::string::npos);
    return marked;
  }

  shape_ptr shape_ = made_shape(7);
  std::unique_ptr<shape_log_writer> log_ = std::make_unique<shape_log_writer>(shape_, chunk_bytes);
  storage::batch writes_;
  std::optional<head_move> move_;
};

TEST_F(ShapeLogWriterTest, OnlyTheLastEntryOfATransactionIsMarked) {
  transaction(200, {0, 0, 0});
  transaction(300, {0});
  show();
  EXPECT_THAT(marks(all()), ElementsAre(false, false, true, true));
}

TEST_F(ShapeLogWriterTest, MarkIsOnTheLastEntryAlsoOfATransactionInManyParts) {
  for (std::int64_t op = 0; op < 10; op += 2) {
    const bool first = log_->append(200, entry(200, op, 300), writes_);
    EXPECT_EQ(first, op == 0);
    show();
    EXPECT_EQ(move_, std::nullopt); // nothing may be seen yet
    EXPECT_EQ(shape_->progress().head, log_offset::snapshot_end());
  }
  log_->commit(200, writes_);
  show();
  EXPECT_THAT(marks(all()), ElementsAre(false, false, false, false, true));
  ASSERT_TRUE(move_);
  EXPECT_EQ(move_->from, log_offset::snapshot_end());
  EXPECT_EQ(move_->to, (log_offset{200, 8}));
  EXPECT_EQ(shape_->progress().head, (log_offset{200, 8}));
}

TEST_F(ShapeLogWriterTest, HeadMovesOnlyWhenPublished) {
  transaction(200, {0});
  EXPECT_EQ(shape_->progress().head, log_offset::snapshot_end());
  show();
  EXPECT_EQ(shape_->progress().head, (log_offset{200, 0}));
  EXPECT_EQ(log_->publish(), std::nullopt);
}

TEST_F(ShapeLogWriterTest, ChunkEndsWithTheEntryThatReachesTheThreshold) {
  const auto plain = entry(200, 0).json.size();
  transaction(200, {chunk_bytes - plain - 1, plain}); // the mark takes the sum over it
  transaction(300, {0});
  show();
  EXPECT_THAT(chunk_ends(), ElementsAre(log_offset{200, 2}));
  EXPECT_EQ(chunk_ends(), expected_chunk_ends());
}

TEST_F(ShapeLogWriterTest, ChunkEndsDependOnTheEntriesAlone) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  for (std::uint64_t tx = 200; tx < 260; ++tx) {
    const auto count = 1 + random() % 6;
    for (std::uint32_t i = 0; i < count; ++i) {
      log_->append(tx, entry(tx, i * 2, random() % 900), writes_);
      if (random() % 3 == 0)
        show(); // a frame may end anywhere
    }
    log_->commit(tx, writes_);
    if (random() % 2 == 0)
      show();
    if (random() % 8 == 0) { // a new process goes on from what is stored
      show();
      put(shape_->id(), record("h"));
      reopen();
      const auto found = recover().at(0);
      log_ = std::make_unique<shape_log_writer>(shape_, chunk_bytes);
      accept(*log_);
      log_->resume(found.head, found.open_chunk_bytes, 0);
    }
  }
  show();
  EXPECT_GT(chunk_ends().size(), 20u);
  EXPECT_EQ(chunk_ends(), expected_chunk_ends());
}

TEST_F(ShapeLogWriterTest, FinishedChunkIsAnnouncedInTheProgress) {
  transaction(200, {100});
  show();
  EXPECT_FALSE(shape_->progress().has_boundaries);
  transaction(300, {chunk_bytes});
  show();
  EXPECT_TRUE(shape_->progress().has_boundaries);
}

// -- news for the watchers ------------------------------------------------------------------------

TEST_F(ShapeLogWriterTest, NewsAreTheEntriesThatALogReaderGets) {
  log_->watch(true);
  transaction(200, {0, 0});
  transaction(300, {0});
  show();
  ASSERT_TRUE(move_ && move_->body);
  EXPECT_EQ(*move_->body->json_elements(), read(shape_->id(), move_->from, move_->to));
  std::string events;
  for (const auto& e : all())
    events += "data: " + e + "\n\n";
  EXPECT_EQ(*move_->body->sse_events(), events);
  transaction(400, {0});
  show();
  ASSERT_TRUE(move_ && move_->body);
  EXPECT_EQ(*move_->body->json_elements(), read(shape_->id(), {300, 0}, {400, 0}));
}

TEST_F(ShapeLogWriterTest, NewsOfATransactionInSeveralPartsAreWhole) {
  log_->watch(true);
  log_->append(200, entry(200, 0), writes_);
  show();
  log_->append(200, entry(200, 2), writes_);
  log_->commit(200, writes_);
  show();
  ASSERT_TRUE(move_ && move_->body);
  EXPECT_EQ(*move_->body->json_elements(), read(shape_->id(), move_->from, move_->to));
}

TEST_F(ShapeLogWriterTest, NobodyWatchingMeansNoNews) {
  transaction(200, {0});
  show();
  ASSERT_TRUE(move_);
  EXPECT_EQ(move_->body, nullptr);
}

TEST_F(ShapeLogWriterTest, WatchThatBeginsInTheMiddleOfATransactionGetsNoHalfNews) {
  log_->append(200, entry(200, 0), writes_);
  log_->append(200, entry(200, 2), writes_);
  show();
  log_->watch(true);
  log_->append(200, entry(200, 4), writes_);
  log_->commit(200, writes_);
  show();
  ASSERT_TRUE(move_);
  EXPECT_EQ(move_->body, nullptr);
  transaction(300, {0}); // the next one is whole again
  show();
  ASSERT_TRUE(move_ && move_->body);
  EXPECT_EQ(*move_->body->json_elements(), read(shape_->id(), move_->from, move_->to));
}

TEST_F(ShapeLogWriterTest, NewsNeverHoldEntriesOfTheTransactionThatIsStillOpen) {
  log_->watch(true);
  transaction(200, {0});
  log_->append(300, entry(300, 0), writes_);
  log_->append(300, entry(300, 2), writes_);
  show();
  ASSERT_TRUE(move_);
  EXPECT_EQ(move_->to, (log_offset{200, 0}));
  EXPECT_EQ(move_->body, nullptr);
  log_->commit(300, writes_);
  show();
  ASSERT_TRUE(move_);
  EXPECT_EQ(move_->from, (log_offset{200, 0}));
  if (move_->body) {
    EXPECT_EQ(*move_->body->json_elements(), read(shape_->id(), move_->from, move_->to));
  }
}

TEST_F(ShapeLogWriterTest, NewsAcrossAChunkEndAreLeftToTheReaders) {
  log_->watch(true);
  transaction(200, {chunk_bytes, 0});
  show();
  ASSERT_TRUE(move_);
  EXPECT_EQ(move_->body, nullptr);
}

TEST_F(ShapeLogWriterTest, NewsBeyondTheirLimitAreLeftToTheReaders) {
  log_ = std::make_unique<shape_log_writer>(shape_, 100u << 20);
  accept(*log_);
  log_->watch(true);
  transaction(200, std::vector<std::size_t>(10, 100'000));
  show();
  ASSERT_TRUE(move_);
  EXPECT_EQ(move_->body, nullptr);
  EXPECT_EQ(all().size(), 10u);
}

// -- replays --------------------------------------------------------------------------------------

TEST_F(ShapeLogWriterTest, AbandonedTransactionSentAgainLeavesNoTrace) {
  transaction(200, {400});
  show();
  log_->append(300, entry(300, 0, 700), writes_);
  log_->append(300, entry(300, 2, 700), writes_);
  show();
  writes_.drop_transaction(shape_->id(), 300);
  log_->abandon();
  show();
  EXPECT_EQ(move_, std::nullopt);
  EXPECT_EQ(all().size(), 1u);
  EXPECT_THAT(chunk_ends(), IsEmpty());
  EXPECT_TRUE(log_->wants(300, 120));
  EXPECT_TRUE(log_->append(300, entry(300, 0, 700), writes_)); // the first entry once more
  log_->append(300, entry(300, 2, 700), writes_);
  log_->commit(300, writes_);
  show();
  EXPECT_THAT(marks(all()), ElementsAre(true, false, true));
  EXPECT_EQ(chunk_ends(), expected_chunk_ends());
}

TEST_F(ShapeLogWriterTest, AbandoningKeepsTheChunkEndOfWhatIsCommitted) {
  transaction(200, {chunk_bytes});
  log_->append(300, entry(300, 0), writes_);
  log_->abandon();
  show();
  EXPECT_TRUE(shape_->progress().has_boundaries);
}

TEST_F(ShapeLogWriterTest, NothingIsWantedBeforeTheSnapshotIsKnown) {
  shape_log_writer fresh{shape_, chunk_bytes};
  EXPECT_FALSE(fresh.wants(1000, 500));
  fresh.created(10);
  EXPECT_FALSE(fresh.wants(1000, 500));
  fresh.accept(std::make_shared<const snapshot>(snapshot{.xmin = 100, .xmax = 110, .xip = {104}}));
  EXPECT_TRUE(fresh.wants(1000, 500));
  fresh.stop();
  EXPECT_FALSE(fresh.wants(1000, 500));
}

TEST_F(ShapeLogWriterTest, WantedIsWhatCommittedLaterAndTheSnapshotDidNotSee) {
  EXPECT_FALSE(log_->wants(10, 200)); // the creation message's own transaction
  EXPECT_FALSE(log_->wants(9, 200));
  EXPECT_FALSE(log_->wants(20, 99)); // visible
  EXPECT_FALSE(log_->wants(20, 105));
  EXPECT_TRUE(log_->wants(20, 104)); // was running
  EXPECT_TRUE(log_->wants(20, 110));
}

TEST_F(ShapeLogWriterTest, WhatIsInTheLogIsNotWantedAgain) {
  transaction(200, {0});
  EXPECT_FALSE(log_->wants(200, 120));
  EXPECT_FALSE(log_->wants(150, 119));
  EXPECT_TRUE(log_->wants(201, 121));
}

TEST_F(ShapeLogWriterTest, SplicePassesOnceWithTheFirstTransactionPastTheSnapshot) {
  EXPECT_FALSE(log_->passes(20, 104));
  EXPECT_FALSE(log_->splice_passed());
  EXPECT_TRUE(log_->passes(30, 110));
  EXPECT_TRUE(log_->splice_passed());
  EXPECT_FALSE(log_->passes(40, 111));
}

TEST_F(ShapeLogWriterTest, BehindTheSpliceXidsMayComeRoundAgain) {
  ASSERT_TRUE(log_->passes(30, 110));
  EXPECT_TRUE(log_->wants(40, 50)); // two thousand million transactions later
}

TEST_F(ShapeLogWriterTest, ReplayFromBeforeTheSpliceIsStillFiltered) {
  ASSERT_TRUE(log_->passes(30, 110));
  EXPECT_FALSE(log_->wants(20, 105)); // the snapshot has its effects
  EXPECT_TRUE(log_->wants(20, 104));
  EXPECT_TRUE(log_->wants(30, 110));
  shape_log_writer next{shape_, chunk_bytes}; // the same after a restart
  accept(next);
  next.resume(log_offset::snapshot_end(), 0, 30);
  EXPECT_FALSE(next.wants(20, 105));
  EXPECT_TRUE(next.wants(30, 110));
  EXPECT_TRUE(next.wants(40, 50));
}

} // namespace
} // namespace busbar
