// sql/tree.hpp: a clause whose every part has a type: the one form that is printed and compiled.
//
// The core is small on purpose. BETWEEN, IS DISTINCT FROM, NOT IN, IS NOT NULL and their like are
// gone: check.cpp says them with what remains, and three-valued logic comes out the same.
#pragma once

#include "sql/types.hpp"
#include "sql/value.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace busbar::sql {

enum class comparison : std::uint8_t { equal, not_equal, less, less_equal, greater, greater_equal };

/// A literal with its type.
struct constant {
  type of = type::unknown;
  bool is_null = true;
  std::string text = {}; ///< What PostgreSQL would print; for strings and numerics also the value.
  value bits = {};       ///< Without `text`: use get().

  value get() const noexcept {
    auto out = bits;
    if (is_string(of) || of == type::numeric)
      out.text = text;
    return out;
  }
};

enum class operation : std::uint8_t {
  column,
  constant,
  convert,     ///< args[0] as another type.
  compare,     ///< args[0] against args[1].
  one_of,      ///< args[0] = ANY (set).
  like,        ///< args[0] LIKE args[1].
  conjunction, ///< AND of at least two.
  disjunction,
  negation,
  is_null,
  is_true,
  is_false,
  is_unknown,
};

/// Nodes are shared where a clause means one thing twice, as x does in x BETWEEN 1 AND 2. So the
/// tree is a graph without cycles, and written out it may be far larger than the clause was.
struct node {
  operation op = operation::constant;
  type result = type::boolean;
  std::vector<std::shared_ptr<const node>> args = {};

  bool mentions_column = false;         ///< Set by make().
  std::uint16_t column = 0;             ///< column
  std::string name = {};                ///< column
  constant literal = {};                ///< constant
  conversion how = conversion::relabel; ///< convert
  bool silent = false;                  ///< convert: only for us, PostgreSQL needs no cast
  comparison test = comparison::equal;  ///< compare
  kernel by = kernel::integer;          ///< compare, one_of
  std::vector<constant> set = {};       ///< one_of, may hold NULL
};
using node_ptr = std::shared_ptr<const node>;

node_ptr make(node n);
node_ptr make(operation op, std::vector<node_ptr> args);

/// NOT n; of NOT n, n. nullptr stays nullptr here and below: it stands for an error.
node_ptr negate(node_ptr n);

/// Joins with AND or OR and takes nested ones of the same kind apart.
node_ptr join(operation op, const std::vector<node_ptr>& parts);

/// What is below all conversions. A conversion of NULL is NULL, and of nothing else.
node_ptr without_conversion(node_ptr n);

} // namespace busbar::sql
