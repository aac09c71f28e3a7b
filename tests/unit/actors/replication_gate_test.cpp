// What may be confirmed to PostgreSQL while members follow, fall behind, leave and come back.
#include "actors/replication_gate.hpp"

#include <gmock/gmock.h>

#include <map>
#include <string>
#include <thread>

namespace busbar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

class ReplicationGateTest : public ::testing::Test {
protected:
  using clock = replication_gate::clock;
  std::vector<std::uint64_t> confirmed_;
  replication_gate gate_{
      10s, [this](lsn position, std::uint64_t) { confirmed_.push_back(to_number(position)); }};
  const clock::time_point begin_ = clock::now();
  std::map<std::string, std::uint64_t> links_;

  void join(const std::string& name, std::uint64_t at, std::uint64_t target,
            clock::time_point now) {
    links_[name] = gate_.joined(name, at, target, now);
  }
  void hear(const std::string& name, std::uint64_t applied, std::uint64_t synced,
            clock::time_point now) {
    gate_.heard(name, links_[name], applied, synced, now);
  }
  void leave(const std::string& name) { gate_.left(name, links_[name]); }
};

TEST_F(ReplicationGateTest, ConfirmsAtOnceWithoutFollowers) {
  gate_.lead({}, begin_);
  gate_.flushed(lsn{100}, 1, 7);
  EXPECT_THAT(confirmed_, ElementsAre(100));
}

TEST_F(ReplicationGateTest, WaitsUntilEveryMemberThatCountsHasSynced) {
  gate_.lead({}, begin_);
  join("a", 5, 5, begin_);
  join("b", 5, 5, begin_);
  gate_.flushed(lsn{100}, 1, 7);
  hear("a", 7, 7, begin_);
  EXPECT_THAT(confirmed_, IsEmpty());
  hear("b", 7, 6, begin_);
  EXPECT_THAT(confirmed_, IsEmpty());
  hear("b", 7, 7, begin_);
  EXPECT_THAT(confirmed_, ElementsAre(100));
}

TEST_F(ReplicationGateTest, ConfirmsOnlyTheLastOfWhatBecomesSafeTogether) {
  gate_.lead({}, begin_);
  join("a", 0, 0, begin_);
  gate_.flushed(lsn{100}, 1, 7);
  gate_.flushed(lsn{200}, 1, 8);
  gate_.flushed(lsn{300}, 1, 9);
  hear("a", 9, 8, begin_);
  EXPECT_THAT(confirmed_, ElementsAre(200));
}

TEST_F(ReplicationGateTest, AMemberThatHasYetToCatchUpDoesNotCount) {
  gate_.lead({}, begin_);
  join("a", 5, 50, begin_);
  EXPECT_FALSE(gate_.counts("a"));
  gate_.flushed(lsn{100}, 1, 60);
  EXPECT_THAT(confirmed_, ElementsAre(100));
  hear("a", 55, 50, begin_);
  EXPECT_TRUE(gate_.counts("a"));
  gate_.flushed(lsn{200}, 1, 70);
  EXPECT_THAT(confirmed_, ElementsAre(100));
}

TEST_F(ReplicationGateTest, AMemberThatIsAwayHoldsBackUntilTheGraceIsOver) {
  gate_.lead({}, begin_);
  join("a", 5, 5, begin_);
  leave("a");
  gate_.flushed(lsn{100}, 1, 7);
  gate_.tick(begin_ + 9s);
  EXPECT_THAT(confirmed_, IsEmpty());
  gate_.tick(begin_ + 11s);
  EXPECT_THAT(confirmed_, ElementsAre(100));
  EXPECT_FALSE(gate_.counts("a"));
}

TEST_F(ReplicationGateTest, AMemberThatIsLinkedButDoesNotComeOnIsTreatedAlike) {
  gate_.lead({}, begin_);
  join("a", 5, 5, begin_);
  gate_.flushed(lsn{100}, 1, 7);
  hear("a", 7, 5, begin_ + 9s);
  gate_.tick(begin_ + 11s);
  EXPECT_THAT(confirmed_, ElementsAre(100));
  hear("a", 7, 7, begin_ + 12s);
  EXPECT_TRUE(gate_.counts("a"));
}

TEST_F(ReplicationGateTest, AnIdleMemberThatHasAllCountsForever) {
  gate_.lead({}, begin_);
  join("a", 5, 5, begin_);
  for (int second = 1; second < 60; ++second) {
    hear("a", 5, 5, begin_ + std::chrono::seconds{second});
    gate_.tick(begin_ + std::chrono::seconds{second});
  }
  EXPECT_TRUE(gate_.counts("a"));
}

TEST_F(ReplicationGateTest, AtTheBeginningOfATermThoseWhoAreKnownCount) {
  gate_.lead({"a"}, begin_);
  gate_.flushed(lsn{100}, 1, 7);
  EXPECT_THAT(confirmed_, IsEmpty());
  join("a", 6, 7, begin_);
  EXPECT_THAT(confirmed_, IsEmpty());
  hear("a", 7, 7, begin_);
  EXPECT_THAT(confirmed_, ElementsAre(100));
}

TEST_F(ReplicationGateTest, AMemberThatStopsIsExcusedAtOnce) {
  gate_.lead({"a"}, begin_);
  gate_.flushed(lsn{100}, 1, 7);
  gate_.excuse("a");
  EXPECT_THAT(confirmed_, ElementsAre(100));
}

TEST_F(ReplicationGateTest, WaitingForWhatIsAppliedEndsWhenTheLastHasIt) {
  gate_.lead({}, begin_);
  join("a", 5, 5, begin_);
  EXPECT_FALSE(gate_.wait_applied(7, clock::now() + 10ms));
  std::thread ack{[&] { hear("a", 7, 5, clock::now()); }};
  EXPECT_TRUE(gate_.wait_applied(7, clock::now() + 10s));
  ack.join();
}

TEST_F(ReplicationGateTest, NobodyIsWaitedForWhoHasNoLink) {
  gate_.lead({"a"}, begin_);
  EXPECT_TRUE(gate_.wait_applied(7, clock::now()));
}

TEST_F(ReplicationGateTest, WhatALinkSaysThatAnotherHasTakenThePlaceOfIsNothing) {
  gate_.lead({}, begin_);
  const auto before = gate_.joined("a", 9, 9, begin_);
  join("a", 5, 5, begin_); // it has begun anew with less
  gate_.flushed(lsn{100}, 1, 7);
  gate_.heard("a", before, 9, 9, begin_);
  EXPECT_THAT(confirmed_, IsEmpty());
  gate_.left("a", before);
  EXPECT_TRUE(gate_.members().front().linked);
  hear("a", 7, 7, begin_);
  EXPECT_THAT(confirmed_, ElementsAre(100));
}

TEST_F(ReplicationGateTest, WhoeverIsAboutToStopDoesNotCountForWhatHeStillSays) {
  gate_.lead({}, begin_);
  join("a", 5, 5, begin_);
  gate_.excuse("a");
  hear("a", 6, 6, begin_);
  EXPECT_FALSE(gate_.counts("a"));
  gate_.flushed(lsn{100}, 1, 7);
  EXPECT_THAT(confirmed_, ElementsAre(100));
  join("a", 7, 7, begin_);
  EXPECT_TRUE(gate_.counts("a"));
}

} // namespace
} // namespace busbar
