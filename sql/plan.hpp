// sql/plan.hpp: from a checked tree with subqueries to its plan. Private to sql/.
#pragma once

#include "base/result.hpp"
#include "sql/subquery.hpp"
#include "sql/tree.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace busbar::sql {

/// Makes the predicate of a tree whose enums these are.
using predicate_maker = std::function<result<std::shared_ptr<const predicate>>(
    const node_ptr& tree, const std::vector<std::shared_ptr<const enum_type>>& enums)>;

/// `tree` mentions a subquery.
result<subquery_plan> plan_of(const node_ptr& tree,
                              const std::vector<std::shared_ptr<const enum_type>>& enums,
                              const predicate_maker& make_predicate);

} // namespace busbar::sql
