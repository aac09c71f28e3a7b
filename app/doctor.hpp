// app/doctor.hpp: `busbar doctor`: asks PostgreSQL, the storage directory and the disk, and judges.
#pragma once

#include "app/finding.hpp"
#include "app/settings.hpp"

#include <iosfwd>

namespace busbar::app {

/// All that can be found out. Changes nothing, anywhere; blocks for a minute at most.
findings examine(const invocation& call);

/// Prints the findings as the call wants them; returns the exit status.
int run_doctor(const invocation& call, std::ostream& out);

} // namespace busbar::app
