// actors/continuity.hpp: whether a database's WAL goes on where our storage ended, or is another
// past. No I/O.
#pragma once

#include "base/lsn.hpp"
#include "postgres/replication_stream.hpp"
#include "storage/store.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace busbar {

/// How far we had come.
struct our_past {
  std::optional<storage::node_identity> identity; ///< None: storage is new.
  lsn durable{};                                  ///< All up to here is synced; 0 = nothing yet.
  lsn shown{};                  ///< The last commit that any reader may have been told of.
  std::uint64_t newest_xid = 0; ///< The highest transaction id known to have been used.
  bool has_shapes = false;
};

struct continuity {
  bool goes_on = false; ///< False: the log begins anew at the slot's position.
  std::string gap;      ///< Why shapes that there are must go; empty if there are none.
};

/// A database that was restored to an earlier state would give out the same positions and
/// transaction ids once more, for other changes; and it sends nothing below the position that it is
/// asked for. So it must have all that we have seen: its WAL must reach as far, and the id that the
/// leader has taken (postgres::leadership::term) must be new. What has grown past both unnoticed
/// cannot be told from the database that we knew.
continuity judge(const our_past& before, const postgres::leadership& now);

/// The 64-bit form of a streamed transaction's id, which is near to the leader's term.
std::uint64_t widen_xid(std::uint32_t xid, std::uint64_t term) noexcept;

} // namespace busbar
