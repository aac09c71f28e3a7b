// sql/check.hpp: resolves names, operators, literals and parameters as PostgreSQL would.
#pragma once

#include "sql/expression.hpp"
#include "sql/predicate.hpp"
#include "sql/tree.hpp"

#include <span>
#include <string>

namespace busbar::sql {

/// The boolean tree of `clause`, or why PostgreSQL or we refuse it.
result<node_ptr> check(const expression& clause, std::span<const std::string> parameters,
                       std::span<const column> columns);

} // namespace busbar::sql
