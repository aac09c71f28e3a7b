// app/policy_check.hpp: `busbar policy check`: what a token may see, and why.
#pragma once

#include "app/settings.hpp"

#include <iosfwd>

namespace busbar::app {

/// Returns the exit status: 0 the token opens something, 1 keys or policy cannot be read, 2 it
/// opens nothing. It is judged by the very code that judges requests.
int run_policy_check(const invocation& call, std::istream& in, std::ostream& out,
                     std::ostream& complaints);

} // namespace busbar::app
