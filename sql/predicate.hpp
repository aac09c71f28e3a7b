// sql/predicate.hpp: a where clause, checked and compiled; its verdict on a row is PostgreSQL's
// own. Language: spec where-and-matching 1. Whatever cannot be evaluated exactly is refused.
#pragma once

#include "base/result.hpp"
#include "sql/collation.hpp"
#include "sql/enum_type.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::sql {

struct node;          // tree.hpp
struct conjunction;   // atoms.hpp
struct subquery_plan; // subquery.hpp
class program_pool;   // program_pool.hpp

/// A column that a clause may name. Of a domain, all but the name is said of its base type.
struct column {
  std::string name;
  std::string type_name; ///< pg_type.typname, of the element type for an array: "int4", "text" …
  std::string type_class = "b"; ///< pg_type.typtype: b base, e enum …
  std::int32_t dimensions = 0;  ///< > 0 for arrays.
  std::int32_t type_modifier = -1;
  bool ordered_bytewise = true; ///< Text order follows the C collation.
  bool deterministic = true;
  bool generated = false; ///< Never in the stream: a clause that uses it is refused.
  case_rule cases = case_rule::unknown;
  std::shared_ptr<const enum_type> labels = nullptr; ///< Of an enum, or of an array of them.
  bool not_null = false;
};

/// A table that the subqueries of a clause may name.
struct inner_table {
  std::string schema;
  std::string name;
  std::vector<column> columns;
  collation database = {}; ///< Of strings that come from no column.
};

/// SQL's three values, and `failed` for a row on which evaluation errs (overflow, invalid text):
/// PostgreSQL would have failed the query.
enum class truth : std::uint8_t { no, yes, unknown, failed };

/// One value as PostgreSQL's output function prints it (spec 1.4); nullopt = NULL. Borrowed.
using cell = std::optional<std::string_view>;

/// An immutable compiled clause. Any thread may evaluate it at any time.
class predicate {
public:
  /// Parses `where` (libpg_query), resolves types against `columns`, binds `$n` to
  /// `parameters[n-1]` and compiles. `database` is the collation of strings that come from no
  /// column. `inner` are the tables that subqueries may name, at any depth: see inner_tables(). The
  /// caller limits the parameters' bytes. Errors: errc::invalid_argument with field "where" or
  /// "params"; a syntax error reads `At location <n>: <parser message>`, n counted as spec
  /// shape-protocol 17.3 says. With a `pool`, clauses that differ in their constants only share the
  /// rest.
  static result<std::shared_ptr<const predicate>>
  compile(std::string_view where, std::span<const std::string> parameters,
          std::span<const column> columns, const collation& database = {},
          std::span<const inner_table> inner = {}, program_pool* pool = nullptr);
  predicate(const predicate&) = delete;
  predicate& operator=(const predicate&) = delete;

  /// `row` has one cell for each of the `columns` given to compile(), in that order. Not for a
  /// clause with subqueries, which a row alone cannot answer: then it is `failed` whatever the row.
  truth evaluate(std::span<const cell> row) const;

  /// The clause re-emitted from the checked tree, fully parenthesised, constants typed, functions
  /// and operators qualified: the only text of it that may reach PostgreSQL.
  std::string_view to_sql() const noexcept;

  /// Equal for clauses that differ only in spelling; part of a shape's identity.
  std::string_view canonical() const noexcept;

  /// Indices of the columns whose values the clause needs, ascending. Those that only a subquery's
  /// own condition needs are columns of another table, and not among them.
  std::span<const std::uint16_t> columns_used() const noexcept;

  /// A row that satisfies the clause satisfies the atoms of at least one of these: see atoms.hpp.
  /// None at all: no row ever does. Of IN (SELECT …) they say nothing, so with subqueries none is
  /// complete. Made anew by each call, for they are wanted once and would take much memory.
  std::vector<conjunction> conjunctions() const;

  /// How to answer a clause with subqueries; nullptr if it has none (left).
  const subquery_plan* subqueries() const noexcept;

private:
  struct body;
  using enum_list = std::vector<std::shared_ptr<const enum_type>>;
  static result<std::shared_ptr<const predicate>> of(const std::shared_ptr<const node>& tree,
                                                     const enum_list& enums, std::size_t bytes_max,
                                                     program_pool* pool);
  explicit predicate(const body& b) noexcept : body_{&b} {}
  const body* body_; ///< That this is a part of: one piece of memory has both.
};

} // namespace busbar::sql
