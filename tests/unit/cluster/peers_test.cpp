#include "tests/unit/cluster/loopback.hpp"

#include <gmock/gmock.h>

#include <atomic>

namespace busbar::cluster {
namespace {

/// Members that know each other's addresses; none is started.
std::vector<std::unique_ptr<node>> make_nodes(std::size_t count,
                                              std::function<void(peers_settings&)> change = {}) {
  std::vector<std::string> addresses;
  for (std::size_t i = 0; i < count; ++i)
    addresses.push_back(free_address());
  std::vector<std::unique_ptr<node>> out;
  for (const auto& address : addresses)
    out.push_back(std::make_unique<node>(address, addresses, change));
  return out;
}

TEST(Peers, MembersSeeEachOtherAndWhatTheySayOfThemselves) {
  auto nodes = make_nodes(3);
  for (auto& one : nodes)
    one->start();
  nodes[0]->set([](member_status& s) {
    s.role = member_role::leader;
    s.term = 7;
    s.sequence = 123;
    s.last_seen = lsn{456};
  });
  for (auto& one : nodes)
    for (auto& other : nodes)
      EXPECT_TRUE(one == other || eventually([&] { return one->sees(other->name()); }));
  ASSERT_TRUE(eventually(
      [&] { return nodes[1]->view_of(nodes[0]->name())->status.role == member_role::leader; }));
  const auto view = *nodes[1]->view_of(nodes[0]->name());
  EXPECT_EQ(view.status.term, 7u);
  EXPECT_EQ(view.status.sequence, 123u);
  EXPECT_EQ(view.status.last_seen, lsn{456});
  EXPECT_EQ(view.status.version, "0.1.0");
  EXPECT_EQ((*nodes[1])->members().size(), 2u);
  EXPECT_EQ((*nodes[0])->leader(), nodes[0]->name());
  EXPECT_TRUE(eventually([&] { return (*nodes[2])->leader() == nodes[0]->name(); }));
  EXPECT_TRUE(eventually([&] { return nodes[1]->view_of(nodes[0]->name())->round_trip > 0us; }));
}

TEST(Peers, AQuestionIsAnsweredByTheMemberThatWasAsked) {
  auto nodes = make_nodes(2);
  for (auto& one : nodes)
    one->start();
  ASSERT_TRUE(eventually([&] { return nodes[0]->sees(nodes[1]->name()); }));
  const auto answer = nodes[0]->ask(nodes[1]->name(), "hello");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(*answer, nodes[1]->name() + " says hello");
}

TEST(Peers, AChannelCarriesMessagesBothWays) {
  std::string heard_name;
  std::atomic<purpose> heard_purpose{purpose::peer};
  auto nodes = make_nodes(2, [&](peers_settings& s) {
    s.on_channel = [&](std::unique_ptr<link> from, purpose why, const hello& theirs) {
      heard_name = theirs.name;
      heard_purpose = why;
      while (auto message = from->receive(deadline::max()))
        if (!from->send({"echo ", **message}, patience()))
          return;
    };
  });
  for (auto& one : nodes)
    one->start();
  auto channel = (*nodes[0])->open_channel(nodes[1]->name(), purpose::follow, patience());
  ASSERT_TRUE(channel) << channel.error().message;
  const std::string large(5u << 20, 'x');
  ASSERT_TRUE((*channel)->send("small", patience()));
  ASSERT_TRUE((*channel)->send(large, patience()));
  auto first = (*channel)->receive(patience());
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(**first, "echo small");
  auto second = (*channel)->receive(patience());
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_TRUE(**second == "echo " + large);
  EXPECT_EQ(heard_name, nodes[0]->name());
  EXPECT_EQ(heard_purpose, purpose::follow);
}

} // namespace
} // namespace busbar::cluster
