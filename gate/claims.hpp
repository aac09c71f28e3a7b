// gate/claims.hpp: what a verified token says of its bearer.
#pragma once

#include "base/result.hpp"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::gate {

using wall_time = std::chrono::system_clock::time_point;

/// What of a token's claims must hold besides its signature.
struct expectations {
  std::string issuer;                ///< Empty: whoever.
  std::string audience;              ///< Empty: whatever.
  std::chrono::seconds clock_skew{}; ///< By which the issuer's clock may differ.
};

/// Immutable; any thread.
class claims {
public:
  /// Reads a token's claims and checks exp (which must be there), nbf, iss and aud. Errors are for
  /// an operator's eyes.
  static result<claims> read(std::string_view json, const expectations& expected, wall_time now);

  /// When the token is no longer believed, the skew included.
  wall_time expiry() const noexcept { return expiry_; }

  /// The claim as a parameter of a clause: texts, whole numbers and booleans as they are written, a
  /// list of these as PostgreSQL writes an array. Nullopt if there is none such. `path` is a
  /// member's name, or names with dots between, from the outside in.
  std::optional<std::string> text(std::string_view path) const;
  /// The same, a list item by item.
  std::vector<std::string> items(std::string_view path) const;
  /// Any member, as JSON; null if there is none.
  const nlohmann::json* find(std::string_view path) const;

private:
  claims() = default;
  std::shared_ptr<const nlohmann::json> members_;
  wall_time expiry_{};
};

} // namespace busbar::gate
