// gate/confine.hpp: from what a client asks for to what it gets, which is a request like any other:
// behind this nobody needs to know of tokens.
#pragma once

#include "shapes/shape_request.hpp"
#include "shapes/subset.hpp"
#include "sql/guard.hpp"

#include <optional>

#include "gate/claims.hpp"
#include "gate/grant.hpp"
#include "gate/policy.hpp"

namespace busbar::gate {

/// What is asked for; both parts are replaced by what may be had.
struct asked {
  shape_request shape;
  std::optional<subset_request> subset;
};

/// By the rule of the policy for the table, and those for the tables that subqueries name. A shape
/// with a flaw is the caller's to refuse.
sql::guard_result<void> confine(asked& what, const policy& rules, const claims& bearer);

/// By a grant: what the request says of the shape must be the same, and where it says nothing the
/// grant's words stand.
sql::guard_result<void> confine(asked& what, const grant& by);

} // namespace busbar::gate
