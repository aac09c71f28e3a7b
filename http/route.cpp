#include "http/route.hpp"

#include "http/query.hpp"
#include "http/request_head.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace busbar::http {

namespace {

/// "http://host:80/path?query" becomes "/path?query".
std::string_view without_authority(std::string_view target) noexcept {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (equals_ignoring_case(target.substr(0, scheme.size()), scheme)) {
      target.remove_prefix(scheme.size());
      return target.substr(std::min(target.find_first_of("/?"), target.size()));
    }
  }
  return target;
}

route route_of(std::string_view path) {
  if (path == "/v1/shape")
    return route::shape;
  std::vector<std::string> segments;
  while (!path.empty()) {
    const auto slash = std::min(path.find('/'), path.size());
    if (slash > 0)
      segments.push_back(percent_decode(path.substr(0, slash), false));
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (segments.size() > 2)
      return route::unknown;
  }
  if (segments.empty())
    return route::root;
  if (segments.size() == 1 && segments[0] == "livez")
    return route::live;
  if (segments.size() == 1 && segments[0] == "readyz")
    return route::ready;
  if (segments.size() != 2 || segments[0] != "v1")
    return route::unknown;
  if (segments[1] == "shape")
    return route::shape;
  if (segments[1] == "cluster")
    return route::cluster;
  return segments[1] == "health" ? route::health : route::unknown;
}

} // namespace

resolved_target resolve(std::string_view target) {
  target = without_authority(target);
  const auto mark = std::min(target.find('?'), target.size());
  const auto path = target.substr(0, mark);
  const auto query = target.substr(std::min(mark + 1, target.size()));
  if (!path.empty() && path.front() != '/')
    return {route::unknown, query};
  return {route_of(path), query};
}

bool secret_matches(std::string_view given, std::string_view secret) noexcept {
  volatile unsigned char difference = given.size() == secret.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size() && !secret.empty(); ++i)
    difference = difference | static_cast<unsigned char>(given[i] ^ secret[i % secret.size()]);
  return difference == 0;
}

std::string_view name_of(route where) noexcept {
  switch (where) {
  case route::root:
    return "root";
  case route::health:
    return "health";
  case route::live:
    return "live";
  case route::ready:
    return "ready";
  case route::cluster:
    return "cluster";
  case route::shape:
    return "shape";
  case route::unknown:
    break;
  }
  return "unknown";
}

} // namespace busbar::http
