#include "gate/key.hpp"

#include "base/result.hpp"

#include <nlohmann/json.hpp>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace busbar::gate {

namespace {

using nlohmann::json;

template <auto Free>
struct freed {
  void operator()(auto* what) const noexcept { Free(what); }
};
using pkey_ptr = std::unique_ptr<EVP_PKEY, freed<EVP_PKEY_free>>;
using pkey_context_ptr = std::unique_ptr<EVP_PKEY_CTX, freed<EVP_PKEY_CTX_free>>;
using digest_context_ptr = std::unique_ptr<EVP_MD_CTX, freed<EVP_MD_CTX_free>>;
using bio_ptr = std::unique_ptr<BIO, freed<BIO_free_all>>;
using number_ptr = std::unique_ptr<BIGNUM, freed<BN_free>>;
using builder_ptr = std::unique_ptr<OSSL_PARAM_BLD, freed<OSSL_PARAM_BLD_free>>;
using params_ptr = std::unique_ptr<OSSL_PARAM, freed<OSSL_PARAM_free>>;
using signature_ptr = std::unique_ptr<ECDSA_SIG, freed<ECDSA_SIG_free>>;
using certificate_ptr = std::unique_ptr<X509, freed<X509_free>>;

const unsigned char* bytes(std::string_view text) noexcept {
  return reinterpret_cast<const unsigned char*>(text.data());
}

tl::unexpected<error> unusable(std::string why) {
  ERR_clear_error();
  return fail(errc::misconfigured, std::move(why));
}

std::string sha256(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), out.data(), &size, EVP_sha256(), nullptr);
  return {reinterpret_cast<const char*>(out.data()), size};
}

/// JWS writes two numbers of 32 bytes where OpenSSL expects DER.
std::string der_of(std::string_view raw) {
  if (raw.size() != 64)
    return {};
  signature_ptr signature{ECDSA_SIG_new()};
  number_ptr r{BN_bin2bn(bytes(raw), 32, nullptr)};
  number_ptr s{BN_bin2bn(bytes(raw) + 32, 32, nullptr)};
  if (!signature || !r || !s || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1)
    return {};
  static_cast<void>(r.release()); // they belong to the signature now
  static_cast<void>(s.release());
  unsigned char* out = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &out);
  std::string der;
  if (size > 0)
    der.assign(reinterpret_cast<const char*>(out), static_cast<std::size_t>(size));
  OPENSSL_free(out);
  return der;
}

pkey_ptr from_params(const char* kind, OSSL_PARAM_BLD* builder) {
  const params_ptr params{OSSL_PARAM_BLD_to_param(builder)};
  const pkey_context_ptr context{EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr)};
  EVP_PKEY* made = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return nullptr;
  return pkey_ptr{made};
}

std::optional<std::string> binary_member(const json& jwk, const char* name) {
  const auto found = jwk.find(name);
  if (found == jwk.end() || !found->is_string())
    return std::nullopt;
  return decode_base64url(found->get_ref<const std::string&>());
}

std::string text_member(const json& jwk, const char* name) {
  const auto found = jwk.find(name);
  return found != jwk.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

pkey_ptr rsa_of(const json& jwk) {
  const auto n = binary_member(jwk, "n");
  const auto e = binary_member(jwk, "e");
  if (!n || !e || n->size() > 2048 || e->size() > 8)
    return nullptr;
  const number_ptr modulus{BN_bin2bn(bytes(*n), static_cast<int>(n->size()), nullptr)};
  const number_ptr exponent{BN_bin2bn(bytes(*e), static_cast<int>(e->size()), nullptr)};
  const builder_ptr builder{OSSL_PARAM_BLD_new()};
  if (!modulus || !exponent || !builder ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1)
    return nullptr;
  return from_params("RSA", builder.get());
}

pkey_ptr p256_of(const json& jwk) {
  const auto x = binary_member(jwk, "x");
  const auto y = binary_member(jwk, "y");
  if (text_member(jwk, "crv") != "P-256" || !x || !y || x->size() != 32 || y->size() != 32)
    return nullptr;
  const auto point = '\x04' + *x + *y;
  const builder_ptr builder{OSSL_PARAM_BLD_new()};
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) !=
          1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1)
    return nullptr;
  return from_params("EC", builder.get());
}

