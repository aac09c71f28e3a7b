// postgres/belongings.hpp: what of PostgreSQL's is ours, and how it is given back when a Busbar is
// retired.
#pragma once

#include "postgres/connection.hpp"
#include "postgres/inspection.hpp"
#include "postgres/replication_stream.hpp"

#include <cstdint>
#include <optional>
#include <span>
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

/// A table whose rows are written, with REPLICA IDENTITY FULL.
struct full_table {
  std::string name;    ///< Qualified and quoted.
  bool by_us = false;  ///< It had the default before.
  bool owned = false;  ///< Our role may alter it.
  bool needed = false; ///< A publication that stays has it, and who reads that may need the FULL.
};
/// Of the tables in our publication and of those that we know to have given FULL (`by_us`, oids of
/// this database), all that have it.
pg_result_of<std::vector<full_table>> find_full_tables(connection& session, const belongings& ours,
                                                       const stream_settings& stream,
                                                       std::span<const std::uint32_t> by_us,
                                                       deadline until);
/// Gives a table the default again, as it had before us.
std::string identity_removal(const full_table& table);
/// Why that must not be done without asking; "" if it may.
std::string reason_to_keep(const full_table& table);

/// Takes the leader's lock for this session, so that no Busbar leads while things are dropped.
/// False if somebody else holds it.
pg_result_of<bool> take_lead(connection& session, const stream_settings& stream, deadline until);
/// Ends the sessions that hold the lock or read the slot; they may come back.
pg_result_of<void> end_leader(connection& session, const stream_settings& stream, deadline until);

} // namespace busbar::postgres
