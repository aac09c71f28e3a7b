// actors/materializer.hpp: starts a MATERIALIZER (protocol.hpp), the writer of shape logs.
//
// How a new shape's log meets its snapshot (the splice):
//   1. A snapshotter announces the shape, perhaps with others of its table (expect). Nothing is
//   kept
//      yet.
//   2. The shape's creation message comes by in the stream: from here on frames are kept aside.
//   3. The snapshotter, told so, opens its snapshot and says what it sees (splice). Transactions
//   that
//      committed before the message but are not in the snapshot would be lost; PostgreSQL can make
//      one visible a moment after it has streamed it, so the recent commits are remembered and, if
//      the snapshot lists one of them as running, another snapshot is asked for.
//   4. The frames kept aside are applied, then the stream goes on, all filtered by visibility,
//   until
//      a transaction past the snapshot's xmax comes by.
#pragma once

#include "actors/cast.hpp"
#include "actors/node_status.hpp"
#include "actors/protocol.hpp"
#include "cluster/control_message.hpp"
#include "monitoring/metrics.hpp"
#include "storage/store.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace busbar {

/// What a MATERIALIZER borrows; all of it outlives the actor system.
struct materializer_environment {
  std::uint32_t number = 0; ///< Its place among the materializers.
  storage::store* store = nullptr;
  node_status* status = nullptr;
  monitoring::metrics* metrics = nullptr;
  const cluster::control_codec* control = nullptr;
  std::uint64_t chunk_bytes_max = 0;
  std::size_t entry_bytes_max = 32u << 20; ///< Entries beyond this are written within a frame.
  std::size_t aside_bytes_max = 64u << 20; ///< Of frames kept for shapes that will want them.
  /// Of notes on which of their changes concern which parked shape, of all of these together; who
  /// has no more goes over all the frames.
  std::size_t notes_bytes_max = 16u << 20;
  /// Frames beyond that are kept on the disk, here, up to so many bytes.
  std::string spool_directory = {};
  std::size_t spool_bytes_max = 0;
  /// PostgreSQL keeps its WAL for a shape that is parked, so one that is for longer ends.
  std::chrono::milliseconds parked_max{300'000};
  std::string_view secret = {}; ///< For what clients are told of hidden values.
  bool has_followers = false;   ///< Other nodes show what storage has: tell them what is visible.
};

materializer_actor spawn_materializer(caf::actor_system& system,
                                      materializer_environment environment, cast_ptr others);

} // namespace busbar
