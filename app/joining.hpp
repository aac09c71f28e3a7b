// app/joining.hpp: how a node becomes a member of its cluster: with its own storage where that can
// go on from the leader's log, else with a copy of the leader's.
#pragma once

#include "actors/cluster_node.hpp"
#include "storage/store.hpp"

#include <functional>
#include <memory>

namespace busbar::app {

/// The store is open, and follows, when this returns; what is already open in `store` may have been
/// closed for it. A leader that is not found, or cannot be copied from in time, is no error: the
/// node serves what it has, and is told to begin again when there is a leader. `stopped` ends it
/// early.
result<void> join(cluster_node& node, const storage::store_settings& settings,
                  std::unique_ptr<storage::store>& store, const std::function<bool()>& stopped);

} // namespace busbar::app
