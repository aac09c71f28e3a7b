// base/snapshot.hpp: which transactions a PostgreSQL snapshot sees (pg_current_snapshot()).
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

namespace busbar {

/// The visibility triple. Values are full 64-bit transaction ids (epoch in the high half), while
/// the replication stream carries only the low 32 bits; sees() bridges the two (spec F03).
struct snapshot {
  std::uint64_t xmin = 0;              ///< Every xid below is finished.
  std::uint64_t xmax = 0;              ///< Every xid at or above had not started.
  std::vector<std::uint64_t> xip = {}; ///< In progress, ascending, all in [xmin, xmax).

  friend bool operator==(const snapshot&, const snapshot&) = default;

  /// The 64-bit id nearest to `xmax` whose low half is `xid`: ids in use at one time never span
  /// 2^31, because PostgreSQL refuses to go on long before.
  std::uint64_t widen(std::uint32_t xid) const noexcept {
    const auto distance = static_cast<std::int32_t>(xid - static_cast<std::uint32_t>(xmax));
    return xmax + static_cast<std::uint64_t>(static_cast<std::int64_t>(distance));
  }

  /// True if the effects of committed transaction `xid` are part of this snapshot.
  bool sees(std::uint32_t xid) const noexcept {
    const auto full = widen(xid);
    if (full < xmin)
      return true;
    if (full >= xmax)
      return false;
    return !std::binary_search(xip.begin(), xip.end(), full);
  }

  /// True if everything that `earlier` sees is part of this one, too: it was not taken before.
  bool covers(const snapshot& earlier) const noexcept {
    return xmax >= earlier.xmax && std::all_of(xip.begin(), xip.end(), [&](std::uint64_t xid) {
             return xid >= earlier.xmax ||
                    std::binary_search(earlier.xip.begin(), earlier.xip.end(), xid);
           });
  }

  /// True once a transaction at or past xmax has committed: later commits are never visible.
  bool is_past(std::uint32_t xid) const noexcept { return widen(xid) >= xmax; }
};

/// Shapes that were made together have the same one.
using snapshot_ptr = std::shared_ptr<const snapshot>;

} // namespace busbar
