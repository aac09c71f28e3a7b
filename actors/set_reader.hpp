// actors/set_reader.hpp: reads what a subquery selects, for a SNAPSHOTTER.
#pragma once

#include "actors/move_task.hpp"
#include "actors/shape_state.hpp"
#include "postgres/snapshot_reader.hpp"
#include "storage/store.hpp"

#include <chrono>
#include <string_view>

namespace busbar {

/// The set's values as of the snapshot, which are in storage, too, when it returns. Blocking. That
/// the rows were the snapshot's is still to be checked (check_rows()).
result<set_contents_ptr> read_set(const shape_state& set, postgres::snapshot_reader& snap,
                                  storage::store& store, std::string_view secret,
                                  std::chrono::seconds first_row_max,
                                  std::chrono::seconds stall_max);

} // namespace busbar
