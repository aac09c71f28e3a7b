// actors/joining.hpp: which shapes join the stream in another way than by a splice, and with whom.
#pragma once

#include "actors/shape_state.hpp"

#include <algorithm>

namespace busbar {

/// Sets, and shapes that ask them: their snapshot is the state right after one transaction.
inline bool joins(const shape_state& shape) {
  return shape.definition().is_set() || !shape.definition().inner.empty();
}

/// It asks a set that asks others. Such a set may not be at rest yet, and then the shape has to
/// wait for a later snapshot, which others should not.
inline bool joins_alone(const shape_state& shape) {
  const auto& sets = shape.definition().inner;
  return std::any_of(sets.begin(), sets.end(), [](const auto& set) { return !set->inner.empty(); });
}

} // namespace busbar
