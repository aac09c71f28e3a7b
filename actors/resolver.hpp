// actors/resolver.hpp: starts the RESOLVER (protocol.hpp): from a request's words to a checked
// definition.
#pragma once

#include "actors/protocol.hpp"
#include "postgres/connection.hpp"
#include "storage/store.hpp"

#include <cstdint>

namespace busbar {

/// The steady clock, for messages.
std::uint64_t steady_ticks();

/// Borrows the store and the pool, which outlive the actor system. Connects at the first request.
resolver_actor spawn_resolver(caf::actor_system& system, postgres::connection_url url,
                              storage::store& store, sql::program_pool& clauses);

} // namespace busbar
