// shapes/definition.hpp: what a shape is: a table, its columns, the rows wanted.
#pragma once

#include "base/result.hpp"
#include "shapes/shape_request.hpp"
#include "shapes/table.hpp"
#include "sql/program_pool.hpp"
#include "sql/subquery.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace busbar {

/// Shapes whose ids leave the same remainder, divided by this, have the same materializer. ON DISK
/// in effect: a shape and the sets that it depends on are stored with such ids.
inline constexpr std::uint32_t shape_groups = 64;

/// A request that has been checked against the table it names. Immutable; any thread.
struct shape_definition {
  std::shared_ptr<const table_info> table;
  std::vector<std::uint16_t> selected; ///< Indices into table->columns, ascending.
  bool selects_all = false;            ///< The request left `columns` out.
  std::string where;                   ///< As the request gave it; of a set, its whole SELECT.
  std::vector<std::string> parameters;
  std::shared_ptr<const sql::predicate> filter; ///< Null = every row.
  bool replica_full = false;
  bool changes_only = false;
  /// What the clause's subqueries select, in the order of filter->subqueries(); each is a set.
  std::vector<std::shared_ptr<const shape_definition>> inner = {};
  /// Of a set: how the columns that it is asked for become values. Nobody reads a set but the
  /// shapes, and sets, that depend on it. Empty for shapes.
  std::vector<sql::key_form> values = {};
  bool without_null = false; ///< Of a set: somebody relies on its columns being NOT NULL.
  /// A shape and the sets that it depends on are kept by one materializer: their ids leave this
  /// remainder (shape_groups). Shapes without subqueries are not asked.
  std::uint32_t group = 0;

  bool is_set() const noexcept { return !values.empty(); }

  /// Equal for requests that share one shape (spec shape-protocol 6).
  std::string identity() const;
};

using table_list = std::vector<std::shared_ptr<const table_info>>;

/// Checks columns and clause (spec shape-protocol 5.2). Errors carry the request's field. `inner`
/// are the tables that the clause's subqueries name. Shapes that are kept share what their clauses
/// have in common through `clauses`.
result<shape_definition> define_shape(const shape_request& request,
                                      std::shared_ptr<const table_info> table,
                                      const table_list& inner = {},
                                      sql::program_pool* clauses = nullptr);

/// A set as it was stored.
struct set_words {
  std::vector<std::uint16_t> columns; ///< That it is asked for.
  std::string select;                 ///< Its `where`.
  std::uint32_t group = 0;
  bool without_null = false;
};
/// `inner` are its table and those of subqueries in it.
result<shape_definition> define_set(const set_words& words, const table_info& table,
                                    const table_list& inner);

/// The tables that the shape's clause names in subqueries, at any depth.
table_list tables_below(const shape_definition& shape);

/// All sets below a shape, those first that others depend on; each once.
std::vector<std::shared_ptr<const shape_definition>> sets_below(const shape_definition& shape);

/// The table's columns as a clause may name them, in the table's order.
std::vector<sql::column> clause_columns(const table_info& table);

/// Of strings that come from no column.
sql::collation clause_collation(const table_info& table);

/// The columns that make up a row's key: the primary key in its order, else all (spec 11.2).
std::vector<std::uint16_t> key_columns(const table_info& table);

/// A handle that no other incarnation of any shape has or had, if `micros` (since 1970) rises with
/// every call for the same identity.
std::string make_handle(std::string_view identity, std::uint64_t micros);
/// When the shape of this handle was made; 0 if it is no handle.
std::uint64_t made_at(std::string_view handle) noexcept;

} // namespace busbar
