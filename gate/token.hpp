// gate/token.hpp: the parts of a JSON Web Token (RFC 7519) in compact form, read strictly. Nothing
// in them is to be believed before a key has verified the signature (key.hpp).
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace busbar::gate {

/// What a key is good for. A key has one of these for all its life, and a token that names another
/// one is not verified with it: so a public key is never taken for a secret.
enum class algorithm : std::uint8_t { hs256, rs256, es256, eddsa };
std::string_view name_of(algorithm which) noexcept;
std::optional<algorithm> algorithm_named(std::string_view name) noexcept;

inline constexpr std::size_t token_bytes_max = 8'192;

/// Views point into the text it was parsed from.
struct token {
  algorithm with{};
  std::string key_id; ///< `kid`, or empty.
  std::string_view signed_part;
  std::string signature;
  std::string claims_json;
};

/// errc::invalid_argument with a reason for an operator's eyes: not for clients.
result<token> parse_token(std::string_view text);

/// Without padding, in the one form that is canonical; nullopt for anything else.
std::optional<std::string> decode_base64url(std::string_view text);

} // namespace busbar::gate
