// base/memory_budget.hpp: how the memory for what is under way is divided. What it does not hold is
// bounded elsewhere: RocksDB's caches and the shared bodies (BUSBAR_CACHE_BYTES), and what each
// shape and each client needs while nothing happens.
#pragma once

#include <algorithm>
#include <cstddef>

namespace busbar {

/// All in bytes. One thing is always let through, however large: a row can be larger than a part.
struct memory_budget {
  std::size_t total = 512u << 20; ///< BUSBAR_MEMORY_BUDGET

  /// Frames that have been read from PostgreSQL and not applied yet.
  std::size_t frames() const noexcept { return total / 8; }
  /// Log entries that are not written yet, of one of so many MATERIALIZERS. A row that a thousand
  /// shapes want is a thousand entries.
  std::size_t entries(std::size_t materializers) const noexcept {
    return std::min<std::size_t>(total / 8 / std::max<std::size_t>(materializers, 1), 32u << 20);
  }
  /// Frames that one of so many MATERIALIZERS keeps aside for shapes that will want them.
  std::size_t aside(std::size_t materializers) const noexcept {
    return total / 16 * 3 / std::max<std::size_t>(materializers, 1);
  }
  /// Of those frames, what concerns which shape that waits for rows of a move.
  std::size_t notes(std::size_t materializers) const noexcept {
    return total / 16 / std::max<std::size_t>(materializers, 1);
  }
  /// Rows of subsets that are being read and sent; one of the largest allowed must fit.
  std::size_t subsets() const noexcept { return std::max<std::size_t>(total / 8, 64u << 20); }
  /// Rows that one of so many MOVE READERS has read, until they are in the logs.
  std::size_t moves(std::size_t readers) const noexcept {
    return total / 8 / std::max<std::size_t>(readers, 1);
  }
  /// Bytes that clients have asked for and do not take.
  std::size_t unsent() const noexcept { return total / 4; }
};

} // namespace busbar
