// actors/replicator.hpp: starts the REPLICATOR (protocol.hpp), which owns the feed thread.
#pragma once

#include "actors/feed.hpp"
#include "actors/protocol.hpp"

namespace busbar {

/// The feed begins at the first message `flushed`, so that main() can finish casting first.
replicator_actor spawn_replicator(caf::actor_system& system, feed_environment environment,
                                  cast_ptr others);

} // namespace busbar
