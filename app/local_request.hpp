// app/local_request.hpp: asks the Busbar that runs here, for the commands of a shell.
#pragma once

#include "app/settings.hpp"
#include "base/result.hpp"

#include <string>
#include <string_view>

namespace busbar::app {

struct local_answer {
  int http_status = 0;
  std::string body;
};

/// GET of `target`, which is a path and a query as they stand in a request, at the port and the
/// address of `config`. Blocks, for three seconds at most; any thread. An error says why there is
/// no answer; it does not repeat the target, which may hold a secret.
result<local_answer> ask_here(const settings& config, std::string_view target);

} // namespace busbar::app
