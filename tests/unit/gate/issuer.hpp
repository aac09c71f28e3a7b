// tests/unit/gate/issuer.hpp: keys made by OpenSSL, and tokens signed with them.
#pragma once

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include <array>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::gate::test {

inline std::string base64url(std::string_view bytes) {
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : bytes) {
    bits = (bits << 8) | static_cast<unsigned char>(c);
    for (held += 8; held >= 6; held -= 6)
      out += digits[(bits >> (held - 6)) & 63];
  }
  if (held > 0)
    out += digits[(bits << (6 - held)) & 63];
  return out;
}

/// Signs as `alg` says; what it says in the header is the caller's.
class issuer {
public:
  explicit issuer(std::string alg) : alg_{std::move(alg)} {
    if (alg_ == "RS256")
      key_.reset(EVP_RSA_gen(2048));
    else if (alg_ == "ES256")
      key_.reset(EVP_EC_gen("prime256v1"));
    else if (alg_ == "EdDSA")
      key_.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    else
      secret_ = "a secret of thirty-two bytes, or more";
  }

  std::string secret_;

  std::string pem() const {
    std::unique_ptr<BIO, decltype(&BIO_free_all)> out{BIO_new(BIO_s_mem()), BIO_free_all};
    PEM_write_bio_PUBKEY(out.get(), key_.get());
    char* data = nullptr;
    const auto size = BIO_get_mem_data(out.get(), &data);
    return {data, static_cast<std::size_t>(size)};
  }

  std::string jwk(const std::string& id) const {
    const auto named = R"(,"kid":")" + id + R"(","use":"sig"})";
    if (alg_ == "HS256")
      return R"({"kty":"oct","k":")" + base64url(secret_) + '"' + named;
    if (alg_ == "RS256")
      return R"({"kty":"RSA","n":")" + number(OSSL_PKEY_PARAM_RSA_N) + R"(","e":")" +
             number(OSSL_PKEY_PARAM_RSA_E) + '"' + named;
    if (alg_ == "ES256") {
      std::array<unsigned char, 65> point{};
      std::size_t size = 0;
      EVP_PKEY_get_octet_string_param(key_.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                      point.size(), &size);
      const std::string bytes{reinterpret_cast<const char*>(point.data()), size};
      return R"({"kty":"EC","crv":"P-256","x":")" + base64url(bytes.substr(1, 32)) + R"(","y":")" +
             base64url(bytes.substr(33)) + '"' + named;
    }
    std::array<unsigned char, 32> raw{};
    std::size_t size = raw.size();
    EVP_PKEY_get_raw_public_key(key_.get(), raw.data(), &size);
    return R"({"kty":"OKP","crv":"Ed25519","x":")" +
           base64url({reinterpret_cast<const char*>(raw.data()), size}) + '"' + named;
  }

  std::string sign(const std::string& text) const {
    std::array<unsigned char, 1024> out{};
    const auto* from = reinterpret_cast<const unsigned char*>(text.data());
    if (alg_ == "HS256") {
      unsigned size = 0;
      HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()), from, text.size(),
           out.data(), &size);
      return {reinterpret_cast<const char*>(out.data()), size};
    }
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                    EVP_MD_CTX_free};
    std::size_t size = out.size();
    EVP_DigestSignInit(context.get(), nullptr, alg_ == "EdDSA" ? nullptr : EVP_sha256(), nullptr,
                       key_.get());
    EVP_DigestSign(context.get(), out.data(), &size, from, text.size());
    if (alg_ != "ES256")
      return {reinterpret_cast<const char*>(out.data()), size};
    const unsigned char* der = out.data();
    std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> pair{
        d2i_ECDSA_SIG(nullptr, &der, static_cast<long>(size)), ECDSA_SIG_free};
    std::string raw(64, '\0');
    auto* to = reinterpret_cast<unsigned char*>(raw.data());
    BN_bn2binpad(ECDSA_SIG_get0_r(pair.get()), to, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair.get()), to + 32, 32);
    return raw;
  }

  std::string token_of(const std::string& header, const std::string& claims) const {
    const auto text = base64url(header) + '.' + base64url(claims);
    return text + '.' + base64url(sign(text));
  }
  std::string token(const std::string& claims, const std::string& id = {}) const {
    return token_of(R"({"alg":")" + alg_ + (id.empty() ? "" : R"(","kid":")" + id) + R"("})",
                    claims);
  }
  const std::string& alg() const { return alg_; }

private:
  std::string number(const char* name) const {
    BIGNUM* value = nullptr;
    EVP_PKEY_get_bn_param(key_.get(), name, &value);
    std::string bytes(static_cast<std::size_t>(BN_num_bytes(value)), '\0');
    BN_bn2bin(value, reinterpret_cast<unsigned char*>(bytes.data()));
    BN_free(value);
    return base64url(bytes);
  }

  struct free_key {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  std::string alg_;
  std::unique_ptr<EVP_PKEY, free_key> key_;
};

} // namespace busbar::gate::test
