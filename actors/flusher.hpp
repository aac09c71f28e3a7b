// actors/flusher.hpp: starts the FLUSHER (protocol.hpp). It alone waits for the disk, so that
// commits gather while it does and the next sync covers them all.
#pragma once

#include "actors/cast.hpp"
#include "actors/node_status.hpp"
#include "actors/protocol.hpp"
#include "monitoring/metrics.hpp"
#include "storage/store.hpp"

#include <functional>

namespace busbar {

/// Told what is durable, in which epoch; by the flusher's thread.
using durable_callback = std::function<void(lsn, std::uint64_t epoch)>;

/// Borrows what it is given; all of it outlives the actor system. Without `on_durable` it tells the
/// REPLICATOR itself.
flusher_actor spawn_flusher(caf::actor_system& system, storage::store& store, node_status& status,
                            monitoring::metrics& metrics, std::size_t materializers,
                            cast_ptr others, durable_callback on_durable = nullptr);

} // namespace busbar
