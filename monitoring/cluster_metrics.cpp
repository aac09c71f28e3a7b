#include "monitoring/cluster_metrics.hpp"

#include <algorithm>

namespace busbar::monitoring {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Registry;

constexpr std::size_t followers_max = 64;
constexpr auto members = "busbar_cluster_members";
constexpr auto members_help = "Members of the cluster that this node knows, itself included.";

Gauge& gauge(Registry& registry, const char* name, const char* help,
             const prometheus::Labels& labels = {}) {
  return BuildGauge().Name(name).Help(help).Register(registry).Add(labels);
}

Counter& counter(Registry& registry, const char* name, const char* help) {
  return BuildCounter().Name(name).Help(help).Register(registry).Add({});
}

} // namespace

cluster_metrics::cluster_metrics(Registry& registry)
    : reachable_{gauge(registry, members, members_help, {{"state", "reachable"}})},
      away_{gauge(registry, members, members_help, {{"state", "away"}})},
      is_leader_{gauge(registry, "busbar_cluster_is_leader",
                       "1 while this node leads its cluster and has its stream from PostgreSQL, "
                       "else 0.")},
      term_{
          gauge(registry, "busbar_cluster_term",
                "Term in which this node leads or follows; it grows with each change of leader.")},
      in_sync_{gauge(registry, "busbar_cluster_in_sync",
                     "1 while PostgreSQL keeps WAL until this node has it, else 0.")},
      sequence_{gauge(registry, "busbar_cluster_sequence",
                      "Number of this node's newest write to storage; equal on all that have "
                      "caught up.")},
      behind_{BuildGauge()
                  .Name("busbar_cluster_follower_behind")
                  .Help("Writes of this leader's storage that a follower has not applied.")
                  .Register(registry)},
      takeovers{counter(registry, "busbar_cluster_takeovers_total",
                        "Times that this process became the leader.")},
      copies_sent{counter(registry, "busbar_cluster_copies_sent_total",
                          "Copies of this leader's storage that were sent whole.")},
      copies_received{counter(registry, "busbar_cluster_copies_received_total",
                              "Copies of a leader's storage that took the place of this node's.")},
      relayed_bytes{counter(registry, "busbar_cluster_relayed_bytes_total",
                            "Bytes of log that this leader sent to followers.")} {}

void cluster_metrics::show(const cluster_reading& reading) {
  reachable_.Set(static_cast<double>(reading.reachable));
  away_.Set(static_cast<double>(reading.away));
  is_leader_.Set(reading.is_leader ? 1 : 0);
  term_.Set(static_cast<double>(reading.term));
  in_sync_.Set(reading.in_sync ? 1 : 0);
  sequence_.Set(static_cast<double>(reading.sequence));
  const std::lock_guard lock{mutex_};
  std::erase_if(followers_, [&](const auto& known) {
    const bool gone =
        std::ranges::find(reading.behind, known.first,
                          &std::pair<std::string, std::uint64_t>::first) == reading.behind.end();
    if (gone)
      behind_.Remove(known.second);
    return gone;
  });
  for (const auto& [name, lacks] : reading.behind) {
    auto found = followers_.find(name);
    if (found == followers_.end()) {
      if (followers_.size() >= followers_max)
        continue;
      found = followers_.emplace(name, &behind_.Add({{"member", name}})).first;
    }
    found->second->Set(static_cast<double>(lacks));
  }
}

} // namespace busbar::monitoring
