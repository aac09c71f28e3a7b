// base/coding.hpp: HTTP content codings, in parts: a body's parts are made apart, in any order,
// kept, shared between bodies and joined again. Pure functions; any thread.
//
// gzip (RFC 1952): one member; each part is deflated by itself (no reference crosses its border)
// and ends on a byte. zstd (RFC 8878): each part is a frame.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace busbar {

enum class coding : std::uint8_t { identity, gzip, zstd };

/// Texts smaller than this are not worth it.
inline constexpr std::size_t coding_bytes_min = 1'024;

/// As in `content-encoding`.
std::string_view name_of(coding c) noexcept;

/// What a body has to know of a part beside its bytes.
struct part_sum {
  std::uint64_t text_bytes = 0;
  std::uint32_t crc = 0; ///< Of the text; gzip only.
};

struct coded_part {
  std::string bytes;
  part_sum sum;
};

/// `text` as a part, made small. Not for coding::identity.
coded_part compress(coding c, std::string_view text);

/// Joins parts to a body: begin(), then parts and plain text in the order of the body, then end().
/// With coding::identity everything passes unchanged.
class coded_body {
public:
  explicit coded_body(coding c) noexcept : coding_{c} {}

  coding in() const noexcept { return coding_; }
  std::string begin() const;
  void add(const part_sum& part) noexcept;  ///< A part that is sent next.
  std::string plain(std::string_view text); ///< A little text, framed but not made smaller.
  std::string end() const;

private:
  coding coding_;
  part_sum sum_;
};

/// A whole body at once.
std::string compress_whole(coding c, std::string_view text);

} // namespace busbar
