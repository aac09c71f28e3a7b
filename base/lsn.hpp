// base/lsn.hpp: a position in PostgreSQL's write-ahead log.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace busbar {

/// Byte position in the WAL. Compared as an unsigned 64-bit number; 0 means "none yet".
enum class lsn : std::uint64_t {};

constexpr std::uint64_t to_number(lsn x) noexcept {
  return static_cast<std::uint64_t>(x);
}

/// PostgreSQL's own spelling, "16/B374D848".
inline std::string to_pg_string(lsn x) {
  char text[32];
  std::snprintf(text, sizeof text, "%X/%X", static_cast<unsigned>(to_number(x) >> 32),
                static_cast<unsigned>(to_number(x) & 0xffffffffu));
  return text;
}

/// Reads PostgreSQL's spelling; nullopt unless the whole text is one LSN.
inline std::optional<lsn> parse_lsn(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos)
    return std::nullopt;
  std::uint32_t high = 0;
  std::uint32_t low = 0;
  const char* middle = text.data() + slash;
  const char* end = text.data() + text.size();
  const auto a = std::from_chars(text.data(), middle, high, 16);
  const auto b = std::from_chars(middle + 1, end, low, 16);
  if (a.ec != std::errc{} || a.ptr != middle || b.ec != std::errc{} || b.ptr != end)
    return std::nullopt;
  return lsn{(std::uint64_t{high} << 32) | low};
}

} // namespace busbar
