// monitoring/cluster_metrics.hpp: the series of a node that is a member of a cluster. A single node
// has none of them.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace busbar::monitoring {

/// What a node knows of its cluster at a moment.
struct cluster_reading {
  std::size_t reachable = 0; ///< Members, this one among them.
  std::size_t away = 0;      ///< Known, but not heard.
  bool is_leader = false;    ///< And has its stream.
  std::uint64_t term = 0;
  bool in_sync = false;
  std::uint64_t sequence = 0;
  /// By name, if this node leads, also without a stream: how many writes of its storage each
  /// follower lacks.
  std::vector<std::pair<std::string, std::uint64_t>> behind;
};

/// Registers its series with a registry that must outlive it, and borrows them out: adding to a
/// counter is an atomic operation and allowed on any thread.
class cluster_metrics {
public:
  explicit cluster_metrics(prometheus::Registry& registry);

  /// Now and then; any thread. A follower that is not in the reading loses its series; of more than
  /// 64 the rest have none.
  void show(const cluster_reading& reading);

private:
  prometheus::Gauge& reachable_;
  prometheus::Gauge& away_;
  prometheus::Gauge& is_leader_;
  prometheus::Gauge& term_;
  prometheus::Gauge& in_sync_;
  prometheus::Gauge& sequence_;
  prometheus::Family<prometheus::Gauge>& behind_;
  std::mutex mutex_;
  std::map<std::string, prometheus::Gauge*> followers_; ///< By name, under the mutex.

public:
  prometheus::Counter& takeovers;       ///< busbar_cluster_takeovers_total
  prometheus::Counter& copies_sent;     ///< busbar_cluster_copies_sent_total
  prometheus::Counter& copies_received; ///< busbar_cluster_copies_received_total
  prometheus::Counter& relayed_bytes;   ///< busbar_cluster_relayed_bytes_total
};

} // namespace busbar::monitoring
