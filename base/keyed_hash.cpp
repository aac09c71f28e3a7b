#include "base/keyed_hash.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>

#include <stdexcept>

namespace busbar {

namespace {

struct free_mac {
  void operator()(EVP_MAC* mac) const noexcept { EVP_MAC_free(mac); }
};
struct free_context {
  void operator()(EVP_MAC_CTX* context) const noexcept { EVP_MAC_CTX_free(context); }
};

} // namespace

struct keyed_hash::body {
  std::unique_ptr<EVP_MAC_CTX, free_context> context;
  digest key;
};

keyed_hash::keyed_hash(std::string_view secret, std::string_view purpose)
    : body_{std::make_unique<body>()} {
  unsigned char derived[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(purpose.data()), purpose.size(), derived, &length);
  std::memcpy(body_->key.data(), derived, body_->key.size());
  const std::unique_ptr<EVP_MAC, free_mac> mac{EVP_MAC_fetch(nullptr, "SIPHASH", nullptr)};
  if (mac)
    body_->context.reset(EVP_MAC_CTX_new(mac.get()));
  if (!body_->context)
    throw std::runtime_error{"OpenSSL lacks SipHash"}; // at start, never while serving
}

keyed_hash::~keyed_hash() = default;

digest keyed_hash::operator()(std::string_view bytes) const {
  digest out{};
  std::size_t size = out.size();
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                                   OSSL_PARAM_construct_end()};
  auto* context = body_->context.get();
  EVP_MAC_init(context, body_->key.data(), body_->key.size(), parameters);
  EVP_MAC_update(context, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  std::size_t written = 0;
  EVP_MAC_final(context, out.data(), &written, out.size());
  return out;
}

void append_hex(std::string& out, const digest& d) {
  static constexpr char digits[] = "0123456789abcdef";
  for (const auto byte : d) {
    out.push_back(digits[byte >> 4]);
    out.push_back(digits[byte & 15]);
  }
}

} // namespace busbar
