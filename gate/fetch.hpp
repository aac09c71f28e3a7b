// gate/fetch.hpp: one small document over HTTP. Blocks: not for a thread that serves.
#pragma once

#include "base/result.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>

namespace busbar::gate {

struct fetch_limits {
  std::chrono::seconds time{10};
  std::size_t bytes = 1u << 20;
};

/// The body of a 200. Redirections are not followed, certificates are verified. `stop` ends it
/// within a second.
result<std::string> fetch(const std::string& url, const fetch_limits& limits,
                          const std::atomic<bool>& stop);

} // namespace busbar::gate
