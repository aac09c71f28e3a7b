// postgres/snapshot_reader.hpp: reads the rows of a shape as of one MVCC snapshot.
#pragma once

#include "base/lsn.hpp"
#include "base/snapshot.hpp"
#include "postgres/connection.hpp"
#include "shapes/table.hpp"
#include "sql/predicate.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

namespace busbar::postgres {

struct snapshot_query {
  const table_info* table = nullptr;
  std::span<const std::uint16_t> columns; ///< Indices into table->columns, in the order wanted.
  std::string_view where;                 ///< predicate::to_sql(), or empty for every row.
  // Of a subset.
  std::string_view also = {};     ///< Another predicate::to_sql() that must hold as well; or empty.
  std::string_view order_by = {}; ///< sql::rewrite_order_by(), or empty.
  std::optional<std::uint64_t> limit = {};
  std::optional<std::uint64_t> offset = {};
  /// Becomes true when nobody wants the rows any more: copy() then ends, the session is closed.
  const std::atomic<bool>* stop = nullptr;
  // Of a shape with subqueries.
  std::span<const std::string> expressions = {}; ///< SQL, to be selected behind the columns.
};

inline constexpr std::string_view lost_rows = "40001"; ///< serialization_failure

/// A REPEATABLE READ READ ONLY transaction on `session` (spec 1.16). begin() fixes the snapshot, so
/// that its visibility can be told before the first row; then copy() once, or copy_one() for each
/// of several shapes of a table and check_rows() at the end. Blocking; the snapshot thread only.
/// Memory: one row at a time, whatever the size of the table.
class snapshot_reader {
public:
  /// `lock_wait_max`: so long copy() waits for a lock of the table, then it fails with SQLSTATE
  /// 55P03; 0 = until the first row is overdue. `asks_subqueries`: PostgreSQL gets enough memory to
  /// keep some millions of values that a subquery selects; without, it may select them anew for
  /// each row.
  static pg_result_of<snapshot_reader> begin(connection& session, deadline until,
                                             std::chrono::milliseconds lock_wait_max = {},
                                             bool asks_subqueries = false);

  const snapshot& visibility() const noexcept { return visibility_; }
  /// The commit of every transaction that the snapshot sees ends at or before this position. It is
  /// where the WAL ended in memory: a transaction that commits asynchronously can be seen before
  /// its commit is written.
  lsn wal_position() const noexcept { return wal_position_; }

  /// Streams the rows by COPY … TO STDOUT. Calls `on_row` with one cell for each wanted column and
  /// expression
  /// (text of the type's output function; borrowed until the call returns). If it returns false,
  /// the rest is cancelled and the session closed, which is no error. `first_row_until` bounds the
  /// wait for the first row only; after it, a stall of `stall_max` without any data fails. Errors
  /// keep their SQLSTATE (42P01, 42703: schema changed). With SQLSTATE lost_rows the rows were not
  /// those of the snapshot, because the table was rewritten since: take another one.
  pg_result_of<std::uint64_t> copy(const snapshot_query& query, deadline first_row_until,
                                   std::chrono::seconds stall_max,
                                   const std::function<bool(std::span<const sql::cell>)>& on_row);

  /// copy() without the check that finds lost_rows. As long as the session is usable(), its failure
  /// is no other shape's.
  pg_result_of<std::uint64_t>
  copy_one(const snapshot_query& query, deadline first_row_until, std::chrono::seconds stall_max,
           const std::function<bool(std::span<const sql::cell>)>& on_row);

  /// Whether what copy_one() has read of the table were the snapshot's rows: lost_rows if not.
  pg_result_of<void> check_rows(const table_info& table, deadline until);

  /// Ends the transaction; the session can be used again if it is still usable().
  pg_result_of<void> finish(deadline until);

private:
  snapshot_reader(connection& session, snapshot visibility, lsn position)
      : session_{&session}, visibility_{std::move(visibility)}, wal_position_{position} {}
  pg_result_of<std::uint64_t> stream(const std::string& statement, const snapshot_query& query,
                                     deadline first_row_until, std::chrono::seconds stall_max,
                                     const std::function<bool(std::span<const sql::cell>)>& on_row);
  connection* session_;
  snapshot visibility_;
  lsn wal_position_;
};

} // namespace busbar::postgres
