#include "postgres/slot_sql.hpp"

#include "postgres/connection.hpp"

namespace busbar::postgres {

std::string create_slot_sql(int server_version, std::string_view name, slot_kind kind) {
  const auto begin = "CREATE_REPLICATION_SLOT " + quote_identifier(name) +
                     (kind.temporary ? " TEMPORARY" : "") + " LOGICAL pgoutput";
  // Options have a list of their own since 15; FAILOVER is known there from 17 on, and a temporary
  // slot cannot have it.
  if (server_version < 150000)
    return begin + " NOEXPORT_SNAPSHOT";
  const bool failover = kind.failover && !kind.temporary && server_version >= 170000;
  return begin + " (SNAPSHOT 'nothing'" + (failover ? ", FAILOVER true)" : ")");
}

std::string slot_sql(int server_version, std::string_view name) {
  std::string lost = "wal_status = 'lost'";
  std::string why = "NULL";
  if (server_version >= 170000) {
    lost += " OR invalidation_reason IS NOT NULL";
    why = "invalidation_reason";
  } else if (server_version >= 160000) {
    lost += " OR conflicting";
    why = "CASE WHEN conflicting THEN 'conflicting' END";
  }
  return "SELECT plugin = 'pgoutput' AND slot_type = 'logical', database = current_database(),"
         " database, coalesce(" +
         lost + ", false), " + why +
         ", confirmed_flush_lsn, active FROM pg_catalog.pg_replication_slots WHERE slot_name = " +
         quote_literal(name);
}

std::string standby_snapshot_sql(int server_version) {
  return server_version < 160000 ? "" : "SELECT pg_catalog.pg_log_standby_snapshot()";
}

std::string publication_sql(std::string_view name) {
  return "SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate AND NOT pubviaroot,"
         " pg_catalog.pg_has_role(pubowner, 'USAGE') FROM pg_catalog.pg_publication"
         " WHERE pubname = " +
         quote_literal(name);
}

std::string make_publication_sql(int server_version, std::string_view name, bool exists) {
  if (exists)
    return "ALTER PUBLICATION " + quote_identifier(name) +
           " SET (publish = 'insert, update, delete, truncate',"
           " publish_via_partition_root = false)";
  return "CREATE PUBLICATION " + quote_identifier(name) +
         (server_version >= 180000 ? " WITH (publish_generated_columns = stored)" : "");
}

} // namespace busbar::postgres
