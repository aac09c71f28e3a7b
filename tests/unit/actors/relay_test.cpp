// What a leader says to who asks to follow it, and then goes on to send. Real links, a real store.
#include "actors/relay.hpp"
#include "tests/unit/cluster/loopback.hpp"
#include "tests/unit/storage/member_fixture.hpp"

#include <gmock/gmock.h>

namespace busbar {
namespace {

using cluster::patience;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RelayTest : public testing::MemberTest {
protected:
  static constexpr std::uint64_t term = 100;

  void SetUp() override {
    store_ = lead("leader", term);
    relay_.use(store_.get());
    status_.set_phase(node_status::phase::streaming);
    const std::vector<std::string> all{ports_[0].address(), ports_[1].address()};
    leader_ = std::make_unique<cluster::node>(all[0], all, [this](cluster::peers_settings& s) {
      s.on_channel = [this](std::unique_ptr<cluster::link> to, cluster::purpose,
                            const cluster::hello& from) { relay_.serve_follow(*to, from.name); };
    });
    asks_ = std::make_unique<cluster::node>(all[1], all);
    leader_->start();
    asks_->start();
  }
  void TearDown() override {
    link_.reset();
    relay_.stop();
    leader_.reset();
    asks_.reset();
  }

  cluster::follow_reply ask(const storage::lineage& lineage, std::uint64_t sequence) {
    auto opened = (*asks_)->open_channel(leader_->name(), cluster::purpose::follow, patience());
    EXPECT_TRUE(opened) << opened.error().message;
    link_ = std::move(*opened);
    EXPECT_TRUE(
        link_->send(cluster::encode(cluster::follow_request{lineage, sequence}), patience()));
    const auto said = link_->receive(patience());
    EXPECT_TRUE(said && *said);
    return cluster::read_follow_reply(**said).value();
  }
  cluster::from_leader hear() {
    const auto said = link_->receive(patience());
    EXPECT_TRUE(said && *said);
    return said && *said ? cluster::read_from_leader(**said).value() : cluster::from_leader{};
  }
  void say(std::uint64_t applied) {
    EXPECT_TRUE(link_->send(cluster::encode(cluster::from_follower{applied, applied}), patience()));
  }

  store_ptr store_;
  cluster::loopback_port ports_[2];
  node_status status_{1};
  replication_gate gate_{std::chrono::seconds{30}, [](lsn, std::uint64_t) {}};
  prometheus::Registry registry_;
  monitoring::cluster_metrics metrics_{registry_};
  std::vector<cluster::behind_shape> behind_;
  relay relay_{{.status = &status_,
                .gate = &gate_,
                .term = [] { return term; },
                .behind = [this] { return behind_; },
                .metrics = &metrics_}};
  std::unique_ptr<cluster::node> leader_;
  std::unique_ptr<cluster::node> asks_;
  std::unique_ptr<cluster::link> link_;
};

TEST_F(RelayTest, WhoMustCopyIsToldTheTermInWhichThatIsSaid) {
  for (const auto& lineage : {storage::lineage{}, storage::lineage{{90, 0}, {95, 2}}}) {
    const auto reply = ask(lineage, 1'000);
    ASSERT_TRUE(std::holds_alternative<cluster::must_copy>(reply));
    EXPECT_EQ(std::get<cluster::must_copy>(reply).term, term);
  }
}

TEST_F(RelayTest, ALeaderWithoutAStreamHasNobodyCopy) {
  status_.set_phase(node_status::phase::starting, {"gone", "gone"});
  EXPECT_TRUE(std::holds_alternative<cluster::refused>(ask({}, 0)));
}

TEST_F(RelayTest, TheFirstMessageNamesTheShapesThatAreBehindAndNoOther) {
  behind_ = {{storage::shape_id{3}, 77}, {storage::shape_id{9}, 80}};
  const auto at = store_->sequence();
  const auto reply = ask(store_->lineage().value(), at);
  ASSERT_TRUE(std::holds_alternative<cluster::go_on>(reply));
  EXPECT_EQ(std::get<cluster::go_on>(reply).term, term);
  say(at);
  const auto first = hear();
  ASSERT_THAT(first.behind, SizeIs(2));
  EXPECT_EQ(first.behind[1].shape, storage::shape_id{9});
  EXPECT_EQ(first.behind[1].behind, 80u);
  EXPECT_TRUE(first.progress.in_sync);
  append(*store_, storage::shape_id{1}, 200, "a");
  for (auto next = hear();; next = hear()) {
    EXPECT_THAT(next.behind, IsEmpty());
    if (next.batches.empty())
      continue;
    EXPECT_EQ(next.batches.front().first, at + 1);
    EXPECT_EQ(next.batches.back().last(), store_->sequence());
    break;
  }
}

} // namespace
} // namespace busbar
