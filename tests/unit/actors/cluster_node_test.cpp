// What a member makes of what the others say: whom it believes, when it leads, when it begins
// again.
#include "actors/cluster_node.hpp"
#include "storage/keys.hpp"
#include "tests/unit/cluster/loopback.hpp"
#include "tests/unit/storage/member_fixture.hpp"

#include <gmock/gmock.h>

#include <atomic>

namespace busbar {
namespace {

using cluster::eventually;
using cluster::patience;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

class ClusterNodeTest : public testing::MemberTest {
protected:
  void SetUp() override {
    const std::vector<std::string> all{ports_[0].address(), ports_[1].address()};
    other_ = std::make_unique<cluster::node>(all[1], all, [this](cluster::peers_settings& s) {
      s.storage_format = storage::format_version;
      s.on_channel = [this](std::unique_ptr<cluster::link> from, cluster::purpose,
                            const cluster::hello&) {
        if (const auto asked = from->receive(patience()); asked && *asked)
          (void)from->send(
              cluster::encode(cluster::follow_reply{cluster::must_copy{"it lacks", other_term_}}),
              patience());
        (void)from->receive(patience());
      };
    });
    other_->start();
    auto started = cluster_node::start({.self = all[0],
                                        .secret = "a secret of the cluster",
                                        .members = {.addresses = all, .dns = {}},
                                        .stream_id = "default",
                                        .version = "0.1.0",
                                        .grace = grace},
                                       {.status = &status_,
                                        .index = &index_,
                                        .clients = {},
                                        .on_begin_again =
                                            [this](const std::string& why) {
                                              const std::lock_guard guard{mutex_};
                                              begins_again_ = why;
                                            },
                                        .metrics = &metrics_});
    ASSERT_TRUE(started) << started.error().message;
    node_ = std::move(*started);
    ASSERT_TRUE(eventually([&] { return other_->sees(all[0]); }));
  }
  void TearDown() override {
    node_.reset();
    other_.reset();
  }

  /// Waits until the node has heard this of the other one.
  void other_says(const std::function<void(cluster::member_status&)>& change) {
    cluster::member_status expected;
    other_->set([&](cluster::member_status& s) {
      change(s);
      expected = s;
    });
    ASSERT_TRUE(eventually([&] {
      for (const auto& one : node_->report())
        if (!one.is_self && one.member.heard)
          return one.member.status.term == expected.term &&
                 one.member.status.role == expected.role &&
                 one.member.status.sequence == expected.sequence;
      return false;
    }));
  }
  cluster::member_status self() const {
    for (const auto& one : node_->report())
      if (one.is_self)
        return one.member.status;
    return {};
  }
  std::string begins_again() {
    const std::lock_guard guard{mutex_};
    return begins_again_;
  }

  static constexpr std::chrono::milliseconds grace{400};
  cluster::loopback_port ports_[2];
  node_status status_{1};
  shape_index index_;
  prometheus::Registry registry_;
  monitoring::cluster_metrics metrics_{registry_};
  std::mutex mutex_;
  std::string begins_again_;
  std::atomic<std::uint64_t> other_term_{0};
  std::unique_ptr<cluster::node> other_;
  std::unique_ptr<cluster_node> node_;
};

/// Who has been deposed and does not know it takes what came after it for something to throw away.
TEST_F(ClusterNodeTest, ACopyIsNotTakenFromALeaderOfAnEarlierTerm) {
  const auto asked = [&](const storage::lineage& ours, std::uint64_t leads_in) {
    other_term_ = leads_in;
    return node_->why_copy(other_->name(), ours, 10);
  };
  const auto doubtful = asked({{3, 0}, {7, 5}}, 6);
  ASSERT_FALSE(doubtful);
  EXPECT_EQ(doubtful.error().code, errc::unavailable);
  EXPECT_THAT(doubtful.error().message, HasSubstr("earlier term"));
  for (const std::uint64_t term : {7, 8}) {
    const auto why = asked({{3, 0}, {7, 5}}, term);
    ASSERT_TRUE(why) << why.error().message;
    EXPECT_EQ(*why, "it lacks");
  }
  EXPECT_EQ(asked({}, 1).value_or("nothing"), "it lacks") << "who has nothing has nothing to lose";
}

TEST_F(ClusterNodeTest, WhoHasTriedToLeadAndFailedBeginsAgainWhenAnotherLeads) {
  using cluster::member_role;
  other_says([](auto& s) { s.role = member_role::leader, s.term = 4; });
  node_->begin_to_lead(5);
  other_says([](auto& s) { s.sequence = 1; });
  EXPECT_EQ(begins_again(), "") << "that one is of a term before";
  other_says([](auto& s) { s.term = 6; });
  EXPECT_TRUE(eventually([&] { return !begins_again().empty(); }));
  EXPECT_THAT(begins_again(), HasSubstr("later term"));
}

TEST_F(ClusterNodeTest, WhoLacksWhatWasConfirmedLeavesTheLeadToOneWithMoreForTheGrace) {
  EXPECT_TRUE(node_->may_lead_without()) << "the other one has no more";
  other_says([](auto& s) { s.sequence = 5; });
  const auto began = std::chrono::steady_clock::now();
  EXPECT_FALSE(node_->may_lead_without());
  EXPECT_TRUE(eventually([&] { return node_->may_lead_without(); }));
  EXPECT_GE(std::chrono::steady_clock::now() - began, grace);
}

TEST_F(ClusterNodeTest, WhoIsNotThereMayHaveMore) {
  other_->stop();
  ASSERT_TRUE(eventually([&] {
    for (const auto& one : node_->report())
      if (!one.is_self)
        return one.member.away_for.has_value();
    return false;
  }));
  EXPECT_FALSE(node_->may_lead_without());
}

TEST_F(ClusterNodeTest, ALeaderSaysSinceWhenItHasNoStream) {
  caf::actor_system_config config;
  caf::actor_system system{config};
  sql::program_pool clauses;
  stored_shapes shapes{clauses};
  lead("own", 7).reset();
  const auto store = open("own");
  node_->follow(system, *store, std::make_shared<cast>(), shapes);
  EXPECT_EQ(self().away_since, 0u) << "it does not lead yet";
  node_->begin_to_lead(9);
  node_->lead(9);
  EXPECT_EQ(self().role, cluster::member_role::leader);
  EXPECT_GT(self().away_since, 0u);
  EXPECT_FALSE(self().leads_stream());
  status_.set_phase(node_status::phase::streaming);
  EXPECT_EQ(self().away_since, 0u);
  EXPECT_TRUE(self().leads_stream());
  status_.set_phase(node_status::phase::starting, {"gone", "gone"});
  EXPECT_GT(self().away_since, 0u);
  const auto told = [&] {
    const auto view = other_->view_of(ports_[0].address());
    return view && view->status.term == 9 && view->status.away_since > 0;
  };
  EXPECT_TRUE(eventually(told)) << "and the others hear it";
  node_.reset(); // before what it works with
}

} // namespace
} // namespace busbar
