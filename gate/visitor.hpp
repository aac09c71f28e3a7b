// gate/visitor.hpp: the bearer of a token that was found good.
#pragma once

#include "base/keyed_hash.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "gate/claims.hpp"
#include "gate/confine.hpp"
#include "gate/tenants.hpp"

namespace busbar::gate {

/// Of one porter, on its thread.
struct visitor {
  gate::claims claims;
  std::optional<gate::grant> grant; ///< Then the policy has no say.
  std::shared_ptr<const policy> rules;
  std::shared_ptr<gate::tenant> tenant; ///< Null if there are none, or the token names none.
  std::string key;                      ///< The fingerprint of the key that has signed the token.
  bool by_grant_key = false;
  // What it was found good by.
  std::uint64_t policy_version = 0;
  std::uint64_t keys_version = 0;
  /// What came of its requests, by a digest of these.
  std::unordered_map<digest, sql::guard_result<asked>, digest_hash> confined = {};

  tenant_limits limits() const { return rules ? rules->limits : tenant_limits{}; }
};
using visitor_ptr = std::shared_ptr<visitor>;

} // namespace busbar::gate
