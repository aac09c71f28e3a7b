// app/health_check.hpp: `busbar health`, for containers and people that have no HTTP client at
// hand.
#pragma once

#include "app/settings.hpp"
#include "base/result.hpp"

#include <string>

namespace busbar::app {

/// What the Busbar of this machine says of itself.
struct health_report {
  int http_status = 0; ///< 200 if it streams, 202 if it only serves what it has.
  std::string word;    ///< "active", "waiting" or "starting".
};

/// Asks GET /v1/health at the port and address of `config`. Blocks, for three seconds at most; any
/// thread. An error says why there is no answer.
result<health_report> ask_health(const settings& config);

} // namespace busbar::app
