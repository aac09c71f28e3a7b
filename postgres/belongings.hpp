// postgres/belongings.hpp: what of PostgreSQL's is ours, and how it is given back when a Busbar is
// retired.
#pragma once

#include "postgres/connection.hpp"
#include "postgres/inspection.hpp"
#include "postgres/replication_stream.hpp"

#include <optional>
#include <string>
#include <vector>

namespace busbar::postgres {

struct belongings {
  std::optional<slot_inspection> slot;
  std::optional<publication_inspection> publication;
};

pg_result_of<belongings> find_belongings(connection& session, const stream_settings& stream,
                                         deadline until);

/// The statements that drop the slot, if it is this database's, then the publication, if our role
/// owns it. (The slot first: PostgreSQL cannot read a slot whose publication is gone.)
std::vector<std::string> removal(const belongings& ours, const stream_settings& stream);

/// Takes the leader's lock for this session, so that no Busbar leads while things are dropped.
/// False if somebody else holds it.
pg_result_of<bool> take_lead(connection& session, const stream_settings& stream, deadline until);
/// Ends the sessions that hold the lock or read the slot; they may come back.
pg_result_of<void> end_leader(connection& session, const stream_settings& stream, deadline until);

} // namespace busbar::postgres
