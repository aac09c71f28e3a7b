#include "app/cluster_status.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace busbar::app {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string two_members = R"({"leader":"a:7000","term":812,"members":[
  {"name":"a:7000","self":false,"version":"0.2.0","reachable":true,"role":"leader","term":812,
   "in_sync":true,"draining":true,"sequence":50,"last_seen_lsn":"0/16B","flushed_lsn":"0/15A",
   "shapes":3,"clients":0,"behind":0},
  {"name":"b:7000","self":true,"version":"0.2.0","reachable":true,"role":"follower","term":812,
   "in_sync":false,"draining":false,"sequence":43,"last_seen_lsn":"0/14F","flushed_lsn":"0/13E",
   "shapes":2,"clients":0,"behind":7}]})";

TEST(ClusterStatus, ATableHasALineForEachMemberAndSaysWhoLeads) {
  const auto status = read_cluster_status(200, two_members);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_TRUE(status->has_leader);
  EXPECT_TRUE(status->all_reachable);
  EXPECT_EQ(status->table,
            "MEMBER    ROLE              TERM  REACHABLE  IN SYNC  BEHIND  APPLIED  FLUSHED  "
            "SHAPES  VERSION\n"
            "a:7000    leader, draining  812   yes        yes      0       0/16B    0/15A    "
            "3       0.2.0\n"
            "b:7000 *  follower          812   yes        no       7       0/14F    0/13E    "
            "2       0.2.0\n"
            "a:7000 leads in term 812. * is the node that says so.\n");
  EXPECT_EQ(status->json, two_members);
}

TEST(ClusterStatus, ALeaderWithoutPostgresIsSaidToBeThatAndLeadsNobody) {
  const auto status = read_cluster_status(
      200, R"({"leader":"a:1","term":5,"members":[{"name":"a:1","version":"0.2.0","reachable":true,
               "role":"leader","without_postgres_since":"2026-01-31T12:00:00Z"}]})");
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_FALSE(status->has_leader);
  EXPECT_THAT(status->table, HasSubstr("leader, without PostgreSQL since 2026-01-31T12:00:00Z  "));
  EXPECT_THAT(status->table, HasSubstr("a:1 leads in term 5, but without PostgreSQL. *"));
}

TEST(ClusterStatus, AMemberThatIsAwayIsNotReachable) {
  const auto status = read_cluster_status(
      200, R"({"leader":"a:1","term":5,"members":[{"name":"b:1","version":"0.2.0",
               "reachable":false,"away_ms":1700,"role":"follower"}]})");
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_FALSE(status->all_reachable);
  EXPECT_THAT(status->table, HasSubstr("no, for 1700 ms"));
}

TEST(ClusterStatus, OfAMemberThatWasNeverHeardNoNumbersAreShown) {
  const auto status = read_cluster_status(
      200, R"({"leader":null,"term":0,"members":[{"name":"b:1","version":"","reachable":false,
               "role":"starting","term":0,"shapes":0,"behind":0}]})");
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_FALSE(status->has_leader);
  EXPECT_THAT(status->table, HasSubstr("\nb:1     unknown  -     no         -"));
  EXPECT_THAT(status->table, HasSubstr("No node leads."));
}

TEST(ClusterStatus, WhatIsNoAnswerIsSaidInWords) {
  const auto why = [](int status, std::string_view body) {
    const auto read = read_cluster_status(status, body);
    return read ? "an answer" : read.error().message;
  };
  EXPECT_THAT(why(401, "{}"), HasSubstr("BUSBAR_SECRET"));
  EXPECT_THAT(why(404, "{}"), HasSubstr("single node"));
  EXPECT_THAT(why(200, "<html>"), HasSubstr("not Busbar"));
  EXPECT_THAT(why(200, R"({"members":[1]})"), HasSubstr("not Busbar"));
  EXPECT_THAT(why(500, two_members), HasSubstr("not Busbar"));
}

} // namespace
} // namespace busbar::app
