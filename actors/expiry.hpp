// actors/expiry.hpp: which shapes have to go, because they are too many, too large or not read any
// more. Without clock or actors.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace busbar {

/// 0 = no limit.
struct expiry_limits {
  std::size_t shapes_max = 0;
  std::uint64_t bytes_max = 0; ///< Of all together, as they were written.
  std::chrono::seconds idle{0};
  bool any() const noexcept { return shapes_max > 0 || bytes_max > 0 || idle.count() > 0; }
};

struct shape_use {
  std::size_t index = 0;     ///< The caller's name for the shape.
  std::uint64_t read_at = 0; ///< Seconds since 1970.
  std::uint64_t bytes = 0;
  bool counts = true; ///< Among the shapes of `shapes_max`: sets do not.
  bool may_go = true; ///< False for one that is being made, or that others need.
};

struct expired_shape {
  std::size_t index = 0;
  std::string_view why; ///< For the log; holds the word "expired".
  friend bool operator==(const expired_shape&, const expired_shape&) = default;
};

/// Those that have not been read for `idle`; then, the longest unread first, as many more as it
/// takes. None that was read less than `grace` ago, whatever the limits say. Reorders `shapes`.
std::vector<expired_shape> choose_expired(std::span<shape_use> shapes, const expiry_limits& limits,
                                          std::uint64_t now, std::chrono::seconds grace);

} // namespace busbar
