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

pg_result_of<std::vector<full_table>> find_full_tables(connection& session, const belongings& ours,
                                                       const stream_settings& stream,
                                                       std::span<const std::uint32_t> by_us,
                                                       deadline until) {
  std::string oids;
  for (const auto oid : by_us)
    oids += (oids.empty() ? "" : ",") + std::to_string(oid);
  const auto publication = quote_literal(stream.publication());
  const bool goes = ours.publication && ours.publication->owned;
  auto found = session.command(
      "WITH ours AS MATERIALIZED (SELECT t.relid FROM pg_catalog.pg_publication_rel r"
      "   JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid AND p.pubname = " +
          publication +
          "   CROSS JOIN LATERAL (SELECT r.prrelid AS relid UNION"
          "     SELECT relid FROM pg_catalog.pg_partition_tree(r.prrelid)) t),"
          " kept AS MATERIALIZED (SELECT k.oid FROM pg_catalog.pg_publication_tables t"
          "   JOIN pg_catalog.pg_namespace s ON s.nspname = t.schemaname"
          "   JOIN pg_catalog.pg_class k ON k.relnamespace = s.oid AND k.relname = t.tablename"
          "   WHERE " +
          (goes ? "t.pubname <> " + publication : "true") +
          ")"
          " SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),"
          " c.oid = ANY ('{" +
          oids +
          "}'::oid[]), pg_catalog.pg_has_role(c.relowner, 'USAGE'),"
          " c.oid IN (SELECT oid FROM kept) OR EXISTS (SELECT"
          "   FROM pg_catalog.pg_partition_ancestors(c.oid) a WHERE a.relid IN (SELECT oid FROM "
          "kept))"
          " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
          " WHERE c.relkind = 'r' AND c.relreplident = 'f'"
          " AND (c.oid = ANY ('{" +
          oids + "}'::oid[]) OR c.oid IN (SELECT relid FROM ours)) ORDER BY 1",
      until);
  if (!found)
    return broken(std::move(found).error());
  std::vector<full_table> tables;
  for (int row = 0; row < found->count(); ++row)
    tables.push_back({.name = found->text(row, 0),
                      .by_us = found->at(row, 1) == "t",
                      .owned = found->at(row, 2) == "t",
                      .needed = found->at(row, 3) == "t"});
  return tables;
}

std::string identity_removal(const full_table& table) {
  return "ALTER TABLE ONLY " + table.name + " REPLICA IDENTITY DEFAULT;";
}

std::string reason_to_keep(const full_table& table) {
  if (table.needed)
    return "it is in a publication that stays";
  if (!table.by_us)
    return "it may have had that before Busbar came";
  return table.owned ? "" : "our role does not own it";
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
