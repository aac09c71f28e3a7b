// sql/subquery.hpp: clauses with IN (SELECT …): which tables they need, and how a row is judged
// when the subqueries' values are known (spec where-and-matching 4.1, 4.2 and 4.4).
//
//   inner_tables(where)  →  their columns, from the catalog  →  predicate::compile(…, inner)
//                        →  predicate::subqueries()
//
// A row satisfies the clause exactly if all positions of at least one disjunct hold.
#pragma once

#include "base/result.hpp"
#include "sql/atoms.hpp"
#include "sql/predicate.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::sql {

inline constexpr std::size_t disjuncts_max = 100;
inline constexpr std::size_t positions_max = 2000;
inline constexpr std::size_t subquery_depth_max = 8; ///< Of subqueries within each other.

struct table_name {
  std::string schema; ///< `public` where the clause names none.
  std::string name;

  friend bool operator==(const table_name&, const table_name&) = default;
};

/// False only of a clause without subqueries. Does not parse, so that most need not be parsed
/// twice.
bool may_have_subqueries(std::string_view where);

/// The tables that subqueries of the clause name, at any depth, each once, in the order in which
/// the clause names them first; empty if it has no subquery. Errors: those of predicate::compile()
/// that the text alone decides.
result<std::vector<table_name>> inner_tables(std::string_view where);

/// SELECT columns FROM table WHERE where. Distinct: a clause that says it twice has it once.
struct subquery {
  std::string schema;
  std::string table;
  std::vector<std::uint16_t> columns; ///< Indices into the inner table's, in the order written.
  /// How the text of each of `columns` becomes a key; its `column` is the index in the inner table.
  std::vector<key_form> keys;
  std::shared_ptr<const predicate> where; ///< nullptr: every row. It may have subqueries itself.
  std::string sql;       ///< The whole SELECT, as safe to send as predicate::to_sql().
  std::string canonical; ///< Equal for subqueries that differ only in spelling.
};

/// What one disjunct asks of a row: a part of the clause without subqueries, or a membership test.
///
/// IN (SELECT …) is true if no left column is NULL and the subquery has a row with the same keys;
/// rows of it with a NULL among the columns count for nothing. A negated one has only columns that
/// are NOT NULL on both sides, so there false is simply not true.
struct position {
  /// It holds if the test is FALSE, which is less than not being true; otherwise if it is TRUE.
  bool negated = false;
  std::shared_ptr<const predicate> leaf = nullptr; ///< nullptr: a membership test.
  std::uint16_t subquery = 0; ///< Membership: index into the plan's subqueries.
  /// Membership: the row's columns, in order. Their keys equal the subquery's if the values do.
  std::vector<key_form> left = {};
};

/// The clause in disjunctive normal form. What has no subquery in it stays together as one leaf,
/// however many parts it has. Equal for equal texts; clauses of one canonical form but another
/// order may number their positions differently.
struct subquery_plan {
  std::vector<subquery> subqueries;         ///< In the order in which the clause has them first.
  std::vector<position> positions;          ///< Numbered consecutively over the disjuncts.
  std::vector<std::uint16_t> disjunct_ends; ///< Behind the last position of each disjunct.
};

/// A name as to_sql() writes it.
std::string quoted_identifier(std::string_view name);

} // namespace busbar::sql