pkey_ptr ed25519_of(const json& jwk) {
  const auto x = binary_member(jwk, "x");
  if (text_member(jwk, "crv") != "Ed25519" || !x || x->size() != 32)
    return nullptr;
  return pkey_ptr{EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes(*x), x->size())};
}

bool is_p256(EVP_PKEY* pkey) {
  std::array<char, 64> group{};
  std::size_t size = 0;
  return EVP_PKEY_get_group_name(pkey, group.data(), group.size(), &size) == 1 &&
         std::strcmp(group.data(), "prime256v1") == 0;
}

bool is_object_with_keys(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

} // namespace

struct key::body {
  algorithm with{};
  std::string id;
  std::string fingerprint;
  std::string secret; ///< Of HS256; else `pkey`.
  pkey_ptr pkey;
};

algorithm key::with() const noexcept {
  return body_->with;
}
const std::string& key::id() const noexcept {
  return body_->id;
}
const std::string& key::fingerprint() const noexcept {
  return body_->fingerprint;
}

result<key> key::of_secret(std::string secret, std::string id) {
  if (secret.size() < secret_bytes_min)
    return unusable("a secret that signs tokens must have at least " +
                    std::to_string(secret_bytes_min) + " bytes");
  auto made = std::make_shared<body>();
  made->with = algorithm::hs256;
  made->id = std::move(id);
  made->fingerprint = sha256("HS256:" + secret);
  made->secret = std::move(secret);
  return key{made};
}

