// postgres/timeline.hpp: the forks in a database's past.
#pragma once

#include "base/lsn.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace busbar::postgres {

/// Where the WAL left this timeline for the next one of the database's history.
struct timeline_switch {
  std::uint32_t timeline = 0;
  lsn at{};
  friend bool operator==(const timeline_switch&, const timeline_switch&) = default;
};

/// Reads a timeline history file, as TIMELINE_HISTORY sends it: what led to the present timeline,
/// the oldest first. Lines that are none (comments) are passed over.
std::vector<timeline_switch> parse_timeline_history(std::string_view text);

} // namespace busbar::postgres
