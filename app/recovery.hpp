// app/recovery.hpp: brings the shapes that storage holds back to life.
#pragma once

#include "actors/stored_shapes.hpp"
#include "storage/store.hpp"

namespace busbar::app {

/// What is stored as actors know it. A shape whose clause this build no longer accepts is removed,
/// with a line in the log; its readers start again. A store that only looks (storage::recovery) is
/// left as it is.
result<adoption_list> recover_shapes(storage::store& store, stored_shapes& shapes,
                                     storage::recovery how = storage::recovery::repair);

} // namespace busbar::app
