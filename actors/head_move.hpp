// actors/head_move.hpp: the news that a shape's log has grown, with the new entries at hand.
#pragma once

#include "actors/move_body.hpp"
#include "shapes/offset.hpp"
#include "storage/keys.hpp"

#include <cstdint>
#include <memory>

namespace busbar {

struct head_move {
  storage::shape_id shape{};
  log_offset from;        ///< The head before.
  log_offset to;          ///< The head now.
  std::uint64_t seen = 0; ///< What clients may be promised at `to`.
  /// When the first of the transactions committed, in microseconds since 2000; 0 = not known.
  std::int64_t committed = 0;
  std::shared_ptr<const move_body> body; ///< Null if it is too large, or a chunk ends inside.
};

} // namespace busbar
