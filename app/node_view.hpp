// app/node_view.hpp: what can be seen of this node from outside: its series, and the data of the
// status page.
#pragma once

#include "actors/audience.hpp"
#include "actors/cluster_node.hpp"
#include "actors/node_status.hpp"
#include "actors/shape_index.hpp"
#include "actors/slot_report.hpp"
#include "app/settings.hpp"
#include "monitoring/exposer.hpp"
#include "monitoring/metrics.hpp"
#include "monitoring/scrape.hpp"
#include "monitoring/tenants.hpp"
#include "storage/store.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace busbar::app {

/// Borrows all of it.
struct node_view {
  const settings& config;
  monitoring::metrics& metrics;
  const storage::store& store;
  const node_status& status;
  const shape_index& shapes;
  slot_report& slot;
  monitoring::tenants& tenants;
  audience& listeners;
  std::string slot_name;
  const cluster_node* cluster = nullptr; ///< Null on a node without a cluster.
  std::chrono::system_clock::time_point started = std::chrono::system_clock::now();
};

/// Those series that are looked up for each scrape. Any thread; `view` must outlive them.
std::vector<monitoring::collector> node_collectors(const node_view& view);

/// All that the status page shows, as JSON. Any thread.
std::string status_json(const node_view& view, monitoring::scraper& series);

/// What the metrics port serves: the series, and the status page if it is wanted. `view` and
/// `series` must outlive the pages.
std::vector<monitoring::page> node_pages(const node_view& view, monitoring::scraper& series);

} // namespace busbar::app
