#include "postgres/snapshot_reader.hpp"

#include "postgres/copy_text.hpp"
#include "postgres/session.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>

namespace busbar::postgres {

namespace {

using clock = std::chrono::steady_clock;

/// Between two looks at snapshot_query::stop.
constexpr std::chrono::milliseconds stop_check_period{100};

auto broken(pg_error why) {
  return tl::unexpected<pg_error>{std::move(why)};
}

std::string copy_statement(const snapshot_query& query) {
  std::string sql = "COPY (SELECT ";
  for (std::size_t i = 0; i < query.columns.size(); ++i) {
    if (i != 0)
      sql += ", ";
    sql += quote_identifier(query.table->columns[query.columns[i]].name);
  }
  for (const auto& expression : query.expressions)
    sql.append(", ").append(expression);
  // Rows of inheritance children are not in the parent's stream; those of partitions are.
  sql += query.table->partitioned ? " FROM " : " FROM ONLY ";
  sql += quote_identifier(query.table->schema) + "." + quote_identifier(query.table->name);
  if (!query.where.empty())
    sql.append(" WHERE (").append(query.where).append(")");
  if (!query.also.empty())
    sql.append(query.where.empty() ? " WHERE (" : " AND (").append(query.also).append(")");
  if (!query.order_by.empty())
    sql.append(" ORDER BY ").append(query.order_by);
  if (query.limit)
    sql.append(" LIMIT ").append(std::to_string(*query.limit));
  if (query.offset)
    sql.append(" OFFSET ").append(std::to_string(*query.offset));
  return sql + ") TO STDOUT";
}

/// Whether the rows that were copied are not those of the snapshot. ALTER TABLE that rewrites rows,
/// and TRUNCATE, leave them to no snapshot from before; and the name could have become another
/// table's. What is selected is as of the snapshot, what functions tell as of now, and the lock of
/// COPY still holds.
std::string lost_rows_query(const table_info& table) {
  const auto oid = std::to_string(table.oid);
  const auto name = quote_identifier(table.schema) + "." + quote_identifier(table.name);
  return "SELECT pg_catalog.to_regclass(" + quote_literal(name) + ")::oid IS DISTINCT FROM " + oid +
         " OR EXISTS (WITH RECURSIVE down AS (SELECT k.oid, k.relkind, k.relfilenode"
         "   FROM pg_catalog.pg_class k WHERE k.oid = " +
         oid +
         "   UNION ALL SELECT y.* FROM down CROSS JOIN LATERAL ("
         "     SELECT k.oid, k.relkind, k.relfilenode FROM pg_catalog.pg_inherits i"
         "     JOIN pg_catalog.pg_class k ON k.oid = i.inhrelid WHERE i.inhparent = down.oid"
         "     OFFSET 0) y WHERE down.relkind = 'p')"
         " SELECT FROM down WHERE relkind = 'r'"
         " AND relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(oid))";
}

/// At least 256 MiB, which is what they may take, not what they do take.
constexpr const char* work_mem_for_subqueries =
    ", pg_catalog.set_config('work_mem', greatest(262144, pg_catalog.pg_size_bytes("
    "pg_catalog.current_setting('work_mem')) / 1024) || 'kB', true)";

struct copied_row {
  char* bytes = nullptr;
  explicit copied_row(char* taken) : bytes{taken} {}
  copied_row(const copied_row&) = delete;
  copied_row& operator=(const copied_row&) = delete;
  ~copied_row() { PQfreemem(bytes); }
};

} // namespace

pg_result_of<snapshot_reader> snapshot_reader::begin(connection& session, deadline until,
                                                     std::chrono::milliseconds lock_wait_max,
                                                     bool asks_subqueries) {
  // SET takes no snapshot; the SELECT does, and the transaction keeps it. The settings are those of
  // the replication session, so that a row has the same text there and here (spec 1.17).
  const auto lock_timeout =
      "SET LOCAL lock_timeout = " + std::to_string(lock_wait_max.count()) + "; ";
  auto begun = session.command("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
                               "SET LOCAL bytea_output = 'hex'; SET LOCAL DateStyle = 'ISO, DMY'; "
                               "SET LOCAL TimeZone = 'UTC'; SET LOCAL extra_float_digits = 1; "
                               "SET LOCAL IntervalStyle = 'iso_8601'; "
                               "SET LOCAL search_path = ''; "
                               "SET LOCAL standard_conforming_strings = on; "
                               // Rather no rows than those that a policy leaves over: the stream
                               // knows no policies.
                               "SET LOCAL row_security = off; " +
                                   pinned(session.server_version()) + lock_timeout +
                                   "SELECT pg_catalog.pg_current_snapshot(), "
                                   "pg_catalog.pg_current_wal_insert_lsn()" +
                                   (asks_subqueries ? work_mem_for_subqueries : ""),
                               until);
  if (!begun) {
    if (session.usable())
      (void)session.command("ROLLBACK", until);
    return broken(std::move(begun).error());
  }
  auto visibility = parse_snapshot(begun->text(0, 0));
  const auto position = parse_lsn(begun->text(0, 1));
  if (!visibility || !position)
    return broken({trouble::transient, {}, "PostgreSQL told no snapshot"});
  return snapshot_reader{session, *std::move(visibility), *position};
}

pg_result_of<std::uint64_t>
snapshot_reader::copy(const snapshot_query& query, deadline first_row_until,
                      std::chrono::seconds stall_max,
                      const std::function<bool(std::span<const sql::cell>)>& on_row) {
  auto count = stream(copy_statement(query), query, first_row_until, stall_max, on_row);
  if (count && session_->usable()) // else there was enough of them
    if (auto checked = check_rows(*query.table, clock::now() + stall_max); !checked)
      return broken(std::move(checked).error());
  return count;
}

pg_result_of<std::uint64_t>
snapshot_reader::copy_one(const snapshot_query& query, deadline first_row_until,
                          std::chrono::seconds stall_max,
                          const std::function<bool(std::span<const sql::cell>)>& on_row) {
  auto count = stream("SAVEPOINT shape; " + copy_statement(query), query, first_row_until,
                      stall_max, on_row);
  if (!count && session_->usable())
    if (auto undone = session_->command("ROLLBACK TO SAVEPOINT shape", clock::now() + stall_max);
        !undone)
      session_->close();
  return count;
}

pg_result_of<void> snapshot_reader::check_rows(const table_info& table, deadline until) {
  auto lost = session_->command(lost_rows_query(table), until);
  if (!lost)
    return broken(std::move(lost).error());
  if (lost->at(0, 0) != "f")
    return broken({trouble::transient, std::string{lost_rows},
                   "the table was rewritten before its rows could be read"});
  return {};
}

pg_result_of<std::uint64_t>
snapshot_reader::stream(const std::string& statement, const snapshot_query& query,
                        deadline first_row_until, std::chrono::seconds stall_max,
                        const std::function<bool(std::span<const sql::cell>)>& on_row) {
  if (!session_->usable())
    return broken({trouble::transient, {}, "the connection is closed"});
  PGconn* session = session_->raw();
  if (PQsendQuery(session, statement.c_str()) == 0)
    return broken(result_error(session, nullptr));
  // Cancels what still runs and closes the session, whose state is unknown to us then.
  const auto give_up = [&](pg_error why) {
    cancel(session);
    session_->close();
    return broken(std::move(why));
  };
  for (bool copies = false; !copies;) {
    auto started = next_result(session, first_row_until, query.stop);
    if (!started) {
      session_->close();
      return broken(std::move(started).error());
    }
    const rows taken{*started};
    const auto status = PQresultStatus(*started);
    copies = status == PGRES_COPY_OUT;
    if (!copies && status != PGRES_COMMAND_OK) { // what comes before COPY returns no rows
      auto why = result_error(session, *started);
      (void)all_results(session, first_row_until);
      return broken(std::move(why));
    }
  }
  std::uint64_t count = 0;
  std::vector<sql::cell> cells;
  const auto columns = query.columns.size() + query.expressions.size();
  cells.reserve(columns);
  for (;;) {
    char* bytes = nullptr;
    const int size = PQgetCopyData(session, &bytes, 1);
    const copied_row row{bytes};
    if (size > 0) {
      if (!split_copy_line(bytes, static_cast<std::size_t>(size), columns, cells))
        return give_up({trouble::transient, {}, "a row of COPY is malformed"});
      ++count;
      if (!on_row(cells)) {
        cancel(session);
        session_->close();
        return count;
      }
      continue;
    }
    if (size == -2)
      return give_up(result_error(session, nullptr));
    if (size == -1)
      break;
    const auto limit = count == 0 ? first_row_until : clock::now() + stall_max;
    for (;;) {
      if (query.stop && *query.stop)
        return give_up({trouble::transient, {}, "nobody waits for the rows any more"});
      const auto next_look = query.stop ? std::min(limit, clock::now() + stop_check_period) : limit;
      if (wait_for(session, POLLIN, {}, next_look) == waited::ready)
        break;
      if (clock::now() >= limit)
        return give_up(
            timed_out(count == 0 ? "first row of a snapshot" : "next row of a snapshot"));
    }
    if (PQconsumeInput(session) == 0)
      return give_up(result_error(session, nullptr));
  }
  auto ended = all_results(session, clock::now() + stall_max);
  if (!ended)
    return broken(std::move(ended).error());
  return count;
}

pg_result_of<void> snapshot_reader::finish(deadline until) {
  if (!session_->usable())
    return {}; // the transaction ended with the session
  // COMMIT of a transaction that has failed is a ROLLBACK, so one word serves both.
  auto ended = session_->command("COMMIT", until);
  if (!ended)
    return broken(std::move(ended).error());
  return {};
}

} // namespace busbar::postgres
