#include "tests/unit/actors/materializer_fixture.hpp"

#include <gmock/gmock.h>

#include <random>

namespace busbar {
namespace {

using ::testing::ElementsAre;
using testing::frame_builder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class MaterializerStreamTest : public testing::MaterializerTest {
protected:
  static std::string large() { return std::string(100'000, 'x'); } // a block of its own
};

TEST_F(MaterializerStreamTest, PositionsCountEveryChangeOfTheTransaction) {
  const auto shape = live_shape(1, testing::where("id < 10"));
  apply(described()
            .begin(200, 120)
            .insert(other_oid, {"1"})
            .insert(oid, row(1))
            .insert(oid, row(99))
            .update(oid, row(1), row(1, "b"))
            .commit());
  EXPECT_THAT(log_of(shape), ElementsAre("200_2 insert 1", "200_6 update 1 last"));
}

TEST_F(MaterializerStreamTest, TransactionInSeveralFramesIsVisibleOnlyAtItsEnd) {
  const auto shape = live_shape(1);
  apply(described().begin(200, 120).insert(oid, row(1, large())).stop());
  EXPECT_THAT(log_of(shape), IsEmpty());
  apply(frame_builder{}.begin(200, 120, false, 2).insert(oid, row(2, large())).stop());
  EXPECT_THAT(log_of(shape), IsEmpty());
  EXPECT_EQ(shape->progress().head, log_offset::snapshot_end());
  apply(frame_builder{}.begin(200, 120, false, 4).insert(oid, row(3)).commit());
  EXPECT_THAT(log_of(shape),
              ElementsAre("200_0 insert 1", "200_2 insert 2", "200_4 insert 3 last"));
  EXPECT_EQ(shape->progress().head, (log_offset{200, 4}));
}

// F12
TEST_F(MaterializerStreamTest, EveryFrameGivesACreditAndFinishedOnesAPosition) {
  const auto shape = live_shape(1);
  credits_ = 0;
  applied_.clear();
  apply(described().begin(200, 120).insert(oid, row(1)).stop());
  EXPECT_EQ(credits_, 1);
  EXPECT_THAT(applied_, IsEmpty()); // nothing has ended
  apply(frame_builder{}.begin(200, 120, false, 2).insert(oid, row(2)).commit());
  EXPECT_EQ(credits_, 2);
  EXPECT_THAT(applied_, ElementsAre(lsn{208}));
  EXPECT_TRUE(wrote_);
  EXPECT_EQ(status_.last_seen_lsn(), 200u);
  caf::anon_send(materializer(), idle_atom_v, lsn{900});
  run();
  EXPECT_THAT(applied_, ElementsAre(lsn{208}, lsn{900}));
  EXPECT_FALSE(wrote_);
}

// -- replays --------------------------------------------------------------------------------------

// F06
TEST_F(MaterializerStreamTest, ReplayedTransactionsAreNotAppendedTwice) {
  const auto shape = live_shape(1);
  const auto frames = [this] {
    apply(described()
              .begin(200, 120)
              .insert(oid, row(1))
              .commit()
              .begin(300, 121)
              .insert(oid, row(2))
              .commit());
  };
  frames();
  const auto before = log_of(shape);
  reconnect();
  frames();
  EXPECT_EQ(log_of(shape), before);
  apply(frame_builder{}.begin(400, 122).insert(oid, row(3)).commit());
  EXPECT_THAT(log_of(shape),
              ElementsAre("200_0 insert 1 last", "300_0 insert 2 last", "400_0 insert 3 last"));
}

// F06
TEST_F(MaterializerStreamTest, ReplayAfterACrashRewritesNothing) {
  live_shape(1);
  apply(described().begin(200, 120).insert(oid, row(1)).commit());
  crash();
  ASSERT_EQ(shapes_.size(), 1u);
  EXPECT_THAT(log_of(shapes_[0]), ElementsAre("200_0 insert 1 last"));
  apply(described()
            .begin(200, 120)
            .insert(oid, row(1))
            .commit()
            .begin(300, 121)
            .insert(oid, row(2))
            .commit());
  EXPECT_THAT(log_of(shapes_[0]), ElementsAre("200_0 insert 1 last", "300_0 insert 2 last"));
}

/// A transaction that the snapshot saw is not in the log, so only its visibility tells that it must
/// stay out, also once the splice has passed.
// F06
TEST_F(MaterializerStreamTest, ReplayOfWhatTheSnapshotSawStaysOut) {
  const auto shape = live_shape(1);
  const auto seen = [this] {
    apply(described().begin(150, 108).insert(oid, row(1)).commit());
    apply(frame_builder{}.begin(160, 115).insert(other_oid, {"1"}).commit()); // passes the splice
  };
  seen();
  EXPECT_THAT(log_of(shape), IsEmpty());
  reconnect();
  seen();
  EXPECT_THAT(log_of(shape), IsEmpty());
  crash();
  ASSERT_EQ(shapes_.size(), 1u);
  seen();
  EXPECT_THAT(log_of(shapes_[0]), IsEmpty());
  apply(frame_builder{}.begin(200, 116).insert(oid, row(2)).commit());
  EXPECT_THAT(log_of(shapes_[0]), ElementsAre("200_0 insert 2 last"));
}

TEST_F(MaterializerStreamTest, UnfinishedTransactionIsForgottenWhenTheStreamBeginsAnew) {
  const auto shape = live_shape(1);
  apply(described().begin(200, 120).insert(oid, row(1, large())).insert(oid, row(2)).stop());
  reconnect();
  apply(described().begin(200, 120).insert(oid, row(1, large())).stop());
  apply(frame_builder{}.begin(200, 120, false, 2).insert(oid, row(2)).commit());
  EXPECT_THAT(log_of(shape), ElementsAre("200_0 insert 1", "200_2 insert 2 last"));
}

TEST_F(MaterializerStreamTest, CrashBetweenTwoFramesOfATransactionLeavesNoHalf) {
  live_shape(1);
  apply(described().begin(200, 120).insert(oid, row(1)).commit());
  apply(frame_builder{}
            .begin(300, 121)
            .insert(oid, row(2, large()))
            .insert(oid, row(3, large()))
            .stop());
  crash();
  ASSERT_EQ(shapes_.size(), 1u);
  EXPECT_EQ(shapes_[0]->progress().head, (log_offset{200, 0}));
  EXPECT_THAT(log_of(shapes_[0]), ElementsAre("200_0 insert 1 last"));
}

/// One transaction in parts may end in the very frame in which the next one begins.
// F12
TEST_F(MaterializerStreamTest, CrashInTheSecondOfTwoSplitTransactionsKeepsTheFirst) {
  live_shape(1);
  apply(
      described().begin(200, 120).insert(oid, row(1, large())).insert(oid, row(2, large())).stop());
  apply(frame_builder{}
            .begin(200, 120, false, 4)
            .insert(oid, row(3))
            .commit()
            .begin(300, 121)
            .insert(oid, row(4, large()))
            .insert(oid, row(5, large()))
            .stop());
  crash();
  ASSERT_EQ(shapes_.size(), 1u);
  EXPECT_EQ(shapes_[0]->progress().head, (log_offset{200, 4}));
  EXPECT_THAT(log_of(shapes_[0]),
              ElementsAre("200_0 insert 1", "200_2 insert 2", "200_4 insert 3 last"));
}

// F05
TEST_F(MaterializerStreamTest, LogDoesNotDependOnHowTheStreamWasCut) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  stop();
  chunk_bytes_max_ = 3'000;
  if (random() % 2 == 0)
    entry_bytes_max_ = 700; // then it is written in the middle of frames, too
  start();
  const auto shape = live_shape(1);
  // Sends the first `upto` rows of a transaction in some frames; all of them: with its end.
  const auto send = [&](std::uint64_t tx, std::uint32_t xid, int rows, int upto) {
    const auto frames = 1 + random() % 3;
    int at = 0;
    for (std::uint32_t f = 0; f < frames; ++f) {
      auto built = described();
      built.begin(tx, xid, f == 0, static_cast<std::uint64_t>(at) * 2);
      const int until = f + 1 == frames ? upto : at + (upto - at) / 2;
      for (; at < until; ++at)
        built.insert(oid, row(at, std::string(200, 'x')));
      if (f + 1 == frames && upto == rows)
        built.commit();
      else
        built.stop();
      apply(built);
    }
  };
  std::vector<std::string> expected;
  std::uint32_t xid = 120;
  for (std::uint64_t tx = 200; tx < 4'000; tx += 200, ++xid) {
    const int rows = 2 + static_cast<int>(random() % 12);
    while (random() % 2 == 0) { // the stream breaks off in the middle
      send(tx, xid, rows, 1 + static_cast<int>(random() % static_cast<std::uint32_t>(rows - 1)));
      reconnect();
    }
    send(tx, xid, rows, rows);
    for (int i = 0; i < rows; ++i)
      expected.push_back(std::to_string(tx) + '_' + std::to_string(i * 2) + " insert " +
                         std::to_string(i) + (i + 1 == rows ? " last" : ""));
  }
  EXPECT_EQ(log_of(shape), expected);
  std::uint64_t sum = 0; // chunk ends, as the protocol (8.2) has them
  auto at = log_offset::start();
  for (const auto& entry :
       testing::entries_of(*store_, shape->id(), log_offset::snapshot_end(), testing::everything)) {
    sum += entry.size();
    if (sum < chunk_bytes_max_)
      continue;
    sum = 0;
    at = store_->chunk_end_after(shape->id(), at).value().value_or(log_offset::start());
    EXPECT_EQ(to_string(at), testing::between(entry, "\"lsn\":\"", '"') + '_' +
                                 testing::between(entry, "\"op_position\":", ','));
  }
  EXPECT_EQ(store_->chunk_end_after(shape->id(), at).value(), std::nullopt);
}

/// Entries are written as soon as there is one, in the middle of frames and of transactions.
class MaterializerEarlyWriteTest : public MaterializerStreamTest {
protected:
  MaterializerEarlyWriteTest() { entry_bytes_max_ = 1; }
};

TEST_F(MaterializerEarlyWriteTest, TransactionsAreVisibleOnlyAtTheirEnds) {
  const auto shape = live_shape(1);
  const auto other = live_shape(2);
  apply(described()
            .begin(200, 120)
            .insert(oid, row(1))
            .insert(oid, row(2))
            .commit()
            .begin(300, 121)
            .insert(oid, row(3))
            .insert(oid, row(4))
            .stop());
  for (const auto& one : {shape, other}) {
    EXPECT_EQ(one->progress().head, (log_offset{200, 2}));
    EXPECT_THAT(log_of(one), ElementsAre("200_0 insert 1", "200_2 insert 2 last"));
  }
  apply(frame_builder{}.begin(300, 121, false, 4).insert(oid, row(5)).commit());
  for (const auto& one : {shape, other})
    EXPECT_THAT(log_of(one), ElementsAre("200_0 insert 1", "200_2 insert 2 last", "300_0 insert 3",
                                         "300_2 insert 4", "300_4 insert 5 last"));
}

TEST_F(MaterializerEarlyWriteTest, CrashInATransactionLeavesNoHalf) {
  live_shape(1);
  apply(described()
            .begin(200, 120)
            .insert(oid, row(1))
            .insert(oid, row(2))
            .commit()
            .begin(300, 121)
            .insert(oid, row(3))
            .insert(oid, row(4))
            .stop());
  crash();
  ASSERT_EQ(shapes_.size(), 1u);
  EXPECT_EQ(shapes_[0]->progress().head, (log_offset{200, 2}));
  EXPECT_THAT(log_of(shapes_[0]), ElementsAre("200_0 insert 1", "200_2 insert 2 last"));
  apply(described().begin(300, 121).insert(oid, row(3)).insert(oid, row(4)).commit());
  EXPECT_THAT(log_of(shapes_[0]), ElementsAre("200_0 insert 1", "200_2 insert 2 last",
                                              "300_0 insert 3", "300_2 insert 4 last"));
}

TEST_F(MaterializerEarlyWriteTest, AStreamThatBeginsAnewLeavesNoHalf) {
  const auto shape = live_shape(1);
  apply(described().begin(200, 120).insert(oid, row(1)).insert(oid, row(2)).stop());
  reconnect();
  apply(described().begin(200, 120).insert(oid, row(1)).insert(oid, row(2)).commit());
  EXPECT_THAT(log_of(shape), ElementsAre("200_0 insert 1", "200_2 insert 2 last"));
}

// -- what ends a shape ----------------------------------------------------------------------------

// F18
TEST_F(MaterializerStreamTest, TruncateEndsEveryShapeOfTheTable) {
  const auto one = live_shape(1);
  const auto two = live_shape(2, testing::where("id > 5"));
  apply(described().begin(200, 120).insert(oid, row(1)).truncate(oid).commit());
  EXPECT_TRUE(one->progress().gone);
  EXPECT_TRUE(two->progress().gone);
  ASSERT_EQ(invalidated_.size(), 2u);
  EXPECT_THAT(invalidated_[0].second, HasSubstr("truncated"));
  EXPECT_THAT(log_of(one), IsEmpty()); // not even the row before it
}

TEST_F(MaterializerStreamTest, TruncateOfAnotherTableEndsNothing) {
  const auto shape = live_shape(1);
  apply(described().begin(200, 120).truncate(other_oid).insert(oid, row(1)).commit());
  EXPECT_FALSE(shape->progress().gone);
  EXPECT_THAT(log_of(shape), ElementsAre("200_2 insert 1 last"));
}

TEST_F(MaterializerStreamTest, AddedColumnEndsShapesOfAllColumnsOnly) {
  const auto all = live_shape(1);
  const auto some = live_shape(2, testing::only_columns({"id", "title"}));
  apply(described().begin(200, 120).insert(oid, row(1)).commit());
  apply(frame_builder{}
            .relation(oid, "items",
                      {{"id", 23}, {"title", 25}, {"done", 16}, {"note", 25}, {"added", 25}})
            .begin(300, 121)
            .insert(oid, {"2", "b", "f", std::nullopt, "new"})
            .commit());
  EXPECT_TRUE(all->progress().gone);
  EXPECT_THAT(log_of(all), ElementsAre("200_0 insert 1 last"));
  EXPECT_FALSE(some->progress().gone);
  EXPECT_THAT(log_of(some), ElementsAre("200_0 insert 1 last", "300_0 insert 2 last"));
  ASSERT_EQ(invalidated_.size(), 1u);
  EXPECT_EQ(invalidated_[0].first, all);
}

TEST_F(MaterializerStreamTest, EndOfAShapeInTheMiddleOfATransactionLeavesTheOthersWhole) {
  const auto all = live_shape(1);
  const auto some = live_shape(2, testing::only_columns({"id", "title"}));
  auto built = described();
  built.begin(200, 120).insert(oid, row(1));
  built.relation(oid, "items", {{"id", 23}, {"title", 25}});
  built.insert(oid, {"2", "b"}).commit();
  apply(built);
  EXPECT_TRUE(all->progress().gone);
  EXPECT_THAT(log_of(all), IsEmpty());
  EXPECT_THAT(log_of(some), ElementsAre("200_0 insert 1", "200_2 insert 2 last"));
}

TEST_F(MaterializerStreamTest, ForgottenShapeLosesItsDataAndTellsItsWatchers) {
  const auto shape = live_shape(1);
  const auto session = watch(shape);
  apply(described().begin(200, 120).insert(oid, row(1)).insert(oid, row(2)).stop());
  session->checks.clear();
  caf::anon_send(materializer(), forget_atom_v, shape);
  run();
  EXPECT_TRUE(shape->progress().gone);
  EXPECT_THAT(session->checks, ElementsAre(shape->id()));
  apply(frame_builder{}.begin(200, 120, false, 4).insert(oid, row(3)).commit());
  EXPECT_THAT(testing::entries_of(*store_, shape->id(), log_offset::start(), testing::everything),
              IsEmpty());
  EXPECT_TRUE(recover().empty());
}

// -- watchers -------------------------------------------------------------------------------------

TEST_F(MaterializerStreamTest, WatchersGetTheNewEntries) {
  const auto shape = live_shape(1);
  const auto other = live_shape(2, testing::where("id > 5"));
  const auto session = watch(shape);
  EXPECT_THAT(session->checks, ElementsAre(shape->id())); // look now, news follow
  apply(described()
            .begin(200, 120)
            .insert(oid, row(1))
            .commit()
            .begin(300, 121)
            .insert(oid, row(7))
            .commit());
  ASSERT_EQ(session->moves.size(), 1u); // one letter a frame, and not of the other shape
  const auto& move = session->moves[0];
  EXPECT_EQ(move.shape, shape->id());
  EXPECT_EQ(move.from, log_offset::snapshot_end());
  EXPECT_EQ(move.to, (log_offset{300, 0}));
  ASSERT_NE(move.body, nullptr);
  EXPECT_EQ(*move.body->json_elements(), read(shape->id(), move.from, move.to));
}

TEST_F(MaterializerStreamTest, WatcherThatComesInTheMiddleOfATransactionMissesNothing) {
  const auto shape = live_shape(1);
  apply(described().begin(200, 120).insert(oid, row(1)).insert(oid, row(2)).stop());
  const auto session = watch(shape);
  apply(frame_builder{}.begin(200, 120, false, 4).insert(oid, row(3)).commit());
  ASSERT_EQ(session->moves.size(), 1u);
  const auto& move = session->moves[0];
  if (move.body) {
    EXPECT_EQ(*move.body->json_elements(), read(shape->id(), move.from, move.to));
  }
  EXPECT_EQ(move.to, (log_offset{200, 4}));
}

TEST_F(MaterializerStreamTest, WhoHasStoppedWatchingGetsNoMore) {
  const auto shape = live_shape(1);
  const auto session = watch(shape);
  caf::anon_send(materializer(), unwatch_atom_v, shape->id(), session->handle);
  run();
  apply(described().begin(200, 120).insert(oid, row(1)).commit());
  EXPECT_THAT(session->moves, IsEmpty());
}

TEST_F(MaterializerStreamTest, SlowSessionIsToldOnceInsteadOfAThousandTimes) {
  const auto shape = live_shape(1);
  const auto session = watch(shape);
  session->answers = false;
  session->checks.clear();
  for (std::uint64_t tx = 200; tx < 1'200; ++tx)
    apply(described().begin(tx, 120).insert(oid, row(1)).commit());
  const auto unread = session->letters;
  EXPECT_LT(unread, 20);
  EXPECT_THAT(session->checks, IsEmpty());
  for (int i = 0; i < unread; ++i)
    caf::anon_send(materializer(), ready_atom_v, session->handle);
  run();
  EXPECT_THAT(session->checks, ElementsAre(shape->id())); // all that it missed, in one word
  apply(described().begin(1'200, 121).insert(oid, row(1)).commit());
  EXPECT_EQ(session->letters, unread + 1);
  EXPECT_EQ(session->moves.back().to, (log_offset{1'200, 0}));
}

TEST_F(MaterializerStreamTest, WhatABusySessionWasNotToldItHearsWhenItHasReadTheRest) {
  const auto busy = live_shape(1, testing::where("id < 10"));
  const auto quiet = live_shape(2, testing::where("id > 10"));
  const auto session = watch(busy);
  caf::anon_send(materializer(), watch_atom_v, quiet, session->handle);
  run();
  session->answers = false;
  session->checks.clear();
  std::uint64_t tx = 200;
  const auto change = [&](int id) {
    const auto before = session->letters;
    apply(described().begin(++tx, 120).insert(oid, row(id)).commit());
    return session->letters > before;
  };
  int unread = 0;
  while (change(1))
    ++unread;
  EXPECT_FALSE(change(11)); // the one change of the quiet shape; the busy one never rests
  for (int i = 0; i < 100 && session->checks.empty(); ++i) {
    caf::anon_send(materializer(), ready_atom_v, session->handle);
    run();
    --unread;
    unread += change(1) ? 1 : 0;
  }
  EXPECT_THAT(session->checks, ::testing::UnorderedElementsAre(busy->id(), quiet->id()));
}

TEST_F(MaterializerStreamTest, EndOfAShapeIsStoredWithTheFrameThatEndedIt) {
  live_shape(1);
  apply(described().begin(200, 120).truncate(oid).commit());
  crash(); // before the directory could do anything about it
  EXPECT_THAT(shapes_, IsEmpty());
}

TEST_F(MaterializerStreamTest, WatchBeforeTheAnnouncementCounts) {
  const auto shape = testing::made_shape(1);
  const auto session = watch(shape);
  const auto expecting = expect(shape);
  create_at(shape, 100, 109);
  EXPECT_EQ(splice(shape, {.xmin = 110, .xmax = 110, .xip = {}})->value, true);
  apply(described().begin(200, 120).insert(oid, row(1)).commit());
  EXPECT_EQ(session->moves.size(), 1u);
}

} // namespace
} // namespace busbar
