// A follower holds what its leader holds, change by change.
#include "tests/unit/storage/member_fixture.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <random>
#include <thread>

namespace busbar::storage {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using testing::everything;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class StoreFollowingTest : public testing::MemberTest {
protected:
  /// A leader, and a follower that has copied it.
  void begin() {
    leader_ = lead("leader", 100);
    copy(*leader_, "follower");
    follower_ = open("follower");
    ASSERT_EQ(follower_->sequence(), leader_->sequence());
  }
  void reopen_both() {
    leader_.reset();
    follower_.reset();
    leader_ = open("leader", as::leader);
    follower_ = open("follower");
  }
  /// Everything that a store can be told.
  static void write_all_kinds(store& to, std::uint64_t first_id, std::uint64_t tx) {
    const shape_id one{first_id};
    const shape_id two{first_id + 1};
    ASSERT_TRUE(to.set_identity({"7", 1, "app", "default"}));
    ASSERT_TRUE(to.control_key());
    ASSERT_TRUE(to.next_shape_id());
    ASSERT_TRUE(to.begin_shapes(std::array{one, two}));
    ASSERT_TRUE(to.put_snapshot_piece(one, 0, 0, "logged", true));
    ASSERT_TRUE(to.put_snapshot_piece(one, 0, 1, std::string(20'000, 'p'), false));
    ASSERT_TRUE(to.put_snapshots(std::array{two}, "only piece"));
    finish(to, one, "one");
    finish(to, two, "two");
    batch writes;
    writes.append_block(one, {tx, 0}, block({{0, "a"}}));
    writes.append_block(two, {tx, 0}, block({{0, std::string(50'000, 'b')}}));
    writes.mark_boundary(one, {tx, 0});
    writes.mark_splice_passed(one, tx);
    writes.put_facts(
        std::array{one},
        {.table = *record("").table, .published_by = {501}, .publication_xid = 3, .partitions = {}},
        {.xmin = 120, .xmax = 130, .xip = {125}}, *record("").table);
    writes.put_set_value(two, digest{}, 7);
    writes.put_set_position(two, tx);
    writes.put_lag(one, {.subquery = 1, .value = digest{}, .xid = 4, .since = tx, .texts = {"x"}});
    writes.note(3, "the head of one");
    commit_to(to, writes);
    ASSERT_TRUE(to.put_set_values(one, std::array{std::pair{digest{}, 3u}}));
    ASSERT_TRUE(to.put_usage(std::array{std::pair{one, shape_usage{5, 6}}}));
    ASSERT_TRUE(to.sync(lsn{tx + 8}, 900));
  }

  store_ptr leader_;
  store_ptr follower_;
};

TEST_F(StoreFollowingTest, AFollowerHoldsWhatItsLeaderHoldsToTheLastKey) {
  begin();
  write_all_kinds(*leader_, 1, 200);
  catch_up(*leader_, *follower_);
  expect_equal(*leader_, *follower_);
  write_all_kinds(*leader_, 11, 300);
  ASSERT_TRUE(leader_->mark_removed(shape_id{1}));
  ASSERT_TRUE(leader_->remove_shape(shape_id{1}, true));
  ASSERT_TRUE(leader_->clear_set(shape_id{2}));
  catch_up(*leader_, *follower_);
  expect_equal(*leader_, *follower_);
  ASSERT_TRUE(leader_->remove_all_shapes());
  catch_up(*leader_, *follower_);
  expect_equal(*leader_, *follower_);
}

TEST_F(StoreFollowingTest, AFollowerIsToldWhatHasChanged) {
  begin();
  write_all_kinds(*leader_, 1, 200);
  auto tail = leader_->tail(follower_->sequence()).value();
  const auto all = catch_up(*tail, *leader_, *follower_);
  std::vector<shape_id> finished;
  std::vector<shape_id> facts;
  std::vector<std::pair<std::uint32_t, std::string>> notes;
  for (const auto& one : all) {
    finished.insert(finished.end(), one.finished.begin(), one.finished.end());
    facts.insert(facts.end(), one.facts.begin(), one.facts.end());
    notes.insert(notes.end(), one.notes.begin(), one.notes.end());
    EXPECT_THAT(one.removed, IsEmpty());
    EXPECT_FALSE(one.purged);
  }
  EXPECT_THAT(finished, ElementsAre(shape_id{1}, shape_id{2}));
  EXPECT_THAT(facts, ElementsAre(shape_id{1}));
  EXPECT_THAT(notes, ElementsAre(Pair(3u, "the head of one")));
  EXPECT_EQ(all.back().durable, lsn{208});
  EXPECT_EQ(all.back().newest_xid, 900u);

  batch writes;
  writes.mark_removed(shape_id{1});
  commit_to(*leader_, writes);
  const auto removal = catch_up(*tail, *leader_, *follower_);
  ASSERT_EQ(removal.size(), 1u);
  EXPECT_THAT(removal[0].removed, ElementsAre(shape_id{1}));
  EXPECT_EQ(removal[0].durable, std::nullopt);

  ASSERT_TRUE(leader_->remove_all_shapes());
  const auto purge = catch_up(*tail, *leader_, *follower_);
  ASSERT_EQ(purge.size(), 1u);
  EXPECT_TRUE(purge[0].purged);
}

TEST_F(StoreFollowingTest, ItGoesOnWhereItWasAfterBothHaveBeenClosed) {
  begin();
  for (std::uint64_t round = 0; round < 2; ++round) {
    const auto at = follower_->sequence();
    write_all_kinds(*leader_, 1 + 10 * round, 200 + 100 * round);
    reopen_both();
    EXPECT_EQ(follower_->sequence(), at);
    EXPECT_TRUE(may_follow(follower_->lineage().value(), follower_->sequence(),
                           leader_->lineage().value(), leader_->sequence()));
    catch_up(*leader_, *follower_);
    expect_equal(*leader_, *follower_);
  }
}

TEST_F(StoreFollowingTest, OpeningAFollowerAndLookingAtItChangesNothing) {
  begin();
  write_all_kinds(*leader_, 1, 200);
  ASSERT_TRUE(leader_->begin_shapes(std::array{shape_id{50}})); // as a crash would leave it
  batch writes;
  writes.open_transaction(0, 300);
  writes.append_block(shape_id{1}, {300, 0}, block({{0, "half"}}));
  commit_to(*leader_, writes);
  catch_up(*leader_, *follower_);
  const auto at = follower_->sequence();
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(follower_->recover(recovery::look));
    ASSERT_TRUE(follower_->find_shape(shape_id{1}));
    ASSERT_TRUE(follower_->removed_shapes());
    ASSERT_TRUE(follower_->ownerless_shapes());
    ASSERT_TRUE(follower_->put_usage(std::array{std::pair{shape_id{1}, shape_usage{7, 8}}}));
    EXPECT_EQ(follower_->sequence(), at);
    follower_.reset();
    follower_ = open("follower");
    EXPECT_EQ(follower_->sequence(), at);
  }
  catch_up(*leader_, *follower_);
  expect_equal(*leader_, *follower_);
}

TEST_F(StoreFollowingTest, WhatWouldWriteIsRefusedWhileItFollows) {
  begin();
  const auto at = follower_->sequence();
  const std::array ids{shape_id{1}};
  batch writes;
  writes.mark_removed(shape_id{1});
  const auto refused = [](const auto& done) {
    return !done && done.error().code == errc::unavailable;
  };
  EXPECT_TRUE(refused(follower_->commit(writes)));
  EXPECT_FALSE(writes.empty());
  EXPECT_TRUE(refused(follower_->sync(lsn{5})));
  EXPECT_TRUE(refused(follower_->set_identity({"7", 1, "app", "default"})));
  EXPECT_TRUE(refused(follower_->control_key()));
  EXPECT_TRUE(refused(follower_->next_shape_id()));
  EXPECT_TRUE(refused(follower_->begin_shapes(ids)));
  EXPECT_TRUE(refused(follower_->mark_removed(ids[0])));
  EXPECT_TRUE(refused(follower_->remove_shape(ids[0], true)));
  EXPECT_TRUE(refused(follower_->remove_all_shapes()));
  EXPECT_TRUE(refused(follower_->put_snapshot_piece(ids[0], 0, 0, "piece", false)));
  EXPECT_TRUE(refused(follower_->put_snapshots(ids, "piece")));
  EXPECT_TRUE(
      refused(follower_->finish_snapshots(std::array{std::pair{ids[0], record("one")}}, true)));
  EXPECT_TRUE(refused(follower_->put_set_values(ids[0], std::array{std::pair{digest{}, 1u}})));
  EXPECT_TRUE(refused(follower_->clear_set(ids[0])));
  EXPECT_TRUE(refused(follower_->recover()));
  EXPECT_EQ(follower_->sequence(), at);
  ASSERT_TRUE(leader_->control_key());
  catch_up(*leader_, *follower_);
  EXPECT_EQ(follower_->control_key().value(), leader_->control_key().value());
}

TEST_F(StoreFollowingTest, ALookShowsNothingUnfinishedAndOneShapeLooksAsAmongAll) {
  begin();
  write_all_kinds(*leader_, 1, 200);
  finish(*leader_, shape_id{3}, "three");
  ASSERT_TRUE(leader_->begin_shapes(std::array{shape_id{4}}));
  ASSERT_TRUE(
      leader_->finish_snapshots(std::array{std::pair{shape_id{5}, record("five", false)}}, false));
  finish(*leader_, shape_id{6}, "six");
  ASSERT_TRUE(leader_->mark_removed(shape_id{6}));
  batch writes;
  writes.open_transaction(0, 300);
  for (const std::uint64_t id : {1, 3}) {
    writes.append_block(shape_id{id}, {300, 6}, block({{6, "half"}}));
    writes.mark_boundary(shape_id{id}, {300, 6});
  }
  commit_to(*leader_, writes);
  catch_up(*leader_, *follower_);

  const auto look = [this] {
    std::map<std::uint64_t, log_offset> heads;
    const auto all = follower_->recover(recovery::look).value();
    for (const auto& shape : all) {
      heads[to_number(shape.id)] = shape.head;
      const auto alone = follower_->find_shape(shape.id).value();
      EXPECT_TRUE(alone);
      if (!alone)
        continue;
      EXPECT_EQ(alone->id, shape.id);
      EXPECT_EQ(alone->record.handle, shape.record.handle);
      EXPECT_EQ(*alone->record.table, *shape.record.table);
      EXPECT_EQ(alone->head, shape.head);
      EXPECT_EQ(alone->open_chunk_bytes, shape.open_chunk_bytes);
      EXPECT_EQ(alone->splice_passed, shape.splice_passed);
      EXPECT_EQ(alone->has_boundaries, shape.has_boundaries);
      EXPECT_EQ(alone->usage, shape.usage);
      EXPECT_EQ(alone->known != nullptr, shape.known != nullptr);
      if (alone->known && shape.known) {
        EXPECT_EQ(*alone->known->facts, *shape.known->facts);
      }
    }
    return heads;
  };
  EXPECT_THAT(look(), ElementsAre(Pair(1u, log_offset{200, 0}), Pair(2u, log_offset{200, 0}),
                                  Pair(3u, log_offset::snapshot_end())));
  EXPECT_FALSE(follower_->find_shape(shape_id{3}).value()->has_boundaries);
  EXPECT_TRUE(follower_->find_shape(shape_id{1}).value()->has_boundaries);
  for (const std::uint64_t none : {4, 5, 6, 7})
    EXPECT_EQ(follower_->find_shape(shape_id{none}).value().has_value(), false) << none;
  // Shapes of one table share it as long as one of them is there.
  const auto one = follower_->find_shape(shape_id{1}).value();
  EXPECT_EQ(one->record.table, follower_->find_shape(shape_id{3}).value()->record.table);

  writes.append_block(shape_id{3}, {300, 8}, block({{8, "whole"}}));
  writes.close_transaction(0);
  commit_to(*leader_, writes);
  catch_up(*leader_, *follower_);
  EXPECT_THAT(look(), ElementsAre(Pair(1u, log_offset{300, 6}), Pair(2u, log_offset{200, 0}),
                                  Pair(3u, log_offset{300, 8})));
}

TEST_F(StoreFollowingTest, WritesOfManyThreadsArriveInOneOrder) {
  begin();
  for (std::uint64_t id = 1; id <= 4; ++id)
    finish(*leader_, shape_id{id}, "shape" + std::to_string(id));
  std::atomic<bool> written{false};
  std::vector<std::thread> writers;
  for (std::uint64_t id = 1; id <= 4; ++id)
    writers.emplace_back([this, id] {
      for (std::uint64_t tx = 1; tx <= 400; ++tx) {
        batch writes;
        writes.append_block(shape_id{id}, {tx, 0},
                            block({{0, std::string(tx % 7 == 0 ? 20'000 : 100, 'x')}}));
        writes.put_set_value(shape_id{id}, digest{}, static_cast<std::uint32_t>(tx % 3));
        if (tx % 50 == 0)
          writes.drop_transaction(shape_id{id}, tx - 1); // a DeleteRange
        EXPECT_TRUE(leader_->commit(writes));
        if (tx % 100 == 0) {
          EXPECT_TRUE(leader_->sync(lsn{tx}));
        }
      }
    });
  std::thread follower{[this, &written] {
    auto tail = leader_->tail(follower_->sequence()).value();
    while (!written || follower_->sequence() < leader_->sequence()) {
      const auto next = tail->next(std::chrono::steady_clock::now() + 20ms);
      ASSERT_TRUE(next) << next.error().message;
      if (*next) {
        const auto applied = follower_->apply(**next);
        ASSERT_TRUE(applied) << applied.error().message;
      }
    }
  }};
  for (auto& one : writers)
    one.join();
  written = true;
  follower.join();
  EXPECT_EQ(follower_->sequence(), leader_->sequence());
  expect_equal(*leader_, *follower_);
}

TEST_F(StoreFollowingTest, ABatchLargerThanABufferArrivesWhole) {
  begin();
  finish(*leader_, shape_id{1}, "one");
  batch writes;
  for (std::uint64_t tx = 1; tx <= 40; ++tx)
    writes.append_block(shape_id{1}, {tx, 0}, block({{0, std::string(400'000, 'x')}}));
  commit_to(*leader_, writes);
  append(*leader_, shape_id{1}, 50, "after");
  catch_up(*leader_, *follower_);
  expect_equal(*leader_, *follower_);
}

TEST_F(StoreFollowingTest, TheLogIsReadAcrossManyFlushesBothLiveAndFromBehind) {
  write_buffer_bytes_ = 256u << 10;
  begin();
  finish(*leader_, shape_id{1}, "one");
  const auto from = follower_->sequence();
  auto live = leader_->tail(from).value();
  for (std::uint64_t tx = 1; tx <= 300; ++tx) {
    append(*leader_, shape_id{1}, tx, std::string(5'000, 'x'));
    const auto next = live->next(soon());
    ASSERT_TRUE(next && *next) << tx;
    ASSERT_TRUE(follower_->apply(**next));
  }
  catch_up(*live, *leader_, *follower_);
  expect_equal(*leader_, *follower_);
  auto behind = leader_->tail(from).value();
  std::uint64_t at = from;
  while (at < leader_->sequence()) {
    const auto next = behind->next(soon());
    ASSERT_TRUE(next && *next);
    ASSERT_EQ((*next)->first, at + 1);
    at = (*next)->last();
    EXPECT_EQ(behind->position(), at);
  }
  EXPECT_GT(std::distance(fs::directory_iterator{path_of("leader") + "/archive"}, {}), 1);
}

TEST_F(StoreFollowingTest, ATailWaitsForWhatIsWrittenAndCanBeWoken) {
  begin();
  auto tail = leader_->tail(leader_->sequence()).value();
  EXPECT_EQ(*tail->next(std::chrono::steady_clock::now()), std::nullopt);
  EXPECT_EQ(*tail->next(std::chrono::steady_clock::now() + 20ms), std::nullopt);
  std::thread writer{[this] { append(*leader_, shape_id{1}, 100, "a"); }};
  const auto next = tail->next(soon());
  writer.join();
  ASSERT_TRUE(next && *next);
  EXPECT_EQ((*next)->last(), leader_->sequence());

  const auto start = std::chrono::steady_clock::now();
  std::thread waker{[&tail] { tail->wake(); }};
  EXPECT_EQ(*tail->next(start + 30s), std::nullopt);
  waker.join();
  tail->wake(); // before it waits
  EXPECT_EQ(*tail->next(start + 30s), std::nullopt);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 25s);
  append(*leader_, shape_id{1}, 101, "b");
  EXPECT_TRUE(tail->next(soon())->has_value());
}

TEST_F(StoreFollowingTest, ALogThatIsTooShortSaysSoAndACopyHelps) {
  log_bytes_ = 1;
  write_buffer_bytes_ = 256u << 10;
  begin();
  finish(*leader_, shape_id{1}, "one");
  auto tail = leader_->tail(follower_->sequence()).value();
  for (std::uint64_t tx = 1; tx <= 400; ++tx)
    append(*leader_, shape_id{1}, tx, std::string(5'000, 'x'));
  leader_.reset(); // which flushes: the logs until here are closed
  leader_ = open("leader", as::leader);
  append(*leader_, shape_id{1}, 500, "last");
  tail = leader_->tail(follower_->sequence()).value();
  const auto next = tail->next(soon());
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, errc::unavailable);
  EXPECT_THAT(next.error().message, HasSubstr("does not reach back"));
  follower_.reset();
  copy(*leader_, "follower");
  follower_ = open("follower");
  append(*leader_, shape_id{1}, 501, "after");
  catch_up(*leader_, *follower_);
  expect_equal(*leader_, *follower_);
}

TEST_F(StoreFollowingTest, NoMoreOfTheLogIsKeptThanIsWanted) {
  log_bytes_ = 1u << 20;
  write_buffer_bytes_ = 256u << 10;
  begin();
  finish(*leader_, shape_id{1}, "one");
  for (std::uint64_t tx = 1; tx <= 200; ++tx)
    append(*leader_, shape_id{1}, tx, std::string(20'000, 'x'));
  leader_.reset();
  leader_ = open("leader", as::leader);
  std::uint64_t bytes = 0;
  for (const auto& log : fs::directory_iterator{path_of("leader") + "/archive"})
    bytes += log.file_size();
  EXPECT_GT(bytes, 0u);
  EXPECT_LE(bytes, log_bytes_);
}

TEST_F(StoreFollowingTest, ABatchThatIsNotTheNextOrNoneOfOursIsRefusedAndHarmsNothing) {
  begin();
  const auto from = follower_->sequence();
  append(*leader_, shape_id{1}, 100, "a");
  append(*leader_, shape_id{1}, 101, "b");
  auto tail = leader_->tail(from).value();
  const auto first = tail->next(soon())->value();
  const auto second = tail->next(soon())->value();
  const auto code = [this](const replicated_batch& batch) {
    const auto applied = follower_->apply(batch);
    return applied ? errc::ok : applied.error().code;
  };
  EXPECT_EQ(code(second), errc::invalid_argument);
  for (std::size_t size = 0; size < first.bytes.size(); ++size)
    EXPECT_EQ(code({first.first, first.count, first.bytes.substr(0, size)}), errc::corrupt);
  EXPECT_EQ(code({first.first, first.count + 1, first.bytes}), errc::corrupt);
  auto unknown_family = first.bytes;
  unknown_family[13] = 99; // behind the head of 12 bytes and the kind
  EXPECT_EQ(code({first.first, first.count, unknown_family}), errc::corrupt);
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random{seed};
  for (int i = 0; i < 200; ++i) {
    auto nonsense = first.bytes;
    for (std::size_t at = 12; at < nonsense.size(); ++at)
      if (random() % 3 == 0)
        nonsense[at] = static_cast<char>(random());
    nonsense[12] = static_cast<char>(random() % 4 == 0 ? 99 : 0x12); // no kind that we write
    EXPECT_EQ(code({first.first, first.count, nonsense}), errc::corrupt);
  }
  EXPECT_EQ(follower_->sequence(), from);
  EXPECT_EQ(code(first), errc::ok);
  EXPECT_EQ(code(first), errc::invalid_argument);
  EXPECT_EQ(code(second), errc::ok);
  expect_equal(*leader_, *follower_);
}

TEST_F(StoreFollowingTest, AFollowersDiskThatRefusesLosesNoBatch) {
  begin();
  follower_.reset();
  std::atomic<bool> refuses{true};
  auto with_fault = settings_of("follower", as::follower);
  with_fault.refuses = [&refuses] { return refuses.load(); };
  follower_ = store::open(with_fault).value();
  append(*leader_, shape_id{1}, 100, "a");
  auto tail = leader_->tail(follower_->sequence()).value();
  const auto next = tail->next(soon())->value();
  EXPECT_EQ(follower_->apply(next).error().code, errc::unavailable);
  EXPECT_EQ(follower_->sync_log().error().code, errc::unavailable);
  EXPECT_FALSE(follower_->accepts_writes());
  refuses = false;
  EXPECT_TRUE(follower_->apply(next));
  EXPECT_TRUE(follower_->sync_log());
  EXPECT_TRUE(follower_->accepts_writes());
  expect_equal(*leader_, *follower_);
  follower_.reset(); // before what it refers to
}

} // namespace
} // namespace busbar::storage
