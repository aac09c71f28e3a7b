// app/cluster_settings.hpp: the settings that make a node a member of a cluster.
#pragma once

#include "app/setting_table.hpp"

#include <vector>

namespace busbar::app {

/// Their part of setting_table().
std::vector<setting> cluster_settings();

/// Whether they agree with each other and with the rest.
result<void> check_cluster(const settings& config);

} // namespace busbar::app
