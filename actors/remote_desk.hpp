// actors/remote_desk.hpp: starts the REMOTE DESK (protocol.hpp): what nodes that follow ask of the
// node that leads.
#pragma once

#include "actors/cast.hpp"
#include "actors/shape_index.hpp"
#include "cluster/replication_message.hpp"
#include "storage/store.hpp"

#include <functional>

namespace busbar {

/// One question, and where its answer goes.
struct remote_task {
  cluster::question what;
  std::function<void(const cluster::answer&)> reply; ///< Once.
};

/// Borrows what it is given; all of it outlives the actor system.
remote_desk_actor spawn_remote_desk(caf::actor_system& system, const storage::store& store,
                                    const shape_index& index, cast_ptr others);

} // namespace busbar
