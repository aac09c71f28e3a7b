// actors/cluster_reading.hpp: what a report on the members comes to as numbers.
#pragma once

#include "actors/cluster_node.hpp"
#include "monitoring/cluster_metrics.hpp"

#include <vector>

namespace busbar {

/// A follower that is away stands where it was heard last: the leader goes on, so it falls behind.
monitoring::cluster_reading reading_of(const std::vector<member_report>& members);

} // namespace busbar
