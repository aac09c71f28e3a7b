// gate/grant.hpp: a token that names one shape: its claim `shape` has `table` and may have `where`,
// `params` and `columns`. Whoever signs it has decided already.
#pragma once

#include "base/result.hpp"
#include "sql/guard.hpp"

#include <string>

#include "gate/claims.hpp"

namespace busbar::gate {

/// Immutable; any thread.
struct grant {
  std::string schema;
  std::string table;
  sql::table_guard guard;
};

/// Errors are for an operator's eyes.
result<grant> read_grant(const claims& bearer);

} // namespace busbar::gate
