// What a follower does before it follows.
#include "actors/follower.hpp"
#include "tests/unit/cluster/loopback.hpp"
#include "tests/unit/storage/member_fixture.hpp"

#include <gtest/gtest.h>

namespace busbar {
namespace {

using cluster::eventually;
using cluster::patience;

class FollowerTest : public testing::MemberTest {
protected:
  void SetUp() override {
    lead("own", 7).reset();
    auto settings = settings_of("own", as::follower);
    settings.refuses = [this] { return refuses_.load(); };
    store_ = storage::store::open(settings).value();
    const std::vector<std::string> all{ports_[0].address(), ports_[1].address()};
    leader_ = std::make_unique<cluster::node>(all[0], all, [this](cluster::peers_settings& s) {
      s.on_channel = [this](std::unique_ptr<cluster::link> from, cluster::purpose,
                            const cluster::hello&) {
        ++links_;
        const auto asked = from->receive(patience());
        if (!asked || !*asked)
          return;
        ++requests_;
        const cluster::follow_reply reply{cluster::must_copy{"it lacks", 3}};
        (void)from->send(cluster::encode(reply), patience());
        (void)from->receive(patience());
      };
    });
    leader_->set([](cluster::member_status& s) {
      s.role = cluster::member_role::leader;
      s.term = 8;
    });
    self_ = std::make_unique<cluster::node>(all[1], all);
    leader_->start();
    self_->start();
  }
  void begin() {
    follower_ = std::make_unique<follower>(
        system_,
        follower_environment{.store = store_.get(),
                             .status = &status_,
                             .members = self_->operator->(),
                             .believes =
                                 [this](const cluster::must_copy& copy, const storage::lineage&) {
                                   EXPECT_EQ(copy.term, 3u);
                                   ++doubts_;
                                   return believes_.load();
                                 },
                             .on_copy_needed = [this](const std::string&) { ++copies_; }},
        std::make_shared<cast>(), shapes_);
  }
  void TearDown() override {
    follower_.reset();
    self_.reset();
    leader_.reset();
    store_.reset();
  }

  std::atomic<bool> refuses_{false};
  std::atomic<bool> believes_{false};
  std::atomic<int> links_{0};
  std::atomic<int> requests_{0};
  std::atomic<int> doubts_{0};
  std::atomic<int> copies_{0};
  cluster::loopback_port ports_[2];
  caf::actor_system_config config_;
  caf::actor_system system_{config_};
  sql::program_pool clauses_;
  stored_shapes shapes_{clauses_};
  node_status status_{1};
  store_ptr store_;
  std::unique_ptr<cluster::node> leader_;
  std::unique_ptr<cluster::node> self_;
  std::unique_ptr<follower> follower_;
};

/// The leader takes it for safe, and may tell PostgreSQL so.
TEST_F(FollowerTest, WhatItBeginsWithIsOnItsDiskBeforeItSaysSo) {
  refuses_ = true;
  begin();
  ASSERT_TRUE(eventually([&] { return links_ >= 3; }));
  EXPECT_EQ(requests_, 0);
  refuses_ = false;
  EXPECT_TRUE(eventually([&] { return requests_ > 0; }));
}

TEST_F(FollowerTest, ItThrowsNothingAwayForALeaderThatIsNotToBeBelieved) {
  begin();
  ASSERT_TRUE(eventually([&] { return doubts_ >= 3; }));
  EXPECT_EQ(copies_, 0);
  believes_ = true;
  EXPECT_TRUE(eventually([&] { return copies_ == 1; }));
}

} // namespace
} // namespace busbar
