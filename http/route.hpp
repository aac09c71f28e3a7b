// http/route.hpp: which resource a request target names, and who may ask (spec shape-protocol 1,
// 3).
#pragma once

#include <cstdint>
#include <string_view>

namespace busbar::http {

enum class route : std::uint8_t { root, health, live, ready, cluster, shape, unknown };
inline constexpr std::size_t routes = static_cast<std::size_t>(route::unknown) + 1;

struct resolved_target {
  route where = route::unknown;
  std::string_view query; ///< What follows the question mark, still encoded.
};

/// Decided on the decoded path with empty segments dropped: whatever spelling reaches the shape
/// route also meets its secret.
resolved_target resolve(std::string_view target);

/// Takes as long for any `given` of one length, however much of it is right.
bool secret_matches(std::string_view given, std::string_view secret) noexcept;

std::string_view name_of(route where) noexcept; ///< As a metric label.

} // namespace busbar::http
