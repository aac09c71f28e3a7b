// actors/slow_queries.hpp: queries that kept PostgreSQL busy for longer than its owner likes.
#pragma once

#include "monitoring/logging.hpp"
#include "monitoring/metrics.hpp"
#include "shapes/table.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace busbar {

/// Logs them and keeps the last ones for the status page. Any thread.
struct slow_queries {
  monitoring::metrics* metrics = nullptr;
  std::chrono::milliseconds limit{1'000}; ///< BUSBAR_SLOW_QUERY; 0 = none is slow.

  /// `condition` is SQL of ours, and may be empty.
  void note(const char* kind, const table_info& table, std::string_view condition,
            std::chrono::steady_clock::duration took, std::uint64_t rows,
            const monitoring::log_fields& about) const;
};

} // namespace busbar
