// sql/wire_reader.hpp: reads protobuf's wire format, in which libpg_query hands out its trees. (Its
// JSON is no choice: it drops the value of every negative integer.)
#pragma once

#include <cstdint>
#include <string_view>

namespace busbar::sql {

/// Walks the fields of one message. Borrows the bytes. Malformed input ends the walk early.
class wire_reader {
public:
  explicit wire_reader(std::string_view message) : rest_{message} {}

  /// Moves to the next field; false at the end.
  bool next() {
    std::uint64_t tag = 0;
    if (rest_.empty() || !varint(tag))
      return false;
    field_ = static_cast<std::uint32_t>(tag >> 3);
    number_ = 0;
    bytes_ = {};
    switch (tag & 7) {
    case 0:
      return varint(number_);
    case 1:
      return take(8);
    case 2: {
      std::uint64_t size = 0;
      return varint(size) && take(size);
    }
    case 5:
      return take(4);
    default:
      return false;
    }
  }

  std::uint32_t field() const noexcept { return field_; }
  std::int32_t integer() const noexcept { return static_cast<std::int32_t>(number_); }
  std::string_view bytes() const noexcept { return bytes_; }

private:
  bool varint(std::uint64_t& out) {
    out = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      out |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80)
        return true;
    }
    return false;
  }

  bool take(std::uint64_t size) {
    if (size > rest_.size())
      return false;
    bytes_ = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

  std::string_view rest_;
  std::string_view bytes_;
  std::uint64_t number_ = 0;
  std::uint32_t field_ = 0;
};

} // namespace busbar::sql
