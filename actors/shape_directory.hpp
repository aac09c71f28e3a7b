// actors/shape_directory.hpp: starts the DIRECTORY (protocol.hpp): get or create, and remove.
#pragma once

#include "actors/cast.hpp"
#include "actors/node_status.hpp"
#include "actors/protocol.hpp"
#include "actors/shape_index.hpp"
#include "actors/tenant_rule.hpp"
#include "cluster/control_message.hpp"
#include "monitoring/metrics.hpp"
#include "storage/store.hpp"

namespace busbar {

/// Borrowed parts outlive the actor system.
struct directory_environment {
  storage::store* store = nullptr;
  node_status* status = nullptr;
  monitoring::metrics* metrics = nullptr;
  shape_index* index = nullptr; ///< Only the directory writes it.
  tenant_rule tenants = {};     ///< For shapes that it makes.
};

directory_actor spawn_directory(caf::actor_system& system, directory_environment environment,
                                cast_ptr others);

} // namespace busbar
