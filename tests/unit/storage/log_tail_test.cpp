// Where a tail reads: what was written last from memory, the rest from files, and both are one log.
#include "storage/batch_bytes.hpp"
#include "storage/log_growth.hpp"
#include "tests/unit/storage/member_fixture.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace busbar::storage {
namespace {

namespace fs = std::filesystem;

class LogTailTest : public testing::MemberTest {
protected:
  void begin() {
    leader_ = lead("leader", 100);
    copy(*leader_, "follower");
    follower_ = open("follower");
    from_ = leader_->sequence();
  }
  static std::vector<replicated_batch> all_of(log_tail& tail, std::uint64_t upto) {
    std::vector<replicated_batch> all;
    while (tail.position() < upto) {
      const auto at = tail.position();
      const auto next = tail.next(soon());
      if (!next || !*next) {
        ADD_FAILURE() << (next ? "nothing came" : next.error().message);
        break;
      }
      EXPECT_EQ((*next)->first, at + 1);
      EXPECT_EQ((*next)->last(), tail.position());
      all.push_back(**next);
    }
    return all;
  }
  /// Number, family and key of each change.
  static std::vector<std::string> changes_of(const std::vector<replicated_batch>& batches) {
    std::vector<std::string> all;
    for (const auto& batch : batches) {
      auto rest = std::string_view{batch.bytes}.substr(batch_head_bytes);
      for (auto number = batch.first; !rest.empty(); ++number) {
        const auto change = take_change(rest);
        if (!change) {
          ADD_FAILURE() << "no change";
          return all;
        }
        all.push_back(std::to_string(number) + ' ' + std::to_string(change->family) + ' ' +
                      std::string{change->key});
      }
    }
    return all;
  }

  store_ptr leader_;
  store_ptr follower_;
  std::uint64_t from_ = 0;
};

TEST_F(LogTailTest, WhatWasWrittenLastIsReadWithoutAFile) {
  begin();
  auto tail = leader_->tail(from_).value();
  EXPECT_EQ(*tail->next(std::chrono::steady_clock::now()), std::nullopt);
  append(*leader_, shape_id{1}, 100, "a");
  append(*leader_, shape_id{1}, 101, "b");
  ASSERT_TRUE(leader_->sync(lsn{101}));
  std::size_t removed = 0;
  for (const auto& file : fs::directory_iterator{path_of("leader")})
    if (file.path().extension() == ".log")
      removed += fs::remove(file.path());
  ASSERT_GT(removed, 0u);
  EXPECT_EQ(all_of(*tail, leader_->sequence()).size(), 3u);
}

TEST_F(LogTailTest, WhoIsFurtherBehindThanIsKeptReadsFilesAndThenMemory) {
  begin();
  auto reader = leader_->tail(from_).value(); // so that there is one
  for (std::uint64_t tx = 1; tx <= 1 + 2 * log_growth::kept_bytes_max / 200'000; ++tx)
    append(*leader_, shape_id{1}, tx, std::string(200'000, 'x'));
  auto behind = leader_->tail(from_).value();
  catch_up(*behind, *leader_, *follower_);
  append(*leader_, shape_id{1}, 500, "live");
  catch_up(*behind, *leader_, *follower_);
  expect_equal(*leader_, *follower_);
  EXPECT_EQ(all_of(*reader, leader_->sequence()).back().last(), leader_->sequence());
}

/// Writers that meet share a record in the file. A follower that was sent each by itself may have
/// to go on from a file in the middle of one, here or at a member that was sent whole records.
TEST_F(LogTailTest, TheMiddleOfARecordIsAPlaceToGoOnFrom) {
  begin();
  std::vector<replicated_batch> single;
  std::vector<replicated_batch> records;
  for (std::uint64_t round = 0; round < 20 && records.size() == single.size(); ++round) {
    const auto before = leader_->sequence();
    auto live = leader_->tail(before).value();
    std::vector<std::thread> writers;
    for (std::uint64_t id = 1; id <= 8; ++id)
      writers.emplace_back([this, id, round] {
        for (std::uint64_t tx = round * 100 + 1; tx <= round * 100 + 20; ++tx) {
          append(*leader_, shape_id{id}, tx, "x");
          EXPECT_TRUE(leader_->sync(lsn{tx}));
        }
      });
    for (auto& one : writers)
      one.join();
    single = all_of(*live, leader_->sequence());
    from_ = before;
    live.reset(); // and with the last reader it goes
    records = all_of(*leader_->tail(before).value(), leader_->sequence());
    EXPECT_EQ(changes_of(records), changes_of(single));
    if (records.size() == single.size())
      catch_up(*leader_, *follower_);
  }
  ASSERT_LT(records.size(), single.size()) << "no two writers met";
  auto at = from_;
  for (const auto& batch : single) {
    auto tail = leader_->tail(at).value();
    const auto next = tail->next(soon());
    ASSERT_TRUE(next) << next.error().message;
    ASSERT_TRUE(*next);
    EXPECT_EQ((*next)->first, at + 1);
    const auto applied = follower_->apply(batch);
    ASSERT_TRUE(applied) << applied.error().message;
    at = batch.last();
    if ((*next)->last() > at)
      break; // the rest from the middle of this record
  }
  ASSERT_LT(at, leader_->sequence());
  catch_up(*leader_, *follower_);
  expect_equal(*leader_, *follower_);
}

} // namespace
} // namespace busbar::storage
