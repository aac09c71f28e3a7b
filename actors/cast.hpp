// actors/cast.hpp: who plays which part in this process.
#pragma once

#include "actors/leader_line.hpp"
#include "actors/protocol.hpp"

#include <memory>
#include <vector>

namespace busbar {

/// The actors know each other through this. Filled by main() before the first message is sent, and
/// constant from then on until clear(), which ends the circle of references at shutdown.
struct cast {
  directory_actor directory;
  resolver_actor resolver;
  flusher_actor flusher;
  replicator_actor replicator;
  reconciler_actor reconciler;
  janitor_actor janitor;
  std::vector<materializer_actor> materializers;
  std::vector<snapshotter_actor> snapshotters;
  std::vector<subset_reader_actor> subset_readers;
  std::vector<move_reader_actor> move_readers;
  remote_desk_actor remote_desk;               ///< Null on a node without a cluster …
  std::shared_ptr<leader_line> line = nullptr; ///< … as is this.

  /// Ids that leave the same remainder have the same one (shapes/definition.hpp, shape_groups).
  std::size_t number_of(storage::shape_id shape) const {
    return storage::to_number(shape) % shape_groups % materializers.size();
  }
  const materializer_actor& materializer_of(storage::shape_id shape) const {
    return materializers[number_of(shape)];
  }
};

using cast_ptr = std::shared_ptr<cast>;

} // namespace busbar
