// app/cleanup.hpp: `busbar cleanup`: drops what Busbar made in PostgreSQL.
#pragma once

#include "app/settings.hpp"

#include <iosfwd>

namespace busbar::app {

/// Prints each statement as it is run (or would be), and what is left to a human. Returns the exit
/// status: 0 done, 1 failed, 2 refused because a Busbar leads the stream.
int run_cleanup(const invocation& call, std::ostream& out, std::ostream& complaints);

} // namespace busbar::app
