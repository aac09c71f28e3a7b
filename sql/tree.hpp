// sql/tree.hpp: a clause whose every part has a type: the one form that is printed and compiled.
//
// The core is small on purpose. BETWEEN, IS DISTINCT FROM, NOT IN, IS NOT NULL, row comparisons and
// their like are gone: check.cpp says them with what remains, and three-valued logic comes out the
// same.
#pragma once

#include "sql/functions.hpp"
#include "sql/types.hpp"
#include "sql/value.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace busbar::sql {

/// A literal, as PostgreSQL would print it. Its type is its node's.
struct constant {
  bool is_null = true;
  std::string text = {};
};

enum class operation : std::uint8_t {
  column,
  constant,
  convert,     ///< args[0] as another type.
  compare,     ///< args[0] against args[1].
  one_of,      ///< args[0] = ANY (set).
  member,      ///< The args, all of them columns, IN (`from`). Below AND, OR and NOT only.
  quantified,  ///< args[0] `test` or `callee` ANY or ALL (args[1]).
  apply,       ///< `callee` of the args.
  concat,      ///< concat(args…), all of them strings.
  array,       ///< ARRAY[args…]; of arrays if the first one is.
  at,          ///< args[0] with subscripts, whose bounds are the other args.
  coalesce,    ///< The first of the args that is not NULL.
  extreme,     ///< GREATEST of the args, or LEAST, as `test` says.
  choice,      ///< CASE: condition, result, condition, result, …, ELSE.
  conjunction, ///< AND of at least two.
  disjunction,
  negation,
  is_null,
  is_true,
  is_false,
  is_unknown,
};

/// What a subscript has: its bounds are the next of the node's args.
struct subscript_parts {
  bool slice = false;
  bool has_lower = false;
  bool has_upper = false;

  friend bool operator==(const subscript_parts&, const subscript_parts&) = default;
};

struct node;
using node_ptr = std::shared_ptr<const node>;

/// SELECT columns FROM table WHERE condition. What it says is about its own table's rows alone,
/// with columns and enums of their own.
struct selection {
  std::string schema = {};
  std::string table = {};
  std::vector<node_ptr> columns = {};
  node_ptr where = nullptr; ///< nullptr: every row.
  std::vector<std::shared_ptr<const enum_type>> enums = {};
};

/// Nodes are shared where a clause means one thing twice, as x does in x BETWEEN 1 AND 2. So the
/// tree is a graph without cycles, and written out it may be far larger than the clause was.
struct node {
  operation op = operation::constant;
  type result = type::boolean;
  std::vector<std::shared_ptr<const node>> args = {};
  std::int32_t location = -1; ///< For complaints.

  bool mentions_column = false;          ///< Set by make().
  bool mentions_subquery = false;        ///< Set by make().
  std::optional<collation> strings = {}; ///< Of strings that come from a column.
  std::uint16_t column = 0;              ///< column
  std::string name = {};                 ///< column
  constant literal = {};                 ///< constant
  conversion how = conversion::relabel;  ///< convert
  std::int32_t modifier = -1;            ///< convert
  bool silent = false;                   ///< convert: only for us, PostgreSQL needs no cast
  comparison test = comparison::equal;   ///< compare, quantified, extreme
  kernel by = kernel::integer;           ///< compare, one_of, quantified, extreme
  bool all = false;                      ///< quantified
  const function* callee = nullptr;      ///< apply, quantified
  bool is_operator = false;              ///< apply
  case_rule cases = case_rule::unknown;  ///< apply
  std::vector<subscript_parts> at = {};  ///< at
  type element = type::unknown;          ///< one_of
  std::vector<constant> set = {};        ///< one_of: at least two, none of them NULL
  std::shared_ptr<const selection> from = nullptr; ///< member
  std::string nullable = {}; ///< member: a column of either side that may be NULL
};

node_ptr make(node n);
node_ptr make(operation op, std::vector<node_ptr> args);
node_ptr make_constant(type t, constant c);
node_ptr make_null(type t);
node_ptr make_truth(bool yes);

inline bool is_constant(const node_ptr& n) {
  return n->op == operation::constant;
}
inline bool is_null_constant(const node_ptr& n) {
  return is_constant(n) && n->literal.is_null;
}

/// What strings made of both have, or a comparison of both follows.
void merge_collations(std::optional<collation>& into, const std::optional<collation>& other);

/// The same node, or the same conversion of it.
bool is_same(const node_ptr& a, const node_ptr& b);

/// `x` = one of the constants of `set`, whose members other than args, set and result count. No
/// member is NULL.
node_ptr make_set(node_ptr x, node set);

/// What holds exactly if `test` does not, of values that are not NULL.
comparison opposite(comparison test);

/// NOT n, said without NOT where there is a word for it. nullptr stays nullptr here and below: it
/// stands for an error.
node_ptr negate(node_ptr n);

/// Joins with AND or OR, takes nested ones of the same kind apart and drops what decides nothing.
/// x = 1 OR x = 2 becomes a set.
node_ptr join(operation op, const std::vector<node_ptr>& parts);

/// What is below all conversions that keep NULL and nothing but NULL as NULL.
node_ptr without_conversion(node_ptr n);

} // namespace busbar::sql
