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
