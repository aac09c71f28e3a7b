// storage/format.hpp: which layout of keys.hpp a store has, and how an older one becomes this one.
#pragma once

#include "base/result.hpp"
#include "storage/rocks.hpp"

namespace busbar::storage {

/// Brings the store to format_version, before anything else of it is read. A new store is given it.
/// errc::misconfigured if a newer build wrote it; then nothing is changed. Nor is anything changed
/// of an older one that `follows`: its leader does that, one day.
result<void> bring_to_format(database& rocks, bool follows);

} // namespace busbar::storage
