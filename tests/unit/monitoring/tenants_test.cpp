#include "monitoring/tenants.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>

namespace busbar::monitoring {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

std::vector<std::string> names(const std::vector<tenant_share>& shares) {
  std::vector<std::string> out;
  for (const auto& share : shares)
    out.push_back(share.others ? "(others)" : share.tenant);
  return out;
}

struct clock_hand {
  std::chrono::steady_clock::time_point now{1h};
  auto after(std::chrono::seconds time) { return now += time; }
};

TEST(Tenants, AFewAreAllTold) {
  tenants all{3};
  const auto a = all.of("a");
  const auto b = all.of("b");
  a->note_request();
  b->note_sent(100);
  b->note_logged(7);
  const auto shares = all.shares(clock_hand{}.now);
  ASSERT_THAT(names(shares), ElementsAre("a", "b", "(others)"));
  EXPECT_EQ(shares[0].requests, 1);
  EXPECT_EQ(shares[1].sent_bytes, 100);
  EXPECT_EQ(shares[1].log_bytes, 7);
  EXPECT_EQ(shares[2].requests, 0);
}

TEST(Tenants, OneNameIsOneTenant) {
  tenants all{3};
  EXPECT_EQ(all.of("a"), all.of("a"));
  EXPECT_EQ(all.size(), 1u);
}

TEST(Tenants, OfManyThoseWithTheLargestLoadAreTold) {
  tenants all{2};
  clock_hand clock;
  std::vector<tenant_ptr> held;
  for (int i = 0; i < 100; ++i)
    held.push_back(all.of("t" + std::to_string(i)));
  held[41]->note_sent(1 << 20);
  held[87]->note_sent(1 << 19);
  EXPECT_THAT(names(all.shares(clock.now)), ElementsAre("t41", "t87", "(others)"));
}

TEST(Tenants, WhoChangesSidesMakesNoCounterFallOrJump) {
  tenants all{2};
  clock_hand clock;
  std::vector<tenant_ptr> held;
  for (int i = 0; i < 10; ++i)
    held.push_back(all.of("t" + std::to_string(i)));
  std::map<std::string, double> last;
  double total = 0;
  for (int turn = 0; turn < 60; ++turn) {
    for (int i = 0; i < 10; ++i) {
      const auto bytes = static_cast<std::uint64_t>((turn * 7 + i * 13) % 101) * 1000;
      held[static_cast<std::size_t>(i)]->note_sent(bytes);
      total += static_cast<double>(bytes);
    }
    double told = 0;
    const auto shares = all.shares(clock.after(31s));
    EXPECT_LE(shares.size(), 3u);
    for (std::size_t i = 0; i < shares.size(); ++i) {
      const auto name = names(shares)[i];
      EXPECT_GE(shares[i].sent_bytes, last[name]) << name << " in turn " << turn;
      // Nobody did more than this at once.
      EXPECT_LE(shares[i].sent_bytes - last[name], 10 * 101'000) << name << " in turn " << turn;
      last[name] = shares[i].sent_bytes;
    }
    for (const auto& [name, bytes] : last)
      told += bytes;
    EXPECT_EQ(told, total) << "in turn " << turn;
  }
}

TEST(Tenants, WhoseLastShapeIsGoneIsForgottenButNotWhatItDid) {
  tenants all{5};
  clock_hand clock;
  auto a = all.of("a");
  const auto b = all.of("b");
  a->note_request();
  all.shares(clock.now);
  a->note_request();
  a.reset();
  const auto shares = all.shares(clock.after(1s));
  EXPECT_EQ(all.size(), 1u);
  EXPECT_THAT(names(shares), ElementsAre("b", "(others)"));
}

TEST(Tenants, NoneAreToldIfNoneMayBe) {
  tenants all{0};
  const auto a = all.of("a");
  a->note_request();
  const auto shares = all.shares(clock_hand{}.now);
  ASSERT_THAT(names(shares), ElementsAre("(others)"));
  EXPECT_EQ(shares[0].requests, 1);
}

} // namespace
} // namespace busbar::monitoring
