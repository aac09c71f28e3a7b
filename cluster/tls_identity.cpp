#include "cluster/tls_identity.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <utility>

namespace busbar::cluster {
namespace {

template <auto free>
struct freed {
  template <class Thing>
  void operator()(Thing* thing) const noexcept {
    free(thing);
  }
};
using kdf_pointer = std::unique_ptr<EVP_KDF, freed<EVP_KDF_free>>;
using kdf_run = std::unique_ptr<EVP_KDF_CTX, freed<EVP_KDF_CTX_free>>;
using key_pointer = std::unique_ptr<EVP_PKEY, freed<EVP_PKEY_free>>;
using certificate_pointer = std::unique_ptr<X509, freed<X509_free>>;

using seed = std::array<unsigned char, 32>;

bool derive_seed(std::string_view secret, seed& out) {
  // Part of what members must agree on: other words make another certificate.
  constexpr std::string_view salt = "busbar cluster";
  constexpr std::string_view info = "Ed25519 key of all members, 1";
  char digest[] = "SHA256";
  const auto octets = [](const char* name, std::string_view bytes) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<char*>(bytes.data()), bytes.size());
  };
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                               octets(OSSL_KDF_PARAM_KEY, secret),
                               octets(OSSL_KDF_PARAM_SALT, salt), octets(OSSL_KDF_PARAM_INFO, info),
                               OSSL_PARAM_construct_end()};
  const kdf_pointer kdf{EVP_KDF_fetch(nullptr, "HKDF", nullptr)};
  const kdf_run run{kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr};
  return run && EVP_KDF_derive(run.get(), out.data(), out.size(), params) == 1;
}

/// All in it is fixed, and Ed25519 signs without chance: equal keys make equal bytes.
certificate_pointer make_certificate(EVP_PKEY* key) {
  certificate_pointer out{X509_new()};
  if (!out || X509_set_version(out.get(), X509_VERSION_3) != 1 ||
      ASN1_INTEGER_set(X509_get_serialNumber(out.get()), 1) != 1 ||
      ASN1_TIME_set_string_X509(X509_getm_notBefore(out.get()), "20200101000000Z") != 1 ||
      ASN1_TIME_set_string_X509(X509_getm_notAfter(out.get()), "99991231235959Z") != 1 ||
      X509_set_pubkey(out.get(), key) != 1)
    return nullptr;
  X509_NAME* name = X509_get_subject_name(out.get());
  const auto* text = reinterpret_cast<const unsigned char*>("busbar cluster");
  if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0) != 1 ||
      X509_set_issuer_name(out.get(), name) != 1 || X509_sign(out.get(), key, nullptr) == 0)
    return nullptr;
  return out;
}

std::string to_der(const X509* certificate) {
  unsigned char* bytes = nullptr;
  const int length = i2d_X509(certificate, &bytes);
  if (length <= 0)
    return {};
  std::string out{reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length)};
  OPENSSL_free(bytes);
  return out;
}

/// Instead of OpenSSL's search for an authority. That the other side has the key, the handshake
/// proves by itself.
int is_ours(X509_STORE_CTX* context, void* certificate) {
  const auto& ours = *static_cast<const std::string*>(certificate);
  const X509* theirs = X509_STORE_CTX_get0_cert(context);
  const auto bytes = theirs != nullptr ? to_der(theirs) : std::string{};
  const bool same =
      bytes.size() == ours.size() && CRYPTO_memcmp(bytes.data(), ours.data(), ours.size()) == 0;
  X509_STORE_CTX_set_error(context, same ? X509_V_OK : X509_V_ERR_CERT_REJECTED);
  return same ? 1 : 0;
}

error trouble(const char* doing) {
  char text[256] = "no memory";
  if (const auto code = ERR_get_error(); code != 0)
    ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return {errc::misconfigured, std::string{"cluster TLS: "} + doing + ": " + text};
}

} // namespace

result<tls_identity> tls_identity::derive(std::string_view secret) {
  seed bytes{};
  if (!derive_seed(secret, bytes))
    return fail(trouble("derive a key from BUSBAR_CLUSTER_SECRET"));
  const key_pointer key{
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, bytes.data(), bytes.size())};
  OPENSSL_cleanse(bytes.data(), bytes.size());
  if (!key)
    return fail(trouble("make the key"));
  const auto certificate = make_certificate(key.get());
  if (!certificate)
    return fail(trouble("make the certificate"));
  auto der = std::make_shared<const std::string>(to_der(certificate.get()));

  std::shared_ptr<SSL_CTX> context{SSL_CTX_new(TLS_method()), freed<SSL_CTX_free>{}};
  if (!context || der->empty() ||
      SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1 ||
      SSL_CTX_use_certificate(context.get(), certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1)
    return fail(trouble("set up"));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(context.get(), is_ours, const_cast<std::string*>(der.get()));
  // A resumed session would not show a certificate.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
  // One record at a time, so that who receives gets his turn; and a record may be tried again from
  // another place in memory.
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  return tls_identity{std::move(context), std::move(der)};
}

} // namespace busbar::cluster
