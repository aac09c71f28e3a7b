// actors/log_slices.hpp: which stretch of a shape's log a reader is given (spec
// shape-protocol 8.3).
#pragma once

#include "actors/reader.hpp"
#include "actors/shape_state.hpp"
#include "storage/store.hpp"

#include <optional>

namespace busbar {

/// Where a reader stands, and how it reads.
struct read_position {
  log_offset at; ///< X: it has everything up to here.
  bool now = false;
  bool live = false;
  bool sse = false;
};

/// The slice behind `position`, its entries still to be read; nullopt if it is not there (yet).
/// `last_seen` is G, read before `progress` was. Any thread.
result<std::optional<log_slice>> slice_at(const storage::store& store, const shape_ptr& shape,
                                          const read_position& position,
                                          const shape_progress& progress, std::uint64_t last_seen);

/// The slice without entries at `position`: the head of a stream.
log_slice empty_slice(const shape_state& shape, log_offset at);

} // namespace busbar
