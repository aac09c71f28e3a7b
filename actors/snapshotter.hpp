// actors/snapshotter.hpp: starts a SNAPSHOTTER (protocol.hpp): publishes a table, announces a shape
// in the WAL, and copies its rows as of one snapshot into the store.
#pragma once

#include "actors/cast.hpp"
#include "actors/node_status.hpp"
#include "actors/protocol.hpp"
#include "actors/publication_gate.hpp"
#include "cluster/control_message.hpp"
#include "monitoring/metrics.hpp"
#include "postgres/connection.hpp"
#include "storage/store.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace busbar {

/// Borrowed parts outlive the actor system.
struct snapshotter_environment {
  std::optional<postgres::connection_url> url; ///< For catalog and publication.
  std::optional<postgres::connection_url>
      snapshot_url; ///< For reading rows; may go through a pooler.
  std::string publication;
  bool by_hand = false; ///< Tables are published by an administrator, and only looked at.
  publication_gate* gate = nullptr;
  storage::store* store = nullptr;
  node_status* status = nullptr;
  monitoring::metrics* metrics = nullptr;
  const cluster::control_codec* control = nullptr;
  std::uint64_t chunk_bytes_max = 0;
  std::string_view secret = {}; ///< As the materializers have it.
  /// Called when a snapshot is durable, before it is said to be: waits for a moment until those
  /// that follow this node have it, too. May be null.
  std::function<void()> wait_for_followers = nullptr;
  std::chrono::milliseconds slow_query{1'000}; ///< See slow_queries.hpp.
};

snapshotter_actor spawn_snapshotter(caf::actor_system& system, snapshotter_environment environment,
                                    cast_ptr others);

} // namespace busbar
