// gate/key.hpp: one key that verifies tokens, and sets of them.
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gate/token.hpp"

namespace busbar::gate {

inline constexpr std::size_t secret_bytes_min = 32; ///< RFC 7518, 3.2
inline constexpr int rsa_bits_min = 2048;           ///< RFC 7518, 3.3

/// A public key, or a shared secret, of one algorithm. Immutable; any thread.
class key {
public:
  /// HS256.
  static result<key> of_secret(std::string secret, std::string id = {});
  /// The kind of the key decides the algorithm. Private keys, small ones and other kinds are
  /// refused.
  static result<std::vector<key>> of_pem(std::string_view pem);
  /// One member of a JWKS. `may_be_secret`: symmetric keys count; never if others can read it.
  static result<key> of_jwk(std::string_view json, bool may_be_secret);

  algorithm with() const noexcept;
  const std::string& id() const noexcept; ///< `kid`, or empty.
  /// The same for the same key, whatever it is called; says nothing of a secret.
  const std::string& fingerprint() const noexcept;
  bool verifies(const token& what) const;

private:
  struct body;
  explicit key(std::shared_ptr<const body> b) : body_{std::move(b)} {}
  static result<key> of_public(void* pkey, std::string id);
  std::shared_ptr<const body> body_;
};

/// Immutable; any thread.
struct key_set {
  std::vector<key> keys;

  /// The key that has signed it; null if none of them has. One whose id is another than the
  /// token's is not asked, nor is one of another algorithm.
  const key* verifier_of(const token& what) const;
  /// Whether some key might be meant by the token, whatever its signature.
  bool knows(const token& what) const;
  bool has(std::string_view fingerprint) const;
};

/// A bare secret, PEM with one or more public keys, or a JWKS in JSON, told apart by what it looks
/// like. In a JWKS keys of unknown kinds are left out, as RFC 7517 wants; none left is an error.
result<key_set> read_keys(std::string_view text, bool may_be_secret);

} // namespace busbar::gate
