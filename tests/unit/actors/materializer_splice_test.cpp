#include "tests/unit/actors/materializer_fixture.hpp"

#include <gmock/gmock.h>

namespace busbar {
namespace {

using ::testing::ElementsAre;
using testing::frame_builder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::made_shape;

class MaterializerSpliceTest : public testing::MaterializerTest {};

TEST_F(MaterializerSpliceTest, ExpectationIsAnsweredWhenTheCreationMessageComesBy) {
  const auto shape = made_shape(1);
  const auto expecting = expect(shape);
  EXPECT_TRUE(expecting->pending());
  apply(described().begin(50, 90).insert(oid, row(1)).commit());
  EXPECT_TRUE(expecting->pending());
  create_at(shape, 100, 105);
  EXPECT_EQ(expecting->value, lsn{100});
  EXPECT_FALSE(shape->progress().started);
}

TEST_F(MaterializerSpliceTest, MessagesThatAreNotOursAreIgnoredAndCounted) {
  const auto shape = made_shape(1);
  const auto expecting = expect(shape);
  const cluster::control_message message{.term = 1,
                                         .what = cluster::create_shapes{{shape->handle(), "x"}}};
  const cluster::control_codec forger{std::string(32, 'f'), "default"};
  const cluster::control_codec neighbour{std::string(32, 'k'), "other"};
  apply(frame_builder{}
            .begin(100, 105)
            .message(forger.encode(message))
            .message(neighbour.encode(message))
            .message("no signature at all")
            .message("")
            .commit());
  EXPECT_TRUE(expecting->pending());
  EXPECT_EQ(metrics_.rejected_control_messages.Value(), 4);
  create_at(shape, 200, 106);
  EXPECT_EQ(expecting->value, lsn{200});
}

TEST_F(MaterializerSpliceTest, OnlyWhatCommitsBehindTheMessageAndUnseenByTheSnapshotIsKept) {
  const auto shape = made_shape(1);
  const auto expecting = expect(shape);
  apply(described().begin(50, 102).insert(oid, row(1)).commit()); // before the message
  create_at(shape, 100, 103);
  // Between message and splice; the snapshot that is opened meanwhile sees the first of them.
  apply(frame_builder{}
            .begin(200, 104)
            .insert(oid, row(2))
            .commit()
            .begin(300, 106)
            .insert(oid, row(3))
            .commit());
  EXPECT_THAT(log_of(shape), IsEmpty());
  EXPECT_EQ(splice(shape, {.xmin = 105, .xmax = 108, .xip = {105, 106}})->value, true);
  EXPECT_TRUE(shape->progress().started);
  EXPECT_THAT(log_of(shape), ElementsAre("300_0 insert 3 last"));
  apply(frame_builder{}
            .begin(400, 107) // visible, though it comes by only now
            .insert(oid, row(4))
            .commit()
            .begin(500, 105) // was running
            .insert(oid, row(5))
            .commit()
            .begin(600, 108) // had not begun
            .insert(oid, row(6))
            .commit());
  EXPECT_THAT(log_of(shape),
              ElementsAre("300_0 insert 3 last", "500_0 insert 5 last", "600_0 insert 6 last"));
  EXPECT_THAT(invalidated_, IsEmpty());
}

TEST_F(MaterializerSpliceTest, SnapshotThatMissesACommitStreamedBeforeTheMessageIsRefused) {
  const auto shape = made_shape(1);
  const auto expecting = expect(shape);
  apply(described().begin(50, 102).insert(oid, row(1)).commit());
  create_at(shape, 100, 103);
  // Streamed already, but still running for this snapshot: the row would be in neither.
  EXPECT_EQ(splice(shape, {.xmin = 102, .xmax = 104, .xip = {102}})->value, false);
  EXPECT_FALSE(shape->progress().started);
  apply(frame_builder{}.begin(200, 104).insert(oid, row(2)).commit());
  EXPECT_EQ(splice(shape, {.xmin = 105, .xmax = 105, .xip = {}})->value, true);
  EXPECT_THAT(log_of(shape), IsEmpty()); // the second snapshot has them both
  apply(frame_builder{}.begin(300, 105).insert(oid, row(3)).commit());
  EXPECT_THAT(log_of(shape), ElementsAre("300_0 insert 3 last"));
}

// F03
TEST_F(MaterializerSpliceTest, SnapshotOfALaterEpochIsComparedByItsLowHalf) {
  const std::uint64_t epoch = std::uint64_t{3} << 32;
  const auto shape = made_shape(1);
  const auto expecting = expect(shape);
  apply(described().begin(50, 102).insert(oid, row(1)).commit());
  create_at(shape, 100, 103);
  EXPECT_EQ(splice(shape, {.xmin = epoch + 102, .xmax = epoch + 104, .xip = {epoch + 102}})->value,
            false);
  EXPECT_EQ(splice(shape, {.xmin = epoch + 104, .xmax = epoch + 104, .xip = {}})->value, true);
  apply(frame_builder{}.begin(200, 104).insert(oid, row(2)).commit());
  EXPECT_THAT(log_of(shape), ElementsAre("200_0 insert 2 last"));
}

TEST_F(MaterializerSpliceTest, TransactionThatIsOpenDuringTheSpliceIsKeptWhole) {
  const auto shape = made_shape(1);
  const auto expecting = expect(shape);
  create_at(shape, 100, 103);
  apply(described().begin(200, 105).insert(oid, row(1)).insert(oid, row(2)).stop());
  EXPECT_EQ(splice(shape, {.xmin = 105, .xmax = 106, .xip = {105}})->value, true);
  EXPECT_THAT(log_of(shape), IsEmpty());
  apply(frame_builder{}.begin(200, 105, false, 4).insert(oid, row(3)).commit());
  EXPECT_THAT(log_of(shape),
              ElementsAre("200_0 insert 1", "200_2 insert 2", "200_4 insert 3 last"));
}

TEST_F(MaterializerSpliceTest, ShapesThatSpliceTogetherDoNotDisturbEachOther) {
  const auto one = made_shape(1);
  const auto two = made_shape(2, testing::where("id > 5"));
  const auto expecting_one = expect(one), expecting_two = expect(two);
  create_at(one, 100, 103);
  apply(described().begin(200, 105).insert(oid, row(6)).commit());
  create_at(two, 300, 106);
  apply(frame_builder{}.begin(400, 107).insert(oid, row(7)).commit());
  EXPECT_EQ(splice(two, {.xmin = 107, .xmax = 107, .xip = {}})->value, true);
  apply(frame_builder{}.begin(500, 108).insert(oid, row(8)).stop());
  EXPECT_EQ(splice(one, {.xmin = 104, .xmax = 104, .xip = {}})->value, true);
  apply(frame_builder{}.begin(500, 108, false, 2).insert(oid, row(9)).commit());
  EXPECT_THAT(log_of(one), ElementsAre("200_0 insert 6 last", "400_0 insert 7 last",
                                       "500_0 insert 8", "500_2 insert 9 last"));
  EXPECT_THAT(log_of(two),
              ElementsAre("400_0 insert 7 last", "500_0 insert 8", "500_2 insert 9 last"));
}

TEST_F(MaterializerSpliceTest, ShapesOfOneCreationMessageBeginAtTheSamePlace) {
  const auto all = made_shape(1);
  const auto some = made_shape(2, testing::where("id > 6"));
  const auto removed = made_shape(3);
  const shape_list together{removed, all, some};
  const auto expecting = ask<lsn>(expect_atom_v, together);
  cluster::create_shapes created{{"another node's", "x"}};
  for (const auto& shape : together)
    created.push_back({shape->handle(), "x"});
  caf::anon_send(materializer(), forget_atom_v, removed);
  run();
  EXPECT_TRUE(expecting->pending());
  apply(described()
            .begin(100, 103)
            .message(codec_.encode({.term = 1, .what = std::move(created)}))
            .commit());
  EXPECT_EQ(expecting->value, lsn{100});
  apply(frame_builder{}.begin(200, 105).insert(oid, row(6)).insert(oid, row(7)).commit());
  apply(frame_builder{}.begin(300, 106).insert(oid, row(8)).stop());
  const auto facts = std::make_shared<const table_facts>(testing::facts_of(*testing::items()));
  const snapshot sees{.xmin = 104, .xmax = 104, .xip = {}};
  EXPECT_EQ(ask<bool>(splice_atom_v, together, sees, facts_ptr{facts})->value, true);
  apply(frame_builder{}.begin(300, 106, false, 2).insert(oid, row(9)).commit());
  EXPECT_THAT(log_of(all), ElementsAre("200_0 insert 6", "200_2 insert 7 last", "300_0 insert 8",
                                       "300_2 insert 9 last"));
  EXPECT_THAT(log_of(some),
              ElementsAre("200_2 insert 7 last", "300_0 insert 8", "300_2 insert 9 last"));
  EXPECT_FALSE(removed->progress().started);
}

TEST_F(MaterializerSpliceTest, StreamThatBeginsAnewDoesNotDoubleWhatWasKeptAside) {
  const auto shape = made_shape(1);
  const auto expecting = expect(shape);
  create_at(shape, 100, 103);
  apply(described().begin(200, 104).insert(oid, row(1)).commit());
  apply(frame_builder{}.begin(300, 105).insert(oid, row(2)).insert(oid, row(3)).stop());
  reconnect();
  apply(described().begin(200, 104).insert(oid, row(1)).commit());
  apply(frame_builder{}.begin(300, 105).insert(oid, row(2)).stop());
  apply(frame_builder{}.begin(300, 105, false, 2).insert(oid, row(3)).commit());
  EXPECT_EQ(splice(shape, {.xmin = 104, .xmax = 104, .xip = {}})->value, true);
  EXPECT_THAT(log_of(shape),
              ElementsAre("200_0 insert 1 last", "300_0 insert 2", "300_2 insert 3 last"));
}

// F18
TEST_F(MaterializerSpliceTest, TruncateBetweenMessageAndSpliceEndsTheShapeUnlessTheSnapshotSawIt) {
  const auto late = made_shape(1);
  const auto early = made_shape(2);
  const auto expecting_late = expect(late), expecting_early = expect(early);
  create_at(late, 100, 102);
  create_at(early, 110, 103);
  apply(described().begin(200, 104).truncate(oid).commit());
  EXPECT_EQ(splice(late, {.xmin = 105, .xmax = 105, .xip = {}})->value, true);
  EXPECT_FALSE(late->progress().gone);
  static_cast<void>(splice(early, {.xmin = 104, .xmax = 105, .xip = {104}}));
  EXPECT_TRUE(early->progress().gone);
  ASSERT_EQ(invalidated_.size(), 1u);
  EXPECT_EQ(invalidated_[0].first, early);
}

// F25
TEST_F(MaterializerSpliceTest, TableAlteredWhileTheSnapshotIsOpenedEndsTheShape) {
  apply(described().begin(50, 101).insert(oid, row(1)).commit());
  const auto shape = made_shape(1, testing::only_columns({"id", "done"}));
  const auto expecting = expect(shape);
  create_at(shape, 100, 102);
  apply(frame_builder{}.begin(200, 103).insert(oid, row(2)).commit());
  apply(frame_builder{}
            .relation(oid, "items", {{"id", 23}, {"done", 16}, {"note", 25}})
            .begin(300, 104)
            .insert(oid, {"3", "t", "x"})
            .commit());
  ASSERT_EQ(invalidated_.size(), 1u);
  EXPECT_THAT(invalidated_[0].second, HasSubstr("altered"));
  const auto refused = splice(shape, {.xmin = 103, .xmax = 103, .xip = {}});
  ASSERT_TRUE(refused->failed);
  EXPECT_EQ(refused->failed->code, errc::must_refetch);
}

// F25
TEST_F(MaterializerSpliceTest, AColumnAddedWhileTheSnapshotIsOpenedEndsNoShapeThatDoesNotShowIt) {
  apply(described().begin(50, 101).insert(oid, row(1)).commit());
  const auto shape = made_shape(1, testing::only_columns({"id", "done"}));
  const auto expecting = expect(shape);
  create_at(shape, 100, 102);
  apply(frame_builder{}.begin(200, 103).insert(oid, row(2)).commit());
  apply(frame_builder{}
            .relation(oid, "items",
                      {{"id", 23}, {"title", 25}, {"done", 16}, {"note", 25}, {"more", 25}})
            .begin(300, 104)
            .insert(oid, {"3", "a", "t", std::nullopt, "x"})
            .commit());
  EXPECT_THAT(invalidated_, IsEmpty());
  EXPECT_EQ(splice(shape, {.xmin = 103, .xmax = 103, .xip = {}})->value, true);
  EXPECT_THAT(log_of(shape), ElementsAre("200_0 insert 2 last", "300_0 insert 3 last"));
  apply(frame_builder{}.begin(400, 105).insert(oid, {"4", "a", "t", std::nullopt, "y"}).commit());
  EXPECT_EQ(log_of(shape).size(), 3u);
}

// F21
TEST_F(MaterializerSpliceTest, SameDescriptionSentAgainEndsNothing) {
  apply(described().begin(50, 101).insert(oid, row(1)).commit());
  const auto shape = made_shape(1);
  const auto expecting = expect(shape);
  create_at(shape, 100, 102);
  apply(described().begin(200, 103).insert(oid, row(2)).commit());
  EXPECT_EQ(splice(shape, {.xmin = 103, .xmax = 103, .xip = {}})->value, true);
  EXPECT_THAT(log_of(shape), ElementsAre("200_0 insert 2 last"));
}

TEST_F(MaterializerSpliceTest, ForgottenShapeAnswersWhoWaitsForIt) {
  const auto shape = made_shape(1);
  const auto expecting = expect(shape);
  caf::anon_send(materializer(), forget_atom_v, shape);
  run();
  ASSERT_TRUE(expecting->failed);
  EXPECT_EQ(expecting->failed->code, errc::must_refetch);
  create_at(shape, 100, 103);
  const auto refused = splice(shape, {.xmin = 104, .xmax = 104, .xip = {}});
  ASSERT_TRUE(refused->failed);
  EXPECT_EQ(refused->failed->code, errc::must_refetch);
}

TEST_F(MaterializerSpliceTest, ASnapshotCoversAPositionIfItSeesAllThatHasCommittedUpToThere) {
  apply(described().begin(50, 102).insert(oid, row(1)).commit());
  apply(described().begin(70, 100).insert(oid, row(2)).commit());
  const auto covers = [this](snapshot sees, std::uint64_t upto) {
    return ask<bool>(covers_atom_v, std::move(sees), lsn{upto})->value;
  };
  EXPECT_EQ(covers({.xmin = 103, .xmax = 103, .xip = {}}, 1'000), true);
  EXPECT_EQ(covers({.xmin = 102, .xmax = 103, .xip = {102}}, 1'000), false);
  EXPECT_EQ(covers({.xmin = 102, .xmax = 103, .xip = {102}}, 49), true) << "it came later";
  EXPECT_EQ(covers({.xmin = 100, .xmax = 103, .xip = {100}}, 69), true);
  EXPECT_EQ(covers({.xmin = 100, .xmax = 103, .xip = {100}}, 70), false);
}

class MaterializerSpoolTest : public testing::MaterializerTest {
protected:
  /// A shape waits for its snapshot while ten frames go by, of which one fits into memory.
  shape_ptr wait_long() {
    const auto shape = made_shape(1);
    const auto expecting = expect(shape);
    create_at(shape, 100, 103);
    for (int i = 0; i < 10; ++i)
      apply(described()
                .begin(200 + static_cast<std::uint64_t>(i), 110 + static_cast<std::uint32_t>(i))
                .insert(oid, row(i))
                .commit());
    return shape;
  }
};

TEST_F(MaterializerSpoolTest, WhatDoesNotFitIntoMemoryIsKeptOnTheDisk) {
  stop();
  aside_bytes_max_ = 1'000;
  spool_bytes_max_ = 256u << 20;
  start();
  const auto shape = wait_long();
  EXPECT_THAT(invalidated_, IsEmpty());
  EXPECT_EQ(splice(shape, {.xmin = 112, .xmax = 112, .xip = {}})->value, true);
  const auto log = log_of(shape);
  ASSERT_EQ(log.size(), 8u) << "all but what the snapshot saw";
  EXPECT_EQ(log.front(), "202_0 insert 2 last");
  EXPECT_EQ(log.back(), "209_0 insert 9 last");
}

TEST_F(MaterializerSpoolTest, WithoutRoomOnTheDiskWhoHasWaitedLongestGoes) {
  stop();
  aside_bytes_max_ = 1'000;
  start();
  const auto shape = wait_long();
  ASSERT_EQ(invalidated_.size(), 1u);
  EXPECT_EQ(invalidated_.front().first, shape);
}

} // namespace
} // namespace busbar
