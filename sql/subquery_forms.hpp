// sql/subquery_forms.hpp: what can be said of a clause's subqueries before any table is known.
// Private to sql/.
#pragma once

#include "base/result.hpp"
#include "sql/expression.hpp"

namespace busbar::sql {

/// Refuses subqueries that are no operands of AND, OR and NOT alone, left sides that are no
/// columns, and depth.
result<void> check_subquery_forms(const expression& clause);

} // namespace busbar::sql
