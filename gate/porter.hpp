// gate/porter.hpp: the gate as one I/O thread meets it.
#pragma once

#include <tl/expected.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "gate/gatekeeper.hpp"
#include "gate/visitor.hpp"

namespace busbar::gate {

/// Why somebody does not come in. What exactly is wrong with a token is not for its bearer.
struct denial {
  outcome because = outcome::bad_token;
  std::string reason; ///< For an operator.
};

/// Of one thread. Remembers what it has verified, and what came of requests, so that most cost two
/// look-ups.
class porter {
public:
  explicit porter(gatekeeper& keeper);

  tl::expected<visitor_ptr, denial> admit(std::string_view token, wall_time now);
  /// Still: time goes by, keys and policies change.
  bool may_stay(const visitor& who, wall_time now);
  /// What the visitor gets instead of what it asks for. The reference holds until the next call.
  const sql::guard_result<asked>& confine(visitor& who, const asked& what);
  digest digest_of(const shape_request& shape) const { return hash_(shape.cache_key()); }

  gatekeeper& keeper() noexcept { return keeper_; }

private:
  tl::expected<visitor_ptr, denial> verify(std::string_view text, wall_time now);
  bool key_is_there(const visitor& who);

  gatekeeper& keeper_;
  std::unique_ptr<copy_of<key_set>> token_keys_;
  std::unique_ptr<copy_of<key_set>> grant_keys_;
  copy_of<policy> rules_;
  keyed_hash hash_; ///< With a key of its own: nobody can make two tokens look alike.
  std::unordered_map<digest, visitor_ptr, digest_hash> known_;
};

} // namespace busbar::gate
