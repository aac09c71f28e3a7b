// actors/publication_gate.hpp: between those who publish tables (SNAPSHOTTERs) and who takes unused
// ones out (table_tidier.hpp).
#pragma once

#include <cstdint>
#include <shared_mutex>

namespace busbar {

/// Who publishes a table for a shape, which is in the index by then, shares the mutex; who takes a
/// table out has it alone. So a new shape either keeps its table in, or finds it outside.
struct publication_gate {
  std::shared_mutex mutex;
  /// How many tables were taken out. What is known of barriers from before the last does not hold.
  /// Guarded by the mutex.
  std::uint64_t withdrawals = 0;
};

} // namespace busbar
