#include "postgres/publication.hpp"

#include "postgres/session.hpp"
#include "postgres/slot_sql.hpp"

#include <algorithm>
#include <cstdlib>
#include <thread>

namespace busbar::postgres {

namespace {

using clock = std::chrono::steady_clock;

constexpr auto first_retry = std::chrono::milliseconds{20};
constexpr auto longest_retry = std::chrono::milliseconds{250};

auto broken(pg_error why) {
  return tl::unexpected<pg_error>{std::move(why)};
}

std::string qualified(std::string_view schema, std::string_view name) {
  return quote_identifier(schema) + "." + quote_identifier(name);
}

std::uint32_t number(const std::string& text) {
  return static_cast<std::uint32_t>(std::strtoul(text.c_str(), nullptr, 10));
}

/// The relations whose rows are written: the table itself, or every leaf of a partitioned one.
std::string leaves_of(const table_info& table) {
  const auto oid = std::to_string(table.oid);
  if (!table.partitioned)
    return "(SELECT " + oid + "::oid AS relid)";
  return "(SELECT relid::oid FROM pg_catalog.pg_partition_tree(" + oid + "::oid) WHERE isleaf)";
}

struct state_of_table {
  bool member = false;
  struct leaf {
    std::string schema;
    std::string name;
    std::uint32_t oid = 0;
    bool has_default = false;
  };
  std::vector<leaf> without_identity; ///< In order, so that two instances cannot deadlock.
};

pg_result_of<state_of_table> look(connection& session, std::string_view publication,
                                  const table_info& table, deadline until) {
  const auto oid = std::to_string(table.oid) + "::oid";
  const bool has_lists =
      session.server_version() >= 150000; // row filters, lists, schemas: new in 15
  const std::string list_of_schemas =
      has_lists ? " OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s JOIN up ON"
                  "   s.pnnspid = up.relnamespace WHERE s.pnpubid = p.oid)"
                : "";
  const std::string partial = has_lists
                                  ? "EXISTS (SELECT FROM pg_catalog.pg_publication_rel r JOIN up ON"
                                    " r.prrelid = up.oid WHERE r.prpubid = p.oid"
                                    " AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL))"
                                  : "false";
  auto found = session.command(
      pinned(session.server_version()) +
          "SET LOCAL search_path = ''; "
          // A partition is published with any table above it.
          "WITH up AS (SELECT oid, relnamespace FROM pg_catalog.pg_class WHERE oid = " +
          oid + " OR oid IN (SELECT relid FROM pg_catalog.pg_partition_ancestors(" + oid +
          ")))"
          " SELECT n.nspname = " +
          quote_literal(table.schema) + " AND c.relname = " + quote_literal(table.name) +
          ", p.oid IS NOT NULL,"
          " p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AND NOT p.pubviaroot,"
          " p.puballtables OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel r JOIN up ON"
          "   r.prrelid = up.oid WHERE r.prpubid = p.oid)" +
          list_of_schemas + ", " + partial +
          ","
          " ln.nspname, l.relname, l.oid, l.relreplident = 'd'"
          " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
          " LEFT JOIN pg_catalog.pg_publication p ON p.pubname = " +
          quote_literal(publication) + " LEFT JOIN (pg_catalog.pg_class l JOIN " +
          leaves_of(table) +
          " leaf ON leaf.relid = l.oid"
          "   JOIN pg_catalog.pg_namespace ln ON ln.oid = l.relnamespace) ON l.relreplident <> 'f'"
          " WHERE c.oid = " +
          oid + " ORDER BY l.oid",
      until);
  if (!found)
    return broken(std::move(found).error());
  const auto is = [&](int column) { return found->at(0, column) == "t"; };
  const auto name = qualified(table.schema, table.name);
  if (found->count() == 0 || !is(0))
    return broken({trouble::transient, "42P01", "table " + name + " does not exist any more"});
  if (!is(1))
    return broken({trouble::transient, "42704",
                   "publication \"" + std::string{publication} + "\" does not exist"});
  if (!is(2))
    return broken({trouble::fatal, "55000",
                   "publication \"" + std::string{publication} +
                       "\" must publish insert, update, delete and truncate, and not via the "
                       "partition root"});
  if (is(4))
    return broken({trouble::fatal, "55000",
                   "table " + name + " is in publication \"" + std::string{publication} +
                       "\" with a row filter or a column list; add it without"});
  state_of_table state;
  state.member = is(3);
  for (int row = 0; row < found->count(); ++row)
    if (found->at(row, 6))
      state.without_identity.push_back({found->text(row, 5), found->text(row, 6),
                                        number(found->text(row, 7)), found->at(row, 8) == "t"});
  return state;
}

/// Runs DDL in a transaction of its own that never waits long for a lock: whoever comes after us
/// in a lock queue waits for us, too.
pg_result_of<void> run_alone(connection& session, const std::string& statements, deadline until) {
  auto done = session.command("BEGIN; SET LOCAL search_path = ''; SET LOCAL lock_timeout = '2s'; " +
                                  pinned(session.server_version()) + statements + "; COMMIT",
                              until);
  if (done)
    return {};
  auto why = std::move(done).error();
  if (session.usable())
    (void)session.command("ROLLBACK", until);
  return broken(std::move(why));
}

/// A lock that is taken, a deadlock, or somebody who is changing the same thing: look again.
bool is_passing(const pg_error& why) {
  return why.sqlstate == "55P03" || why.sqlstate == "40P01" || why.sqlstate == "42710" ||
         (why.sqlstate == "XX000" && why.message.find("concurrently") != std::string::npos);
}

std::string membership_of(std::string_view publication, const table_info& table) {
  return "ALTER PUBLICATION " + quote_identifier(publication) + " ADD TABLE ONLY " +
         qualified(table.schema, table.name);
}
std::string identity_of(const state_of_table::leaf& leaf) {
  return "ALTER TABLE ONLY " + qualified(leaf.schema, leaf.name) + " REPLICA IDENTITY FULL";
}

/// For those who publish by hand.
pg_error incomplete(std::string_view publication, const table_info& table,
                    const state_of_table& state) {
  std::string what = "table " + qualified(table.schema, table.name);
  std::string mend;
  if (!state.member) {
    what += " is not in publication \"" + std::string{publication} + "\"";
    mend = membership_of(publication, table);
  }
  if (!state.without_identity.empty()) {
    const auto& leaf = state.without_identity.front();
    what += state.member ? "" : " and";
    what += table.partitioned
                ? " has a partition, " + qualified(leaf.schema, leaf.name) + ", without"
                : " has no";
    what += " REPLICA IDENTITY FULL";
  }
  for (const auto& leaf : state.without_identity)
    mend += (mend.empty() ? "" : "; ") + identity_of(leaf);
  return {trouble::transient, "55000",
          what + ", and tables are published by hand here; the owner must run: " + mend};
}

pg_result_of<void> change(connection& session, std::string_view publication,
                          const table_info& table, const state_of_table& state, deadline until,
                          published_marks* marks) {
  const auto name = qualified(table.schema, table.name);
  const auto membership = membership_of(publication, table);
  const auto run = [&](const std::string& statements) -> pg_result_of<void> {
    auto done = run_alone(session, statements, until);
    if (!done && done.error().sqlstate == "42501")
      done.error().message += "; the role of the connection URL must own table " + name +
                              " and publication \"" + std::string{publication} +
                              "\", or their owner must run: " + statements;
    return done;
  };
  const auto mark = [&](const state_of_table::leaf& leaf) {
    if (marks && leaf.has_default)
      marks->full.push_back(leaf.oid);
  };
  if (!table.partitioned) {
    // Both at once: a published table without an identity would refuse the application's updates.
    std::string statements = state.member ? "" : membership;
    for (const auto& leaf : state.without_identity)
      statements += (statements.empty() ? "" : "; ") + identity_of(leaf);
    auto done = run(statements);
    if (done)
      for (const auto& leaf : state.without_identity)
        mark(leaf);
    return done;
  }
  // One transaction a partition, so that never more than one of them is locked; the root last.
  for (const auto& leaf : state.without_identity) {
    if (auto done = run(identity_of(leaf)); !done)
      return done;
    mark(leaf);
  }
  return state.member ? pg_result_of<void>{} : run(membership);
}

/// The virtual transactions that may have written to the table before it was published. VACUUM,
/// ANALYZE and CREATE INDEX (ShareUpdateExclusive, Share) write no rows and may take hours, so they
/// are not waited for. pg_locks also shows fast-path locks and those of prepared transactions.
pg_result_of<std::string> open_writers(connection& session, const table_info& table,
                                       deadline until) {
  auto found = session.command(
      pinned(session.server_version()) +
          "SET LOCAL search_path = ''; "
          "SELECT pg_catalog.array_agg(DISTINCT l.virtualtransaction) FROM pg_catalog.pg_locks l"
          " WHERE l.locktype = 'relation' AND l.granted"
          " AND l.database = (SELECT oid FROM pg_catalog.pg_database"
          "   WHERE datname = pg_catalog.current_database())"
          " AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock',"
          "   'AccessExclusiveLock')"
          " AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()"
          " AND l.relation IN (SELECT relid FROM " +
          leaves_of(table) + " leaves UNION SELECT " + std::to_string(table.oid) + "::oid)",
      until);
  if (!found)
    return broken(std::move(found).error());
  return found->text(0, 0);
}

/// Waits until each of `writers` (an array's text) has ended; new ones need not be waited for.
pg_result_of<void> wait_for_end(connection& session, std::string writers, deadline until) {
  for (auto pause = first_retry; !writers.empty(); pause = std::min(2 * pause, longest_retry)) {
    auto found =
        session.command(pinned(session.server_version()) +
                            "SET LOCAL search_path = ''; "
                            "SELECT pg_catalog.array_agg(DISTINCT virtualtransaction),"
                            " pg_catalog.string_agg(DISTINCT coalesce(pid::text, 'prepared'), ', ')"
                            " FROM pg_catalog.pg_locks WHERE virtualtransaction = ANY (" +
                            quote_literal(writers) + "::text[])",
                        until);
    if (!found)
      return broken(std::move(found).error());
    writers = found->text(0, 0);
    if (writers.empty())
      break;
    if (clock::now() + pause >= until)
      return broken({trouble::transient, "55P03",
                     "still waiting for transactions that were open when the table was published "
                     "(pid " +
                         found->text(0, 1) + ")"});
    std::this_thread::sleep_for(pause);
  }
  return {};
}

/// The row by which the table itself is in the publication; 0 if there is none.
std::uint32_t row_of(connection& session, std::string_view publication, const table_info& table,
                     deadline until) {
  auto found = session.command(
      pinned(session.server_version()) +
          "SET LOCAL search_path = ''; SELECT r.oid FROM pg_catalog.pg_publication_rel r"
          " JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid WHERE p.pubname = " +
          quote_literal(publication) + " AND r.prrelid = " + std::to_string(table.oid),
      until);
  if (!found || found->count() != 1)
    return 0;
  return number(found->text(0, 0));
}

} // namespace

pg_result_of<std::optional<membership>> find_membership(connection& session,
                                                        std::string_view publication,
                                                        std::uint32_t table, std::uint32_t row,
                                                        deadline until) {
  auto found = session.command(
      pinned(session.server_version()) +
          "SET LOCAL search_path = ''; SELECT n.nspname, c.relname, t.oid"
          " FROM pg_catalog.pg_publication_rel r"
          " JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid AND p.pubname = " +
          quote_literal(publication) +
          " JOIN pg_catalog.pg_class c ON c.oid = r.prrelid"
          " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
          " JOIN pg_catalog.pg_class t ON t.oid = c.oid OR t.oid IN"
          "   (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid))"
          " WHERE r.oid = " +
          std::to_string(row) + " AND r.prrelid = " + std::to_string(table),
      until);
  if (!found)
    return broken(std::move(found).error());
  if (found->count() == 0)
    return std::optional<membership>{};
  membership here{.name = qualified(found->text(0, 0), found->text(0, 1)), .tables = {}};
  for (int i = 0; i < found->count(); ++i)
    here.tables.push_back(number(found->text(i, 2)));
  return std::optional{std::move(here)};
}

pg_result_of<void> withdraw(connection& session, std::string_view publication,
                            const std::string& table, deadline until) {
  return run_alone(
      session, "ALTER PUBLICATION " + quote_identifier(publication) + " DROP TABLE ONLY " + table,
      until);
}

pg_result_of<bool> is_publication_whole(connection& session, std::string_view publication,
                                        deadline until) {
  auto found =
      session.command(pinned(session.server_version()) + publication_sql(publication), until);
  if (!found)
    return broken(std::move(found).error());
  return found->at(0, static_cast<int>(publication_field::is_whole)) == "t";
}

pg_result_of<publishing> ensure_published(connection& session, std::string_view publication,
                                          const table_info& table, bool force_barrier,
                                          deadline until, bool by_hand, published_marks* marks) {
  auto needed = publishing::was_complete;
  for (auto pause = first_retry;; pause = std::min(2 * pause, longest_retry)) {
    auto state = look(session, publication, table, until);
    if (!state)
      return broken(std::move(state).error());
    if (state->member && state->without_identity.empty())
      break;
    if (by_hand)
      return broken(incomplete(publication, table, *state));
    // Even if somebody else makes the change: their barrier is not ours.
    needed = std::max(needed, state->member ? publishing::set_identity : publishing::added_table);
    auto done = change(session, publication, table, *state, until, marks);
    if (!done && (!is_passing(done.error()) || clock::now() + pause >= until))
      return broken(std::move(done).error());
    if (!done)
      std::this_thread::sleep_for(pause);
    else if (marks && !state->member)
      if (const auto row = row_of(session, publication, table, until); row > 0)
        marks->membership = row;
  }
  if (needed == publishing::was_complete && !force_barrier)
    return needed;
  auto writers = open_writers(session, table, until);
  if (!writers)
    return broken(std::move(writers).error());
  if (auto ended = wait_for_end(session, *std::move(writers), until); !ended)
    return broken(std::move(ended).error());
  return needed;
}

pg_result_of<void> complete_identity(connection& session, std::string_view publication,
                                     const table_info& table, deadline until, bool by_hand,
                                     published_marks* marks) {
  for (auto pause = first_retry;; pause = std::min(2 * pause, longest_retry)) {
    auto state = look(session, publication, table, until);
    if (!state)
      return broken(std::move(state).error());
    if (!state->member || state->without_identity.empty())
      return {};
    if (by_hand)
      return broken(incomplete(publication, table, *state));
    auto done = change(session, publication, table, *state, until, marks);
    if (!done && (!is_passing(done.error()) || clock::now() + pause >= until))
      return done;
    if (!done)
      std::this_thread::sleep_for(pause);
  }
}

pg_result_of<void> emit_message(connection& session, std::string_view content, deadline until) {
  constexpr char digits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * content.size());
  for (const char c : content) {
    hex.push_back(digits[static_cast<unsigned char>(c) >> 4]);
    hex.push_back(digits[static_cast<unsigned char>(c) & 15]);
  }
  auto done = session.command(pinned(session.server_version()) +
                                  "SELECT pg_catalog.pg_logical_emit_message(true, 'busbar',"
                                  " pg_catalog.decode('" +
                                  hex + "', 'hex'))",
                              until);
  if (!done)
    return broken(std::move(done).error());
  return {};
}

} // namespace busbar::postgres
