// A follower becomes the leader, and what becomes of the others.
#include "tests/unit/storage/member_fixture.hpp"

#include <gmock/gmock.h>

#include <fstream>

namespace busbar::storage {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using testing::everything;

class StoreTakeoverTest : public testing::MemberTest {
protected:
  static bool may_go_on(const store& follower, const store& leader) {
    return may_follow(follower.lineage().value(), follower.sequence(), leader.lineage().value(),
                      leader.sequence());
  }
};

TEST_F(StoreTakeoverTest, AFollowerThatBeginsATermIsAStoreLikeAnyOther) {
  auto a = lead("a", 100);
  copy(*a, "b");
  auto b = open("b");
  std::uint64_t highest = 0;
  for (int i = 0; i < 1'500; ++i)
    highest = std::max(highest, to_number(a->next_shape_id().value()));
  const auto key = a->control_key().value();
  finish(*a, shape_id{1}, "one");
  batch writes;
  writes.append_block(shape_id{1}, {200, 0}, block({{0, "whole"}}));
  commit_to(*a, writes);
  writes.open_transaction(0, 300);
  writes.append_block(shape_id{1}, {300, 0}, block({{0, "half"}}));
  commit_to(*a, writes);
  ASSERT_TRUE(a->begin_shapes(std::array{shape_id{2}}));
  catch_up(*a, *b);
  a.reset();

  const auto at = b->sequence();
  EXPECT_TRUE(b->follows());
  ASSERT_TRUE(b->begin_term(101));
  EXPECT_FALSE(b->follows());
  EXPECT_EQ(b->lineage().value().back(), (term_start{.term = 101, .first = at}));
  EXPECT_EQ(b->control_key().value(), key);
  EXPECT_GT(to_number(b->next_shape_id().value()), highest);
  const auto shapes = b->recover().value();
  ASSERT_EQ(shapes.size(), 1u);
  EXPECT_EQ(shapes[0].head, (log_offset{200, 0})); // the half is taken back
  EXPECT_THAT(b->removed_shapes().value(), ElementsAre(shape_id{2}));
  finish(*b, shape_id{3}, "three");
  EXPECT_TRUE(b->sync(lsn{300}));
  EXPECT_EQ(b->apply({b->sequence() + 1, 1, ""}).error().code, errc::unavailable);
  b.reset();
  b = open("b");
  EXPECT_EQ(b->recover(recovery::look).value().size(), 2u);
}

TEST_F(StoreTakeoverTest, ATermThatIsNotAboveTheLastLeavesNobodyToGoOnFromTheOnesBefore) {
  auto a = lead("a", 100);
  ASSERT_TRUE(a->begin_term(101));
  const auto before = a->lineage().value();
  ASSERT_EQ(before.size(), 2u);
  const auto at = a->sequence();
  ASSERT_TRUE(a->begin_term(99));
  const auto now = a->lineage().value();
  EXPECT_THAT(now, ElementsAre(term_start{.term = 99, .first = at}));
  EXPECT_FALSE(may_follow(before, at, now, a->sequence()));
}

TEST_F(StoreTakeoverTest, ManyTermsAreForgottenTheOldestFirst) {
  auto a = lead("a", 1);
  for (std::uint64_t term = 2; term <= lineage_terms_max + 10; ++term)
    ASSERT_TRUE(a->begin_term(term));
  const auto terms = a->lineage().value();
  EXPECT_EQ(terms.size(), lineage_terms_max);
  EXPECT_EQ(terms.front().term, 11u);
  EXPECT_EQ(terms.back().term, lineage_terms_max + 10);
}

TEST_F(StoreTakeoverTest, TheOldLeaderFollowsTheNewOneIfAllItWroteHadArrived) {
  auto a = lead("a", 100);
  copy(*a, "b");
  auto b = open("b");
  finish(*a, shape_id{1}, "one");
  append(*a, shape_id{1}, 200, "a");
  catch_up(*a, *b);
  std::string old_name = "a";
  std::string new_name = "b";
  for (std::uint64_t term = 101; term < 106; ++term) {
    ASSERT_TRUE(b->begin_term(term));
    ASSERT_TRUE(b->recover());
    append(*b, shape_id{1}, term, "by the new one");
    a.reset();
    a = open(old_name);
    ASSERT_TRUE(may_go_on(*a, *b));
    catch_up(*b, *a);
    expect_equal(*a, *b);
    EXPECT_EQ(a->lineage().value(), b->lineage().value());
    std::swap(a, b); // and the other way round
    std::swap(old_name, new_name);
  }
}

TEST_F(StoreTakeoverTest, AnOldLeaderThatWroteMoreThanArrivedMustCopy) {
  auto a = lead("a", 100);
  copy(*a, "b");
  copy(*a, "c");
  auto b = open("b");
  auto c = open("c");
  finish(*a, shape_id{1}, "one");
  catch_up(*a, *b);
  append(*a, shape_id{1}, 200, "nobody knows of this");
  ASSERT_TRUE(b->begin_term(101));
  ASSERT_TRUE(b->recover());
  append(*b, shape_id{1}, 200, "something else");
  append(*b, shape_id{1}, 201, "and more");
  a.reset();
  a = open("a");
  EXPECT_LT(a->sequence(), b->sequence());
  EXPECT_FALSE(may_go_on(*a, *b));
  EXPECT_TRUE(may_go_on(*c, *b)); // it was behind, and wrote nothing of its own
  catch_up(*b, *c);
  expect_equal(*b, *c);
  a.reset();
  copy(*b, "a");
  a = open("a");
  EXPECT_TRUE(may_go_on(*a, *b));
  catch_up(*b, *a);
  expect_equal(*a, *b);
}

TEST_F(StoreTakeoverTest, WhoWritesOnItsOwnAloneBelongsToNoCluster) {
  auto a = lead("a", 100);
  finish(*a, shape_id{1}, "one");
  a.reset();
  auto alone = settings_of("a", as::leader);
  alone.replicated_log_bytes = 0;
  a = store::open(alone).value();
  EXPECT_TRUE(a->lineage().value().empty());
  EXPECT_FALSE(fs::exists(path_of("a") + "/archive"));
  EXPECT_EQ(a->recover().value().size(), 1u);
  EXPECT_EQ(a->tail(0).error().code, errc::unavailable);
  a.reset();
  a = open("a");
  EXPECT_FALSE(may_follow(a->lineage().value(), a->sequence(), {{100, 1}}, 1'000));
}

TEST_F(StoreTakeoverTest, WhatIsRebuiltAfterDamageIsEqualToNobodys) {
  auto a = lead("a", 100);
  finish(*a, shape_id{1}, "one");
  append(*a, shape_id{1}, 200, "a");
  a.reset();
  std::ofstream{path_of("a") + "/DAMAGED"};
  a = open("a");
  EXPECT_EQ(a->recover(recovery::look).value().size(), 1u);
  EXPECT_TRUE(a->lineage().value().empty());
  ASSERT_TRUE(a->begin_term(101)); // but it may lead
  copy(*a, "b");
  auto b = open("b");
  append(*a, shape_id{1}, 201, "b");
  catch_up(*a, *b);
  expect_equal(*a, *b);
}

/// The power goes: of a log only this much is on the disk.
void cut(const fs::path& log, std::uint64_t keep) {
  fs::resize_file(log, keep);
}
std::vector<fs::path> live_logs_of(const std::string& directory) {
  std::vector<fs::path> logs;
  for (const auto& entry : fs::directory_iterator{directory})
    if (entry.path().extension() == ".log")
      logs.push_back(entry.path());
  std::ranges::sort(logs);
  return logs;
}

TEST_F(StoreTakeoverTest, WhatThePowerTookIsNotServedToFollowersAgain) {
  auto a = lead("a", 100);
  finish(*a, shape_id{1}, "one");
  for (std::uint64_t tx = 200; tx < 220; ++tx)
    append(*a, shape_id{1}, tx, "old " + std::to_string(tx));
  ASSERT_TRUE(a->sync_log());
  const auto old_end = a->sequence();
  copy_as_it_is(path_of("a"), path_of("crashed"));
  a.reset();
  const auto logs = live_logs_of(path_of("crashed"));
  ASSERT_FALSE(logs.empty());
  const auto size = fs::file_size(logs.back());
  { // a block of zeros in the middle, as a disk leaves that wrote the end first
    std::fstream log{logs.back(), std::ios::in | std::ios::out | std::ios::binary};
    log.seekp(static_cast<std::streamoff>(size / 2));
    log.write(std::string(64, '\0').c_str(), 64);
  }
  auto crashed = open("crashed");
  const auto at = crashed->sequence();
  ASSERT_LT(at, old_end);
  ASSERT_TRUE(crashed->begin_term(101));
  ASSERT_TRUE(crashed->recover());
  for (std::uint64_t tx = 300; tx < 340; ++tx)
    append(*crashed, shape_id{1}, tx, "new");
  for (std::uint64_t after = at; after < crashed->sequence(); ++after) {
    auto tail = crashed->tail(after).value();
    const auto next = tail->next(soon());
    if (!next)
      continue; // in the middle of a batch
    ASSERT_TRUE(*next);
    EXPECT_EQ((*next)->first, after + 1);
    EXPECT_EQ((*next)->bytes.find("old "), std::string::npos);
  }
  EXPECT_FALSE(crashed->tail(at - 3).value()->next(soon()));
}

TEST_F(StoreTakeoverTest, ALogThatEndsEarlyIsAnOlderStateAndHasItsSequence) {
  auto a = lead("a", 100);
  copy(*a, "b");
  finish(*a, shape_id{1}, "one");
  const auto finished = a->sequence();
  append(*a, shape_id{1}, 200, std::string(100, 'x'));
  append(*a, shape_id{1}, 201, std::string(100, 'y'));
  copy_as_it_is(path_of("a"), path_of("crashed"));
  const auto log = live_logs_of(path_of("crashed")).back();
  cut(log, fs::file_size(log) - 50);
  auto crashed = open("crashed");
  EXPECT_EQ(crashed->sequence(), a->sequence() - 1);
  EXPECT_GT(crashed->sequence(), finished);
  EXPECT_TRUE(may_go_on(*crashed, *a));
  catch_up(*a, *crashed);
  expect_equal(*a, *crashed);
}

} // namespace
} // namespace busbar::storage
