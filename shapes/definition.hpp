// shapes/definition.hpp: what a shape is: a table, its columns, the rows wanted.
#pragma once

#include "base/result.hpp"
#include "shapes/shape_request.hpp"
#include "shapes/table.hpp"
#include "sql/predicate.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace busbar {

/// A request that has been checked against the table it names. Immutable; any thread.
struct shape_definition {
  std::shared_ptr<const table_info> table;
  std::vector<std::uint16_t> selected; ///< Indices into table->columns, ascending.
  bool selects_all = false;            ///< The request left `columns` out.
  std::string where;                   ///< As the request gave it.
  std::vector<std::string> parameters;
  std::shared_ptr<const sql::predicate> filter; ///< Null = every row.
  bool replica_full = false;
  bool changes_only = false;

  /// Equal for requests that share one shape (spec shape-protocol 6).
  std::string identity() const;
};

/// Checks columns and clause (spec shape-protocol 5.2). Errors carry the request's field.
result<shape_definition> define_shape(const shape_request& request,
                                      std::shared_ptr<const table_info> table);

/// The table's columns as a clause may name them, in the table's order.
std::vector<sql::column> clause_columns(const table_info& table);

/// Of strings that come from no column.
sql::collation clause_collation(const table_info& table);

/// The columns that make up a row's key: the primary key in its order, else all (spec 11.2).
std::vector<std::uint16_t> key_columns(const table_info& table);

/// A handle that no other incarnation of any shape has or had, if `micros` (since 1970) rises with
/// every call for the same identity.
std::string make_handle(std::string_view identity, std::uint64_t micros);

} // namespace busbar
