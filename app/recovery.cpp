#include "app/recovery.hpp"

#include <spdlog/spdlog.h>

namespace busbar::app {

result<adoption_list> recover_shapes(storage::store& store, stored_shapes& shapes,
                                     storage::recovery how) {
  auto found = store.recover(how);
  if (!found)
    return fail(std::move(found).error());
  adoption_list adopted; // by id, so that sets come before those that ask them
  adopted.reserve(found->size());
  for (auto& from : *found) {
    const auto id = from.id;
    const auto handle = from.record.handle;
    auto shape = shapes.make(std::move(from));
    from = {}; // there may be many; what comes next takes its place in memory
    if (!shape) {
      spdlog::warn("shape {} is removed: its definition is not accepted any more: {}", handle,
                   shape.error().message);
      if (how == storage::recovery::look)
        continue;
      if (auto removed = store.mark_removed(id); !removed)
        return fail(std::move(removed).error());
      continue;
    }
    adopted.push_back(std::move(*shape));
  }
  return adopted;
}

} // namespace busbar::app
