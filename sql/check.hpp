// sql/check.hpp: resolves names, operators, literals and parameters as PostgreSQL would.
#pragma once

#include "sql/expression.hpp"
#include "sql/predicate.hpp"
#include "sql/tree.hpp"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace busbar::sql {

struct checked {
  node_ptr tree;                                       ///< Boolean.
  std::vector<std::shared_ptr<const enum_type>> enums; ///< Of the columns.
};

/// What `clause` means, or why PostgreSQL or we refuse it. `inner`: see predicate::compile().
result<checked> check(const expression& clause, std::span<const std::string> parameters,
                      std::span<const column> columns, const collation& database,
                      std::span<const inner_table> inner);

} // namespace busbar::sql
