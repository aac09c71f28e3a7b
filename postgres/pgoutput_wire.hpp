// postgres/pgoutput_wire.hpp: reads the fields of pgoutput's messages, never past their end.
// Private to postgres/.
#pragma once

#include "base/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace busbar::postgres {

/// Reads a message from its front. A read past the end yields zeros and makes ok() false.
class cursor {
public:
  explicit cursor(std::string_view bytes) noexcept : left_{bytes} {}

  std::uint8_t u8() noexcept {
    const auto bytes = take(1);
    return bytes.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(bytes[0]);
  }
  std::uint16_t u16() noexcept {
    const auto bytes = take(2);
    return bytes.empty() ? std::uint16_t{0} : read_be16(bytes.data());
  }
  std::uint32_t u32() noexcept {
    const auto bytes = take(4);
    return bytes.empty() ? 0 : read_be32(bytes.data());
  }
  std::uint64_t u64() noexcept {
    const auto bytes = take(8);
    return bytes.empty() ? 0 : read_be64(bytes.data());
  }
  /// Text that ends with a NUL byte.
  std::string_view text() noexcept {
    const auto end = left_.find('\0');
    if (end == std::string_view::npos) {
      ok_ = false;
      return {};
    }
    const auto found = left_.substr(0, end);
    left_.remove_prefix(end + 1);
    return found;
  }
  std::string_view take(std::size_t bytes) noexcept {
    if (bytes > left_.size()) {
      ok_ = false;
      return {};
    }
    const auto taken = left_.substr(0, bytes);
    left_.remove_prefix(bytes);
    return taken;
  }
  std::string_view left() const noexcept { return left_; }
  bool ok() const noexcept { return ok_; }
  /// Everything was there and nothing is left over.
  bool complete() const noexcept { return ok_ && left_.empty(); }

private:
  std::string_view left_;
  bool ok_ = true;
};

struct tuple {
  std::string_view bytes;
  bool has_unchanged = false;
};

/// Steps over one tuple; what is wrong, or nullptr. The layout is that of Frame.rows but for 'u'.
inline const char* read_tuple(cursor& in, std::uint16_t columns, tuple& out) noexcept {
  const auto all = in.left();
  if (all.size() < 2)
    return "ends before its tuple";
  if (read_be16(all.data()) != columns)
    return "a tuple has another number of columns than its relation";
  const char* at = all.data() + 2;
  const char* const end = all.data() + all.size();
  for (std::uint16_t i = 0; i < columns; ++i) {
    if (at == end)
      return "ends inside a tuple";
    switch (*at++) {
    case 't': {
      if (end - at < 4)
        return "ends inside a tuple";
      const auto length = read_be32(at);
      at += 4;
      if (length > static_cast<std::size_t>(end - at))
        return "ends inside a value";
      at += length;
      break;
    }
    case 'n':
      break;
    case 'u':
      out.has_unchanged = true;
      break;
    case 'b':
      return "a value is binary";
    default:
      return "a value of unknown kind";
    }
  }
  out.bytes = in.take(static_cast<std::size_t>(at - all.data()));
  return nullptr;
}

/// The next value of a tuple that read_tuple() has accepted, tag and length included.
inline std::string_view next_value(std::string_view& left) noexcept {
  const std::size_t bytes = left[0] == 't' ? 5 + read_be32(left.data() + 1) : 1;
  const auto value = left.substr(0, bytes);
  left.remove_prefix(bytes);
  return value;
}

} // namespace busbar::postgres
