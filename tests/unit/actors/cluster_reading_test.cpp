#include "actors/cluster_reading.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace busbar {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

member_report member(std::string name, std::uint64_t sequence) {
  member_report out;
  out.member.status.name = std::move(name);
  out.member.status.sequence = sequence;
  out.member.status.role = cluster::member_role::follower;
  out.member.heard = true;
  return out;
}

std::vector<member_report> cluster_of_four() {
  auto self = member("a:1", 100);
  self.is_self = true;
  self.member.status.role = cluster::member_role::leader;
  self.member.status.term = 9;
  self.member.status.in_sync = true;
  auto away = member("b:1", 40);
  away.member.away_for = std::chrono::milliseconds{2'000};
  auto follower = member("c:1", 90);
  follower.followed = replication_gate::view{.name = "c:1", .applied = 97};
  auto never = member("d:1", 0);
  never.member.heard = false;
  return {self, away, follower, never};
}

TEST(ClusterReading, ALeaderTellsWhatEachFollowerLacksAndWhoIsAway) {
  const auto reading = reading_of(cluster_of_four());
  EXPECT_TRUE(reading.is_leader);
  EXPECT_TRUE(reading.in_sync);
  EXPECT_EQ(reading.reachable, 2u);
  EXPECT_EQ(reading.away, 2u);
  EXPECT_EQ(reading.term, 9u);
  EXPECT_EQ(reading.sequence, 100u);
  EXPECT_THAT(reading.behind, ElementsAre(Pair("b:1", 60u), Pair("c:1", 3u)));
}

TEST(ClusterReading, ALeaderWithoutPostgresIsNoneForWhoCountsThem) {
  auto members = cluster_of_four();
  members[0].member.status.away_since = 1'790'000'000;
  const auto reading = reading_of(members);
  EXPECT_FALSE(reading.is_leader);
  EXPECT_THAT(reading.behind, ElementsAre(Pair("b:1", 60u), Pair("c:1", 3u)));
}

TEST(ClusterReading, AFollowerTellsOnlyOfItself) {
  auto members = cluster_of_four();
  members[0].member.status.role = cluster::member_role::follower;
  EXPECT_THAT(reading_of(members).behind, IsEmpty());
}

TEST(ClusterReading, AFollowerThatIsAheadOfWhatWasHeardLacksNothing) {
  auto members = cluster_of_four();
  members[2].followed->applied = 150;
  EXPECT_THAT(reading_of(members).behind, ElementsAre(Pair("b:1", 60u), Pair("c:1", 0u)));
}

} // namespace
} // namespace busbar
