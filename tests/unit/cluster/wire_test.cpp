#include "cluster/wire.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>

namespace busbar::cluster::wire {
namespace {

std::string golden(const std::string& name) {
  std::ifstream file{std::string{BUSBAR_TEST_DATA} + "/link/" + name, std::ios::binary};
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>{file}, {}};
}

template <class Kind>
Kind read(const std::string& bytes) {
  auto said = decode(bytes);
  if (said && *said && std::holds_alternative<Kind>(**said))
    return std::get<Kind>(**said);
  ADD_FAILURE() << (said ? "another kind" : said.error().message);
  return {};
}

hello some_hello() {
  hello out;
  out.oldest_protocol = 1;
  out.newest_protocol = 1;
  out.storage_format = 3;
  out.oldest_storage_format = 2;
  out.stream_id = "default";
  out.system_id = "7301234567890123456";
  out.name = "node-1:7000";
  out.instance = 0x0123456789abcdef;
  out.version = "0.1.0";
  return out;
}

member_status some_status() {
  member_status out;
  out.name = "node-1:7000";
  out.version = "0.1.0";
  out.term = 7;
  out.sequence = 1'234'567'890'123;
  out.synced_sequence = 1'234'567'890'000;
  out.lineage_term = 6;
  out.last_seen = lsn{97'500'000'000};
  out.durable = lsn{97'400'000'000};
  out.shapes = 1'000;
  out.clients = 200'000;
  out.in_sync = true;
  out.leader = "node-2:7000";
  out.may_lead = true;
  out.system_id = "7301234567890123456";
  out.away_since = 1'790'000'000;
  return out;
}

/// The messages of version 1, as its first build, this one and the next version write them.
class GoldenMessages : public testing::TestWithParam<const char*> {
protected:
  std::string of(const std::string& name) const { return golden(GetParam() + ("/" + name)); }
  bool is_by(const std::string& version) const { return GetParam() == version; }
};
INSTANTIATE_TEST_SUITE_P(Version, GoldenMessages, testing::Values("1", "1.1", "2"));

TEST_P(GoldenMessages, AHelloIsRead) {
  for (const auto why : {purpose::peer, purpose::follow, purpose::copy}) {
    auto expected = some_hello();
    expected.newest_protocol = is_by("2") ? 2 : 1;
    if (is_by("1"))
      expected.oldest_storage_format = 0;
    expected.why = why;
    EXPECT_EQ(read<hello>(of(std::string{"hello-"} + name_of(why))), expected);
  }
}

TEST_P(GoldenMessages, AHeartbeatIsRead) {
  for (const auto role : {member_role::starting, member_role::follower, member_role::leader}) {
    const auto beat = read<heartbeat>(of(std::string{"heartbeat-"} + name_of(role)));
    auto expected = some_status();
    expected.role = role;
    if (is_by("1"))
      expected.away_since = 0;
    EXPECT_EQ(beat.status, expected);
    EXPECT_EQ(beat.number, 12u);
    EXPECT_EQ(beat.echo, 11u);
    EXPECT_EQ(beat.held_micros, 4'321u);
  }
}

TEST_P(GoldenMessages, ARefusalAQuestionAndItsAnswersAreRead) {
  EXPECT_EQ(read<refusal>(of("refusal")).reason, "the storage format differs");
  EXPECT_EQ(read<request>(of("request")).id, 42u);
  EXPECT_EQ(read<request>(of("request")).body, (std::string{"\0\1\xfe\xff", 4}));
  EXPECT_EQ(read<reply>(of("reply")).id, 42u);
  EXPECT_EQ(read<reply>(of("reply")).body, "abc");
  EXPECT_EQ(read<reply>(of("reply")).failure, "");
  EXPECT_EQ(read<reply>(of("reply-failure")).failure, "it was not answered");
}

TEST(Wire, WhatOnlyANewerVersionSaysIsIgnored) {
  for (const auto* name : {"2/farewell", "2/hello-watch"}) {
    const auto said = decode(golden(name));
    ASSERT_TRUE(said) << said.error().message;
    EXPECT_FALSE(*said) << name;
  }
  EXPECT_EQ(read<heartbeat>(golden("2/heartbeat-observer")).status, some_status())
      << "a role that is not known neither leads nor follows";
}

TEST(Wire, TheseBytesAreWhatThisVersionSays) {
  EXPECT_EQ(encode(some_hello()), golden("1.1/hello-peer"));
  auto status = some_status();
  status.role = member_role::leader;
  EXPECT_EQ(encode(heartbeat{status, 12, 11, 4'321}), golden("1.1/heartbeat-leader"));
}

TEST(Wire, EveryTruncationIsAnErrorOrReadsLess) {
  const auto whole = encode(heartbeat{some_status(), 12, 11, 4'321});
  for (std::size_t length = 0; length < whole.size(); ++length)
    if (length % 8 != 0 || length == 0)
      EXPECT_FALSE(decode(whole.substr(0, length))) << length;
    else
      EXPECT_NO_THROW({ [[maybe_unused]] auto said = decode(whole.substr(0, length)); });
}

TEST(Wire, BytesOfAnyKindAreNoCrash) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 chance{seed};
  const auto whole = encode(heartbeat{some_status(), 12, 11, 4'321});
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = whole;
    for (int i = 0; i < 1 + round % 4; ++i)
      bytes[chance() % bytes.size()] = static_cast<char>(chance());
    [[maybe_unused]] const auto said = decode(bytes);
  }
}

} // namespace
} // namespace busbar::cluster::wire
