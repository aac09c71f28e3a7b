#include "postgres/belongings.hpp"

namespace busbar::postgres {

namespace {

auto broken(pg_error why) {
  return tl::unexpected<pg_error>{std::move(why)};
}

} // namespace

pg_result_of<belongings> find_belongings(connection& session, const stream_settings& stream,
                                         deadline until) {
  auto slot = inspect_slot(session, stream.slot(), until);
  if (!slot)
    return broken(std::move(slot).error());
  auto publication = inspect_publication(session, stream.publication(), until);
  if (!publication)
    return broken(std::move(publication).error());
  return belongings{.slot = *std::move(slot), .publication = *std::move(publication)};
}

std::vector<std::string> removal(const belongings& ours, const stream_settings& stream) {
  std::vector<std::string> out;
  if (ours.slot && ours.slot->type == "logical" && ours.slot->is_here)
    out.push_back("SELECT pg_catalog.pg_drop_replication_slot(" + quote_literal(stream.slot()) +
                  ");");
  if (ours.publication && ours.publication->owned)
    out.push_back("DROP PUBLICATION " + quote_identifier(stream.publication()) + ";");
  return out;
}

pg_result_of<bool> take_lead(connection& session, const stream_settings& stream, deadline until) {
  auto tried = session.command("SELECT pg_catalog.pg_try_advisory_lock(" +
                                   std::to_string(leader_lock(stream.lock_name())) + ")",
                               until);
  if (!tried)
    return broken(std::move(tried).error());
  return tried->at(0, 0) == "t";
}

pg_result_of<void> end_leader(connection& session, const stream_settings& stream, deadline until) {
  const auto bits = static_cast<std::uint64_t>(leader_lock(stream.lock_name()));
  auto ended = session.command(
      "SELECT pg_catalog.pg_terminate_backend(pid) FROM ("
      "SELECT l.pid FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d"
      " ON d.oid = l.database AND d.datname = pg_catalog.current_database()"
      " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.classid::text = '" +
          std::to_string(bits >> 32) + "' AND l.objid::text = '" +
          std::to_string(bits & 0xffffffffu) +
          "' UNION SELECT active_pid FROM pg_catalog.pg_replication_slots WHERE slot_name = " +
          quote_literal(stream.slot()) +
          " AND active_pid IS NOT NULL) leader WHERE pid <> pg_catalog.pg_backend_pid()",
      until);
  if (!ended)
    return broken(std::move(ended).error());
  return {};
}

} // namespace busbar::postgres
