#include "cluster/roster.hpp"
#include "tests/unit/cluster/loopback.hpp"

#include <gmock/gmock.h>

namespace busbar::cluster {
namespace {

using testing::Contains;
using testing::ElementsAre;

TEST(Address, IsAHostAndAPort) {
  for (const auto& [text, host, port] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"node-1.busbar:7000", "node-1.busbar", "7000"},
           {"10.0.0.1:1", "10.0.0.1", "1"},
           {"[fd00::2]:65535", "fd00::2", "65535"},
           {"[fe80::1%eth0]:7000", "fe80::1%eth0", "7000"}}) {
    const auto parts = split_address(text);
    ASSERT_TRUE(parts) << parts.error().message;
    EXPECT_EQ(parts->host, host);
    EXPECT_EQ(parts->port, port);
    EXPECT_EQ(join_address(parts->host, parts->port), text);
  }
}

TEST(Address, AnythingElseIsRefused) {
  for (const auto* text : {"",
                           ":",
                           "a",
                           "a:",
                           ":7000",
                           "a:0",
                           "a:65536",
                           "a:-1",
                           "a:+1",
                           "a: 1",
                           "a:1x",
                           "a:99999999999999999999",
                           "fd00::2:7000",
                           "[]:7000",
                           "[a:7000",
                           "a]:7000",
                           "a b:7000",
                           "a,b:7000",
                           "http://a:7000",
                           "a\n:7000"})
    EXPECT_FALSE(split_address(text)) << text;
  EXPECT_FALSE(split_address(std::string(300, 'a') + ":7000"));
}

TEST(LookUp, ANumberNeedsNoResolverAndANameGivesItsNumbers) {
  const interrupt stop;
  EXPECT_THAT(*look_up("10.1.2.3:7000", patience(), stop), ElementsAre("10.1.2.3:7000"));
  EXPECT_THAT(*look_up("[fd00::2]:7000", patience(), stop), ElementsAre("[fd00::2]:7000"));
  const auto found = look_up("localhost:7000", patience(), stop);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_THAT(*found, Contains("127.0.0.1:7000"));
}

TEST(LookUp, ANameThatDoesNotExistIsAnErrorThatNamesIt) {
  const interrupt stop;
  const auto found = look_up("nobody.invalid:7000", patience(), stop);
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message, testing::HasSubstr("nobody.invalid"));
}

TEST(LookUp, EndsWhenItIsInterrupted) {
  interrupt stop;
  stop.raise();
  EXPECT_FALSE(look_up("localhost:7000", patience(), stop));
}

TEST(Roster, AFixedListIsToldAtOnceWithoutOneself) {
  std::vector<std::string> told;
  roster_settings settings;
  settings.addresses = {"a:1", "b:1", "c:1"};
  const roster list{settings, "b:1", [&](auto addresses) { told = std::move(addresses); }};
  EXPECT_THAT(told, ElementsAre("a:1", "c:1"));
}

TEST(Roster, ANameIsLookedUpAndUnchangedAnswersAreNotToldAgain) {
  std::mutex mutex;
  std::vector<std::string> told;
  int times = 0;
  roster_settings settings;
  settings.dns = "localhost:7000";
  settings.refresh = 1ms;
  const roster list{settings, "[::1]:7000", [&](auto addresses) {
                      const std::lock_guard lock{mutex};
                      told = std::move(addresses);
                      ++times;
                    }};
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock{mutex};
    return times > 0;
  }));
  std::this_thread::sleep_for(50ms); // in which it looks up many times
  const std::lock_guard lock{mutex};
  EXPECT_THAT(told, ElementsAre("127.0.0.1:7000"));
  EXPECT_EQ(times, 1);
}

} // namespace
} // namespace busbar::cluster
