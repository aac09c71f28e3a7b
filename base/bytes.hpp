// base/bytes.hpp: shared immutable buffers and big-endian integers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace busbar {

/// Bytes that many readers share and nobody changes.
using shared_bytes = std::shared_ptr<const std::string>;

inline shared_bytes share(std::string bytes) {
  return std::make_shared<const std::string>(std::move(bytes));
}

inline void append_be16(std::string& out, std::uint16_t x) {
  const char bytes[2] = {static_cast<char>(x >> 8), static_cast<char>(x)};
  out.append(bytes, 2);
}
inline void append_be32(std::string& out, std::uint32_t x) {
  append_be16(out, static_cast<std::uint16_t>(x >> 16));
  append_be16(out, static_cast<std::uint16_t>(x));
}
inline void append_be64(std::string& out, std::uint64_t x) {
  append_be32(out, static_cast<std::uint32_t>(x >> 32));
  append_be32(out, static_cast<std::uint32_t>(x));
}
/// The caller has checked that the bytes are there.
inline std::uint16_t read_be16(const char* p) noexcept {
  const auto* b = reinterpret_cast<const unsigned char*>(p);
  return static_cast<std::uint16_t>((b[0] << 8) | b[1]);
}
inline std::uint32_t read_be32(const char* p) noexcept {
  return (std::uint32_t{read_be16(p)} << 16) | read_be16(p + 2);
}
inline std::uint64_t read_be64(const char* p) noexcept {
  return (std::uint64_t{read_be32(p)} << 32) | read_be32(p + 4);
}

} // namespace busbar
