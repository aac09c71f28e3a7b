// actors/tenant_rule.hpp: how shapes are told apart by tenant (BUSBAR_TENANT_COLUMN).
#pragma once

#include "actors/shape_state.hpp"
#include "monitoring/tenants.hpp"
#include "shapes/tenant.hpp"

#include <string>

namespace busbar {

/// Any thread.
struct tenant_rule {
  monitoring::tenants* all = nullptr;
  std::string column; ///< Empty: nobody is told apart.

  /// To be done before others know of the shape. Sets are shared, so they are nobody's.
  void assign(shape_state& shape) const {
    const auto& definition = shape.definition();
    if (all == nullptr || column.empty() || definition.is_set())
      return;
    if (const auto name = tenant_of(definition.where, definition.parameters, column))
      shape.belong_to(all->of(*name));
  }
};

} // namespace busbar