result<key> key::of_public(void* raw, std::string id) {
  pkey_ptr pkey{static_cast<EVP_PKEY*>(raw)};
  auto made = std::make_shared<body>();
  switch (EVP_PKEY_get_base_id(pkey.get())) {
  case EVP_PKEY_RSA:
    made->with = algorithm::rs256;
    if (EVP_PKEY_get_bits(pkey.get()) < rsa_bits_min)
      return unusable("an RSA key must have at least " + std::to_string(rsa_bits_min) + " bits");
    break;
  case EVP_PKEY_EC:
    made->with = algorithm::es256;
    if (!is_p256(pkey.get()))
      return unusable("of elliptic curves only P-256 (ES256) is supported");
    break;
  case EVP_PKEY_ED25519:
    made->with = algorithm::eddsa;
    break;
  default:
    return unusable("keys of this kind are not supported: RSA, P-256 and Ed25519 are");
  }
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(pkey.get(), &der);
  if (size <= 0)
    return unusable("the key is damaged");
  made->fingerprint = sha256({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  made->id = std::move(id);
  made->pkey = std::move(pkey);
  return key{made};
}

result<std::vector<key>> key::of_pem(std::string_view pem) {
  if (pem.find("PRIVATE KEY-----") != std::string_view::npos)
    return unusable("this is a private key: Busbar needs the public half only, and should not be "
                    "able to sign");
  std::vector<key> keys;
  const bio_ptr input{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
  while (input) {
    char* name = nullptr;
    char* header = nullptr;
    unsigned char* data = nullptr;
    long size = 0;
    if (PEM_read_bio(input.get(), &name, &header, &data, &size) != 1)
      break;
    const std::string kind{name};
    const unsigned char* from = data;
    EVP_PKEY* pkey = nullptr;
    if (kind == "PUBLIC KEY") {
      pkey = d2i_PUBKEY(nullptr, &from, size);
    } else if (kind == "CERTIFICATE") {
      const certificate_ptr certificate{d2i_X509(nullptr, &from, size)};
      pkey = certificate ? X509_get_pubkey(certificate.get()) : nullptr;
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    if (pkey == nullptr)
      return unusable("a PEM block of kind " + kind + " cannot be read: PUBLIC KEY is expected");
    auto made = of_public(pkey, {});
    if (!made)
      return fail(std::move(made).error());
    keys.push_back(*std::move(made));
  }
  ERR_clear_error(); // of the end of the input
  if (keys.empty())
    return unusable("there is no PEM block of kind PUBLIC KEY");
  return keys;
}

result<key> key::of_jwk(std::string_view text, bool may_be_secret) {
  const auto jwk = json::parse(text, nullptr, false);
  if (!jwk.is_object())
    return unusable("a JWK is no JSON object");
  const auto kind = text_member(jwk, "kty");
  const auto id = text_member(jwk, "kid");
  if (jwk.contains("d"))
    return unusable("a JWK holds a private key: Busbar needs the public half only");
  if (const auto use = text_member(jwk, "use"); !use.empty() && use != "sig")
    return unusable("a JWK is not for signatures");
  const auto named = text_member(jwk, "alg");
  auto made = [&]() -> result<key> {
    if (kind == "oct") {
      auto secret = binary_member(jwk, "k");
      if (!may_be_secret)
        return unusable("a JWK is a secret that everybody can read");
      if (!secret)
        return unusable("a JWK of kind oct has no k");
      return of_secret(*std::move(secret), id);
    }
    auto pkey = kind == "RSA"   ? rsa_of(jwk)
                : kind == "EC"  ? p256_of(jwk)
                : kind == "OKP" ? ed25519_of(jwk)
                                : nullptr;
    if (!pkey)
      return unusable("a JWK of kind " + kind + " cannot be used");
    return of_public(pkey.release(), id);
  }();
  if (made && !named.empty() && named != name_of(made->with()))
    return unusable("a JWK is for " + named + ", which is not supported");
  return made;
}

bool key::verifies(const token& what) const {
  if (what.with != body_->with)
    return false;
  if (body_->with == algorithm::hs256) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
    unsigned size = 0;
    if (!HMAC(EVP_sha256(), body_->secret.data(), static_cast<int>(body_->secret.size()),
              bytes(what.signed_part), what.signed_part.size(), mac.data(), &size))
      return false;
    return what.signature.size() == size &&
           CRYPTO_memcmp(mac.data(), what.signature.data(), size) == 0;
  }
  const auto signature = body_->with == algorithm::es256 ? der_of(what.signature) : what.signature;
  const digest_context_ptr context{EVP_MD_CTX_new()};
  const auto* digest = body_->with == algorithm::eddsa ? nullptr : EVP_sha256();
  const bool good =
      !signature.empty() && context &&
      EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, body_->pkey.get()) == 1 &&
      EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(what.signed_part),
                       what.signed_part.size()) == 1;
  ERR_clear_error();
  return good;
}

const key* key_set::verifier_of(const token& what) const {
  for (const auto& candidate : keys)
    if (candidate.with() == what.with &&
        (what.key_id.empty() || candidate.id().empty() || candidate.id() == what.key_id) &&
        candidate.verifies(what))
      return &candidate;
  return nullptr;
}

bool key_set::knows(const token& what) const {
  return std::any_of(keys.begin(), keys.end(), [&](const key& candidate) {
    return candidate.with() == what.with &&
           (what.key_id.empty() || candidate.id().empty() || candidate.id() == what.key_id);
  });
}

bool key_set::has(std::string_view fingerprint) const {
  return std::any_of(keys.begin(), keys.end(),
                     [&](const key& candidate) { return candidate.fingerprint() == fingerprint; });
}

result<key_set> read_keys(std::string_view text, bool may_be_secret) {
  constexpr std::size_t keys_max = 100;
  key_set out;
  if (is_object_with_keys(text)) {
    const auto whole = json::parse(text.begin(), text.end(), nullptr, false);
    if (!whole.is_object())
      return unusable("the key set is not valid JSON");
    json members = json::array();
    if (const auto keys = whole.find("keys"); keys != whole.end() && keys->is_array())
      members = *keys;
    else if (whole.contains("kty"))
      members.push_back(whole);
    if (members.size() > keys_max)
      return unusable("the key set has more than " + std::to_string(keys_max) + " keys");
    std::string why = "the key set has no keys";
    for (const auto& member : members) {
      if (auto made = key::of_jwk(member.dump(), may_be_secret))
        out.keys.push_back(*std::move(made));
      else
        why = made.error().message;
    }
    return out.keys.empty() ? result<key_set>{unusable(why)} : out;
  }
  if (text.find("-----BEGIN ") != std::string_view::npos) {
    auto keys = key::of_pem(text);
    if (!keys)
      return fail(std::move(keys).error());
    out.keys = *std::move(keys);
    return out;
  }
  if (!may_be_secret)
    return unusable("this is no key set in JSON");
  const auto end = text.find_last_not_of("\r\n");
  auto made =
      key::of_secret(std::string{text.substr(0, end == std::string_view::npos ? 0 : end + 1)});
  if (!made)
    return fail(std::move(made).error());
  out.keys.push_back(*std::move(made));
  return out;
}

} // namespace busbar::gate
