// actors/janitor.hpp: starts the JANITOR (protocol.hpp), which deletes what removed shapes have
// left in storage, at a pace that leaves the disk to the stream, has the logs of the others
// compacted, and finds the shapes that have expired.
#pragma once

#include "actors/cast.hpp"
#include "actors/compactor.hpp"
#include "actors/expiry.hpp"
#include "actors/node_status.hpp"
#include "actors/protocol.hpp"
#include "actors/shape_index.hpp"
#include "monitoring/metrics.hpp"
#include "storage/store.hpp"

#include <chrono>

namespace busbar {

/// Borrowed; all of it outlives the actor system.
struct janitor_environment {
  storage::store* store = nullptr;
  const shape_index* index = nullptr;
  const node_status* status = nullptr;
  expiry_limits limits = {};
  std::chrono::milliseconds period{60'000}; ///< Between two looks at what has expired.
  bool compacts = false;
  compaction_limits compaction = {};
  monitoring::metrics* metrics = nullptr;
};

janitor_actor spawn_janitor(caf::actor_system& system, const janitor_environment& environment,
                            cast_ptr others);

} // namespace busbar
