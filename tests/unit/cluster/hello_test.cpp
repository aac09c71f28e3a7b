#include "cluster/hello.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace busbar::cluster {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Optional;

hello member(std::string name) {
  hello out;
  out.storage_format = 3;
  out.stream_id = "default";
  out.name = std::move(name);
  out.instance = std::hash<std::string>{}(out.name);
  out.version = "0.1.0";
  return out;
}

TEST(Disagreement, ThereIsNoneBetweenMembersOfOneCluster) {
  EXPECT_EQ(disagreement(member("a:1"), member("b:1")), std::nullopt);
}

TEST(Disagreement, NamesWhatDiffersAndWhere) {
  auto other = member("b:1");
  other.stream_id = "blue";
  EXPECT_THAT(disagreement(member("a:1"), other),
              Optional(AllOf(HasSubstr("BUSBAR_REPLICATION_STREAM_ID"), HasSubstr("default at a:1"),
                             HasSubstr("blue at b:1"))));
  other = member("b:1");
  other.storage_format = 4;
  EXPECT_THAT(disagreement(member("a:1"), other), Optional(HasSubstr("storage format")));
}

/// A follower of the next version copies from, and follows, a leader of the older one; not the
/// other way round. So the leader is replaced last.
TEST(Disagreement, WhoReadsOlderStorageMayFollowALeaderThatHasIt) {
  auto older = member("a:1");
  older.oldest_storage_format = 1;
  auto newer = member("b:1");
  newer.storage_format = 4;
  newer.oldest_storage_format = 3;
  for (const auto why : {purpose::follow, purpose::copy}) {
    newer.why = older.why = why;
    EXPECT_EQ(disagreement(older, newer), std::nullopt);
    EXPECT_THAT(
        disagreement(newer, older),
        Optional(AllOf(HasSubstr("storage format"), HasSubstr("4 at b:1"), HasSubstr("3 at a:1"))));
  }
  newer.why = older.why = purpose::peer;
  EXPECT_EQ(disagreement(older, newer), std::nullopt);
  EXPECT_EQ(disagreement(newer, older), std::nullopt);
}

TEST(Disagreement, WhoReadsOnlyLaterStorageIsNoMember) {
  auto older = member("a:1");
  older.oldest_storage_format = 1;
  auto newer = member("b:1");
  newer.storage_format = 5;
  newer.oldest_storage_format = 4;
  for (const auto why : {purpose::peer, purpose::follow, purpose::copy}) {
    newer.why = older.why = why;
    EXPECT_THAT(disagreement(older, newer), Optional(HasSubstr("storage format")));
    EXPECT_THAT(disagreement(newer, older), Optional(HasSubstr("storage format")));
  }
}

TEST(Disagreement, AdjacentVersionsOfTheProtocolGetAlong) {
  auto newer = member("b:1");
  newer.newest_protocol = protocol_newest + 1;
  EXPECT_EQ(disagreement(member("a:1"), newer), std::nullopt);
  newer.oldest_protocol = protocol_newest + 1;
  EXPECT_THAT(disagreement(member("a:1"), newer), Optional(HasSubstr("no common version")));
  EXPECT_THAT(disagreement(newer, member("a:1")), Optional(HasSubstr("no common version")));
}

TEST(Disagreement, DatabasesAreComparedOnceBothAreKnown) {
  auto one = member("a:1");
  auto other = member("b:1");
  one.system_id = "111";
  EXPECT_EQ(disagreement(one, other), std::nullopt);
  other.system_id = "222";
  EXPECT_THAT(disagreement(one, other), Optional(AllOf(HasSubstr("111"), HasSubstr("222"))));
}

TEST(Disagreement, TwoProcessesNeedTwoNames) {
  auto other = member("a:1");
  other.instance += 1;
  EXPECT_THAT(disagreement(member("a:1"), other), Optional(HasSubstr("BUSBAR_CLUSTER_ADDRESS")));
}

} // namespace
} // namespace busbar::cluster
