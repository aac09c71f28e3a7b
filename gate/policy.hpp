// gate/policy.hpp: the policy: per table, for whom, which columns and which rows.
#pragma once

#include "base/result.hpp"
#include "sql/guard.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gate/claims.hpp"

namespace busbar::gate {

/// What one tenant may use up; 0 = no limit.
struct tenant_limits {
  std::uint64_t live = 0;                 ///< Live requests at once, SSE streams among them.
  std::uint64_t shapes = 0;               ///< Different shapes that were read lately.
  std::uint64_t snapshots_per_minute = 0; ///< New shapes and subsets: what costs PostgreSQL.
  std::uint64_t requests_per_second = 0;
  std::uint64_t bytes_per_second = 0;

  friend bool operator==(const tenant_limits&, const tenant_limits&) = default;
};

/// One way in which a table may be read.
struct rule {
  /// Each of these claims must be, or hold, one of its values.
  std::vector<std::pair<std::string, std::vector<std::string>>> when;
  std::optional<std::vector<std::string>> columns; ///< Sorted; nullopt: all.
  std::string written;                             ///< The clause as it stands in the file.
  sql::condition rows;                             ///< With $1, $2 … for the claims below.
  std::vector<std::string> claims;                 ///< What $1, $2 … stand for: paths of claims.
};

/// Immutable; any thread.
struct policy {
  std::string tenant; ///< The path of the claim that names the tenant; empty: there are none.
  tenant_limits limits;
  std::map<std::pair<std::string, std::string>, std::vector<rule>> tables; ///< By schema, name.

  /// The first rule whose conditions the claims meet; null if none.
  const rule* rule_for(const std::string& schema, const std::string& table,
                       const claims& bearer) const;
};

bool meets(const rule& what, const claims& bearer);

/// The rule with the bearer's claims put in; nullopt if a claim is missing or not fit to be a
/// parameter.
std::optional<sql::table_guard> bind(const rule& what, const claims& bearer);

/// `schema.table`, or a table of `public`: exactly as the catalog has it. Nothing is folded, so
/// that what is written is what is meant.
std::pair<std::string, std::string> table_named(const std::string& name);

inline constexpr std::size_t policy_bytes_max = 1u << 20;

/// From YAML. The error is one line that says what is wrong and where.
result<policy> parse_policy(std::string_view yaml);

} // namespace busbar::gate
