// postgres/takeover.hpp: how a session becomes the leader's: lock, publication, slot, term (spec
// 1.5 to 1.7). Private to postgres/.
#pragma once

#include "postgres/replication_stream.hpp"

namespace busbar::postgres {

/// What one take-over found, and how often the server wants to hear of us.
struct taken_over {
  leadership leader;
  std::chrono::milliseconds feedback_period{};
};

/// All of replication_stream::open() but the connecting. Waits for the lock until `stop`.
pg_result_of<taken_over> take_over(connection& session, const stream_settings& settings,
                                   const std::atomic<bool>& stop);

/// Whether the slot can never be used again, or is gone, by the catalog's own word.
pg_result_of<bool> is_slot_lost(connection& session, const std::string& slot, deadline until);

/// Drops this database's slot of that name if it is there, so that the next take-over makes a new
/// one.
pg_result_of<void> drop_slot(connection& session, const std::string& slot, deadline until);

} // namespace busbar::postgres
