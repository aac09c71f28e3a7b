// app/recovery.hpp: brings the shapes that storage holds back to life.
#pragma once

#include "actors/protocol.hpp"
#include "storage/store.hpp"

namespace busbar::app {

/// What is stored as actors know it. A shape whose clause this build no longer accepts is removed,
/// with a line in the log; its readers start again.
result<adoption_list> recover_shapes(storage::store& store, sql::program_pool& clauses);

} // namespace busbar::app
