#include "postgres/inspection.hpp"

#include "base/bytes.hpp"
#include "postgres/session.hpp"

#include <openssl/sha.h>

#include <array>
#include <charconv>
#include <random>

namespace busbar::postgres {

namespace {

using clock = std::chrono::steady_clock;
using std::chrono::duration_cast;
using std::chrono::milliseconds;

/// Every question is one transaction with this before it, so that it means the same in every
/// session, also behind a pooler.
constexpr std::string_view prelude =
    "SET LOCAL search_path = ''; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; ";

auto broken(pg_error why) {
  return tl::unexpected<pg_error>{std::move(why)};
}

template <class Number>
Number number(const rows& found, int row, int column, Number otherwise = 0) {
  const auto text = found.at(row, column).value_or(std::string_view{});
  auto value = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool is_true(const rows& found, int row, int column) {
  return found.at(row, column) == "t";
}

std::string setting(std::string_view name) {
  return "(SELECT setting FROM pg_catalog.pg_settings WHERE name = '" + std::string{name} + "')";
}

/// Tables are named with their schema, in the words of SQL.
std::string qualified(std::string_view relation) {
  return "pg_catalog.quote_ident((SELECT nspname FROM pg_catalog.pg_namespace WHERE oid = " +
         std::string{relation} + ".relnamespace)) || '.' || pg_catalog.quote_ident(" +
         std::string{relation} + ".relname)";
}

} // namespace

std::string server_question(int version) {
  const std::string idle_slots =
      version >= 180000 ? setting("idle_replication_slot_timeout") : "'0'";
  return std::string{prelude} +
         "SELECT pg_catalog.current_setting('server_version_num'),"
         " pg_catalog.current_setting('server_version'), pg_catalog.pg_is_in_recovery(),"
         " pg_catalog.current_setting('wal_level'), " +
         setting("max_replication_slots") +
         ", (SELECT count(*) FROM pg_catalog.pg_replication_slots), " + setting("max_wal_senders") +
         ", (SELECT count(*) FROM pg_catalog.pg_stat_replication), " +
         setting("wal_sender_timeout") + ", " + setting("max_slot_wal_keep_size") + ", " +
         idle_slots +
         ", (EXTRACT(epoch FROM pg_catalog.clock_timestamp()) * 1000)::pg_catalog.int8";
}

std::string role_question() {
  return std::string{prelude} +
         "SELECT current_user, pg_catalog.current_database(), r.rolsuper,"
         " r.rolsuper OR r.rolreplication OR EXISTS (SELECT FROM pg_catalog.pg_roles m"
         "   WHERE m.rolname = 'rds_replication' AND pg_catalog.pg_has_role(m.oid, 'MEMBER')),"
         " pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),"
         " EXISTS (SELECT FROM pg_catalog.pg_roles m WHERE m.rolname = 'rds_replication')"
         " FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
}

std::string slot_question(int version, std::string_view slot) {
  // 16 tells of one cause, 17 of all.
  const std::string invalidated = version >= 170000 ? "s.invalidation_reason"
                                  : version >= 160000
                                      ? "CASE WHEN s.conflicting THEN 'conflicting' END"
                                      : "NULL";
  return std::string{prelude} +
         "SELECT s.plugin, s.slot_type, s.database,"
         " s.database = pg_catalog.current_database(), s.temporary, s.active_pid, s.wal_status,"
         " s.safe_wal_size, pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery()"
         "   THEN pg_catalog.pg_last_wal_receive_lsn() ELSE pg_catalog.pg_current_wal_lsn() END,"
         "   s.restart_lsn), s.confirmed_flush_lsn, " +
         invalidated +
         ", pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery()"
         "   THEN pg_catalog.pg_last_wal_receive_lsn() ELSE pg_catalog.pg_current_wal_lsn() END,"
         "   s.confirmed_flush_lsn)"
         " FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = " +
         quote_literal(slot);
}

std::string publication_question(int version, std::string_view publication) {
  const std::string schemas =
      version >= 150000
          ? "(SELECT pg_catalog.string_agg(pg_catalog.quote_ident(n.nspname), ', ')"
            " FROM pg_catalog.pg_publication_namespace s JOIN pg_catalog.pg_namespace n"
            " ON n.oid = s.pnnspid WHERE s.pnpubid = p.oid)"
          : "NULL";
  const std::string without_generated = version >= 180000 ? "p.pubgencols <> 's'" : "false";
  return std::string{prelude} +
         "SELECT pg_catalog.pg_get_userbyid(p.pubowner),"
         " pg_catalog.pg_has_role(p.pubowner, 'USAGE'),"
         " p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate, p.pubviaroot,"
         " p.puballtables, " +
         without_generated + ", " + schemas +
         " FROM pg_catalog.pg_publication p WHERE p.pubname = " + quote_literal(publication);
}

std::string leaves_question(int version, std::string_view publication) {
  const bool has_lists = version >= 150000; // row filters, lists, schemas: new in 15
  const std::string partial = has_lists ? "r.prqual IS NOT NULL OR r.prattrs IS NOT NULL" : "false";
  const std::string of_schemas =
      has_lists ? " UNION SELECT c.oid, false FROM pg_catalog.pg_publication_namespace s"
                  " JOIN pub ON s.pnpubid = pub.oid JOIN pg_catalog.pg_class c"
                  " ON c.relnamespace = s.pnnspid AND c.relkind IN ('r', 'p')"
                  " AND c.relpersistence = 'p' AND NOT c.relispartition"
                : "";
  return std::string{prelude} +
         "WITH pub AS (SELECT oid FROM pg_catalog.pg_publication WHERE pubname = " +
         quote_literal(publication) + "), members AS (SELECT r.prrelid AS relid, " + partial +
         " AS partial FROM pg_catalog.pg_publication_rel r JOIN pub ON r.prpubid = pub.oid" +
         of_schemas + ") SELECT " + qualified("l") + ", " + qualified("c") +
         ", pg_catalog.pg_get_userbyid(l.relowner), l.relreplident,"
         " EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = l.oid AND i.indisprimary),"
         " pg_catalog.pg_has_role(l.relowner, 'USAGE')"
         "   AND pg_catalog.pg_has_role(c.relowner, 'USAGE'),"
         " pg_catalog.has_table_privilege(c.oid, 'SELECT')"
         "   AND pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE'),"
         " pg_catalog.row_security_active(c.oid), m.partial"
         " FROM members m JOIN pg_catalog.pg_class c ON c.oid = m.relid"
         " CROSS JOIN LATERAL (SELECT c.oid AS relid WHERE c.relkind <> 'p' UNION ALL"
         "   SELECT t.relid FROM pg_catalog.pg_partition_tree(c.oid) t"
         "   WHERE c.relkind = 'p' AND t.isleaf AND t.relid <> c.oid) leaf"
         " JOIN pg_catalog.pg_class l ON l.oid = leaf.relid"
         " ORDER BY 1, 2 LIMIT " +
         std::to_string(inspected_leaves_max);
}

pg_result_of<server_inspection> inspect_server(connection& session, deadline until) {
  const auto begun = clock::now();
  const auto ours = std::chrono::system_clock::now().time_since_epoch();
  auto found = session.command(server_question(session.server_version()), until);
  if (!found)
    return broken(std::move(found).error());
  server_inspection out;
  out.round_trip = duration_cast<milliseconds>(clock::now() - begun);
  out.version = number<int>(*found, 0, 0);
  out.version_text = found->text(0, 1);
  out.in_recovery = is_true(*found, 0, 2);
  out.wal_level = found->text(0, 3);
  out.slots_max = number<int>(*found, 0, 4);
  out.slots_used = number<int>(*found, 0, 5);
  out.senders_max = number<int>(*found, 0, 6);
  out.senders_used = number<int>(*found, 0, 7);
  out.sender_timeout_ms = number<std::int64_t>(*found, 0, 8);
  out.slot_wal_keep_mb = number<std::int64_t>(*found, 0, 9, -1);
  out.idle_slot_timeout = number<std::int64_t>(*found, 0, 10);
  // The server read its clock somewhere between our question and its answer.
  out.clock_ahead = milliseconds{number<std::int64_t>(*found, 0, 11)} -
                    duration_cast<milliseconds>(ours) - out.round_trip / 2;
  return out;
}

pg_result_of<role_inspection> inspect_role(connection& session, deadline until) {
  auto found = session.command(role_question(), until);
  if (!found)
    return broken(std::move(found).error());
  return role_inspection{.name = found->text(0, 0),
                         .database = found->text(0, 1),
                         .superuser = is_true(*found, 0, 2),
                         .replication = is_true(*found, 0, 3),
                         .creates_in_database = is_true(*found, 0, 4),
                         .has_managed_replication = is_true(*found, 0, 5)};
}

pg_result_of<std::optional<slot_inspection>> inspect_slot(connection& session,
                                                          std::string_view slot, deadline until) {
  auto found = session.command(slot_question(session.server_version(), slot), until);
  if (!found)
    return broken(std::move(found).error());
  if (found->count() == 0)
    return std::optional<slot_inspection>{};
  slot_inspection out;
  out.plugin = found->text(0, 0);
  out.type = found->text(0, 1);
  out.database = found->text(0, 2);
  out.is_here = is_true(*found, 0, 3);
  out.temporary = is_true(*found, 0, 4);
  if (found->at(0, 5))
    out.active_pid = number<int>(*found, 0, 5);
  out.wal_status = found->text(0, 6);
  if (found->at(0, 7))
    out.safe_wal_bytes = number<std::int64_t>(*found, 0, 7);
  out.retained_bytes = number<std::int64_t>(*found, 0, 8);
  out.confirmed = parse_lsn(found->text(0, 9));
  out.invalidated = found->text(0, 10);
  out.unconfirmed_bytes = std::max<std::int64_t>(0, number<std::int64_t>(*found, 0, 11));
  return std::optional{std::move(out)};
}

pg_result_of<std::optional<publication_inspection>>
inspect_publication(connection& session, std::string_view publication, deadline until) {
  auto found = session.command(publication_question(session.server_version(), publication), until);
  if (!found)
    return broken(std::move(found).error());
  if (found->count() == 0)
    return std::optional<publication_inspection>{};
  publication_inspection out;
  out.owner = found->text(0, 0);
  out.owned = is_true(*found, 0, 1);
  out.has_all_operations = is_true(*found, 0, 2);
  out.via_root = is_true(*found, 0, 3);
  out.all_tables = is_true(*found, 0, 4);
  out.without_generated = is_true(*found, 0, 5);
  out.schemas = found->text(0, 6);
  return std::optional{std::move(out)};
}

pg_result_of<std::vector<leaf_inspection>>
inspect_leaves(connection& session, std::string_view publication, deadline until) {
  auto found = session.command(leaves_question(session.server_version(), publication), until);
  if (!found)
    return broken(std::move(found).error());
  std::vector<leaf_inspection> out;
  out.reserve(static_cast<std::size_t>(found->count()));
  for (int row = 0; row < found->count(); ++row) {
    const auto identity = found->text(row, 3);
    out.push_back({.name = found->text(row, 0),
                   .root = found->text(row, 1),
                   .owner = found->text(row, 2),
                   .identity = identity.empty() ? 'd' : identity[0],
                   .has_key = is_true(*found, row, 4),
                   .owned = is_true(*found, row, 5),
                   .readable = is_true(*found, row, 6),
                   .row_security = is_true(*found, row, 7),
                   .partial = is_true(*found, row, 8)});
  }
  return out;
}

pg_result_of<system_inspection> inspect_system(connection& walsender, deadline until) {
  auto found = walsender.command("IDENTIFY_SYSTEM", until);
  if (!found)
    return broken(std::move(found).error());
  return system_inspection{.system_id = found->text(0, 0),
                           .timeline = number<std::uint32_t>(*found, 0, 1),
                           .database = found->text(0, 3)};
}

pg_result_of<bool> is_same_database(connection& direct, connection& pooled, deadline until) {
  // Two numbers, because a lock of one would be somebody's who counts from 1.
  std::random_device random;
  const auto part = [&] { return std::to_string(random() & 0x7fffffffu); };
  const auto first = part();
  const auto second = part();
  const auto key = first + ", " + second;
  auto taken = direct.command("SELECT pg_catalog.pg_advisory_lock(" + key + ")", until);
  if (!taken)
    return broken(std::move(taken).error());
  auto seen =
      pooled.command(std::string{prelude} +
                         "SELECT count(*) FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d"
                         " ON d.oid = l.database AND d.datname = pg_catalog.current_database()"
                         " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2"
                         " AND l.classid::text = '" +
                         first + "' AND l.objid::text = '" + second + "'",
                     until);
  auto given_back = direct.command("SELECT pg_catalog.pg_advisory_unlock(" + key + ")", until);
  if (!seen)
    return broken(std::move(seen).error());
  if (!given_back)
    return broken(std::move(given_back).error());
  return seen->at(0, 0) == "1";
}

std::int64_t leader_lock(std::string_view name) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(name.data()), name.size(), digest.data());
  return static_cast<std::int64_t>(read_be64(reinterpret_cast<const char*>(digest.data())));
}

} // namespace busbar::postgres
