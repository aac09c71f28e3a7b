#include "monitoring/cluster_metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <string>

namespace busbar::monitoring {
namespace {

using testing::HasSubstr;
using testing::Not;

struct shown {
  prometheus::Registry registry;
  cluster_metrics series{registry};

  std::string text() { return prometheus::TextSerializer{}.Serialize(registry.Collect()); }
};

TEST(ClusterMetrics, ShowWhatWasRead) {
  shown all;
  all.series.show({.reachable = 2,
                   .away = 1,
                   .is_leader = true,
                   .term = 812,
                   .in_sync = true,
                   .sequence = 77,
                   .behind = {{"b:1", 5}, {"c:1", 70}}});
  all.series.relayed_bytes.Increment(10);
  for (const auto* line :
       {"busbar_cluster_members{state=\"reachable\"} 2\n",
        "busbar_cluster_members{state=\"away\"} 1\n", "busbar_cluster_is_leader 1\n",
        "busbar_cluster_term 812\n", "busbar_cluster_in_sync 1\n", "busbar_cluster_sequence 77\n",
        "busbar_cluster_follower_behind{member=\"b:1\"} 5\n",
        "busbar_cluster_follower_behind{member=\"c:1\"} 70\n", "busbar_cluster_takeovers_total 0\n",
        "busbar_cluster_copies_sent_total 0\n", "busbar_cluster_copies_received_total 0\n",
        "busbar_cluster_relayed_bytes_total 10\n"})
    EXPECT_THAT(all.text(), HasSubstr(line));
}

TEST(ClusterMetrics, AFollowerThatHasGoneLeavesNoSeries) {
  shown all;
  all.series.show({.behind = {{"b:1", 5}, {"c:1", 70}}});
  all.series.show({.behind = {{"c:1", 71}}});
  EXPECT_THAT(all.text(), Not(HasSubstr("b:1")));
  EXPECT_THAT(all.text(), HasSubstr("busbar_cluster_follower_behind{member=\"c:1\"} 71\n"));
  all.series.show({.behind = {{"b:1", 6}}});
  EXPECT_THAT(all.text(), HasSubstr("busbar_cluster_follower_behind{member=\"b:1\"} 6\n"));
}

TEST(ClusterMetrics, TheNumberOfSeriesHasALimit) {
  shown all;
  cluster_reading many;
  for (int i = 0; i < 200; ++i)
    many.behind.emplace_back("m" + std::to_string(i) + ":1", 0);
  all.series.show(many);
  std::size_t series = 0;
  const auto text = all.text();
  for (auto at = text.find("{member="); at != std::string::npos; at = text.find("{member=", at + 1))
    ++series;
  EXPECT_EQ(series, 64u);
}

} // namespace
} // namespace busbar::monitoring
