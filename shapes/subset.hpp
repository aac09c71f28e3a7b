// shapes/subset.hpp: a part of a shape's present rows, asked for by itself (spec shape-protocol
// 15).
#pragma once

#include "base/result.hpp"
#include "shapes/shape_request.hpp"
#include "shapes/table.hpp"
#include "sql/predicate.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace busbar {

/// As the request words it, types checked (spec 5.4).
struct subset_request {
  std::string where = {};                   ///< Empty = every row of the shape.
  std::vector<std::string> parameters = {}; ///< $1, $2, … of `where`
  std::string order_by = {};                ///< Empty = in no order.
  std::optional<std::uint64_t> limit = {};
  std::optional<std::uint64_t> offset = {};
};

/// A request that has been checked against its shape's table. Immutable; any thread. All SQL in it
/// was written by us from checked trees.
struct subset_definition {
  std::shared_ptr<const sql::predicate> filter; ///< Null = every row of the shape.
  std::string order_by;                         ///< What follows ORDER BY, or empty.
  std::optional<std::uint64_t> limit;
  std::optional<std::uint64_t> offset;
};

/// `shape` is the request that the subset belongs to: its queryable_columns, if given, are the only
/// ones that the subset may name. Errors have field subset.where, subset.params or subset.order_by.
result<subset_definition> define_subset(const subset_request& request, const shape_request& shape,
                                        const table_info& table);

} // namespace busbar
