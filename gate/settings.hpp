// gate/settings.hpp: what an operator says of the gate.
#pragma once

#include <chrono>
#include <string>

#include "gate/claims.hpp"

namespace busbar::gate {

struct gate_settings {
  std::string key_file; ///< Keys of tokens, here or …
  std::string key_url;  ///< … there, as a JWKS.
  std::chrono::seconds key_period{300};
  std::string policy_file;
  std::string grant_key_file; ///< Keys of shape grants.
  expectations expected{.issuer = {}, .audience = {}, .clock_skew = std::chrono::seconds{30}};

  bool active() const noexcept {
    return !key_file.empty() || !key_url.empty() || !grant_key_file.empty();
  }
};

} // namespace busbar::gate
