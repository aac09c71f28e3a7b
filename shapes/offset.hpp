// shapes/offset.hpp: a position in a shape's log (spec shape-protocol 7).
#pragma once

#include <charconv>
#include <compare>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace busbar {

/// `tx` is 0 in the initial snapshot, else the commit LSN of a transaction; `op` is the snapshot
/// chunk's number, or the position in the transaction. Ordered as the log is.
struct log_offset {
  std::uint64_t tx = 0;
  std::int64_t op = -1;

  static constexpr std::int64_t infinite = std::numeric_limits<std::int64_t>::max();
  /// "-1": before everything.
  static constexpr log_offset start() noexcept { return {0, -1}; }
  /// "0_inf": the end of the snapshot, before any replicated change.
  static constexpr log_offset snapshot_end() noexcept { return {0, infinite}; }

  constexpr bool in_snapshot() const noexcept { return tx == 0 && op >= 0 && op != infinite; }

  friend constexpr auto operator<=>(const log_offset&, const log_offset&) = default;
};

inline std::string to_string(log_offset x) {
  if (x == log_offset::start())
    return "-1";
  return std::to_string(x.tx) + '_' +
         (x.op == log_offset::infinite ? std::string{"inf"} : std::to_string(x.op));
}

/// Reads "-1", "-1_0", "12_34" and "12_inf"; leading zeros are fine, anything else is nullopt.
inline std::optional<log_offset> parse_offset(std::string_view text) {
  if (text == "-1" || text == "-1_0")
    return log_offset::start();
  const auto bar = text.find('_');
  if (bar == std::string_view::npos || bar == 0 || bar + 1 == text.size())
    return std::nullopt;
  log_offset x;
  const char* middle = text.data() + bar;
  const char* end = text.data() + text.size();
  if (const auto r = std::from_chars(text.data(), middle, x.tx);
      r.ec != std::errc{} || r.ptr != middle)
    return std::nullopt;
  if (text.substr(bar + 1) == "inf") {
    x.op = log_offset::infinite;
    return x;
  }
  const auto r = std::from_chars(middle + 1, end, x.op);
  if (r.ec != std::errc{} || r.ptr != end || middle[1] == '-' || x.op == log_offset::infinite)
    return std::nullopt;
  return x;
}

} // namespace busbar
