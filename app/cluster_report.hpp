// app/cluster_report.hpp: the members of the cluster, for GET /v1/cluster and `busbar cluster`.
#pragma once

#include "actors/cluster_node.hpp"

#include <string>

namespace busbar::app {

/// A JSON object.
std::string cluster_json(const cluster_node& node);

} // namespace busbar::app
