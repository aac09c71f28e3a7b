// base/keyed_hash.hpp: 128 bits that stand for a value, and that nobody without the key can guess.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace busbar {

using digest = std::array<unsigned char, 16>;

/// The digest is as good as random already.
struct digest_hash {
  std::size_t operator()(const digest& d) const noexcept {
    std::size_t first = 0;
    std::memcpy(&first, d.data(), sizeof first);
    return first;
  }
};

/// SipHash-2-4 with 128 bits of output. One thread at a time.
class keyed_hash {
public:
  /// The key is derived from the secret and from what it is used for.
  keyed_hash(std::string_view secret, std::string_view purpose);
  ~keyed_hash();
  keyed_hash(const keyed_hash&) = delete;
  keyed_hash& operator=(const keyed_hash&) = delete;

  digest operator()(std::string_view bytes) const;

private:
  struct body;
  std::unique_ptr<body> body_;
};

inline std::string_view bytes_of(const digest& d) noexcept {
  return {reinterpret_cast<const char*>(d.data()), d.size()};
}

/// In lower-case hexadecimal digits.
void append_hex(std::string& out, const digest& d);

} // namespace busbar
