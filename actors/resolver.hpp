// actors/resolver.hpp: starts the RESOLVER (protocol.hpp): from a request's words to a checked
// definition.
#pragma once

#include "actors/node_status.hpp"
#include "actors/protocol.hpp"
#include "postgres/connection.hpp"
#include "storage/store.hpp"

#include <cstdint>

namespace busbar {

/// The steady clock, for messages.
std::uint64_t steady_ticks();

/// Borrows what it is given; all of it outlives the actor system. Connects at the first request.
/// While this node has no stream, its answers name no fresh ids.
resolver_actor spawn_resolver(caf::actor_system& system, postgres::connection_url url,
                              storage::store& store, const node_status& status,
                              sql::program_pool& clauses);

} // namespace busbar
