// cluster/tls_identity.hpp: who may be a member: whoever has the cluster's secret.
//
// An Ed25519 key and one self-signed certificate are derived from the secret (HKDF-SHA256), so they
// are equal on every node without a file or an authority. Both sides of a TLS 1.3 connection must
// present exactly this certificate and prove that they have its key: a stranger fails in the
// handshake, before anything of ours is parsed.
#pragma once

#include "base/result.hpp"

#include <memory>
#include <string>
#include <string_view>

struct ssl_ctx_st;

namespace busbar::cluster {

/// Immutable; copies share; any thread.
class tls_identity {
public:
  static result<tls_identity> derive(std::string_view secret);

  ssl_ctx_st* context() const noexcept { return context_.get(); } ///< For both sides of a link.
  const std::string& certificate() const noexcept { return *certificate_; } ///< DER.

private:
  tls_identity(std::shared_ptr<ssl_ctx_st> context, std::shared_ptr<const std::string> certificate)
      : context_{std::move(context)}, certificate_{std::move(certificate)} {}

  std::shared_ptr<ssl_ctx_st> context_; // uses *certificate_
  std::shared_ptr<const std::string> certificate_;
};

} // namespace busbar::cluster
