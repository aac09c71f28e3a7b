// actors/move_reader.hpp: starts a MOVE READER (protocol.hpp): reads rows that moves of values may
// bring into shapes with subqueries.
#pragma once

#include "actors/cast.hpp"
#include "actors/node_status.hpp"
#include "cluster/control_message.hpp"
#include "monitoring/metrics.hpp"
#include "postgres/connection.hpp"

#include <chrono>
#include <cstddef>

namespace busbar {

/// Borrowed parts outlive the actor system.
struct move_reader_environment {
  postgres::connection_url url;          ///< For fences.
  postgres::connection_url snapshot_url; ///< For reading rows; may go through a pooler.
  const node_status* status = nullptr;
  const cluster::control_codec* control = nullptr;
  monitoring::metrics* metrics = nullptr;
  std::chrono::milliseconds slow_query{1'000}; ///< See slow_queries.hpp.
  /// Of the rows for one shape. One that wants more is to be read anew: that is no dearer, and
  /// needs no memory.
  std::size_t bytes_max = 32u << 20;
};

move_reader_actor spawn_move_reader(caf::actor_system& system, move_reader_environment environment,
                                    cast_ptr others);

} // namespace busbar
