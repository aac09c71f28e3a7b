// app/leading.hpp: what a node of a cluster does when it gets the stream's lock.
#pragma once

#include "actors/cast.hpp"
#include "actors/cluster_node.hpp"
#include "actors/shape_index.hpp"
#include "actors/stored_shapes.hpp"
#include "storage/store.hpp"

#include <string>
#include <utility>

namespace busbar::app {

/// Borrows all; by the feed thread.
class leading {
public:
  leading(caf::actor_system& system, cluster_node& node, storage::store& store,
          const shape_index& index, stored_shapes& shapes, cast_ptr others, std::string key)
      : system_{system}, node_{node}, store_{store}, index_{index}, shapes_{shapes},
        others_{std::move(others)}, control_key_{std::move(key)} {}

  /// A term begins. The first time, what this node has followed becomes its own: storage is
  /// recovered as after a crash, and the actors that write take the shapes over, with the readers
  /// who wait for them. Blocks.
  result<void> begin(std::uint64_t term);

private:
  result<void> take_shapes();

  caf::actor_system& system_;
  cluster_node& node_;
  storage::store& store_;
  const shape_index& index_;
  stored_shapes& shapes_;
  cast_ptr others_;
  const std::string control_key_; ///< That this process signs with.
  bool has_led_ = false;
};

} // namespace busbar::app
