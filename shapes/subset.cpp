#include "shapes/subset.hpp"

#include "shapes/definition.hpp"
#include "sql/order_by.hpp"
#include "sql/subquery.hpp"

#include <algorithm>

namespace busbar {

namespace {

error in_subset(error why) {
  if (!why.field.empty())
    why.field.insert(0, "subset.");
  return why;
}

} // namespace

result<subset_definition> define_subset(const subset_request& request, const shape_request& shape,
                                        const table_info& table) {
  subset_definition subset;
  auto columns = clause_columns(table);
  if (const auto& allowed = shape.queryable_columns)
    std::erase_if(columns, [&](const sql::column& column) {
      return std::find(allowed->begin(), allowed->end(), column.name) == allowed->end();
    });
  if (!request.where.empty()) {
    auto filter = sql::predicate::compile(request.where, request.parameters, columns,
                                          clause_collation(table));
    if (!filter) {
      // Without inner tables none can be compiled. Say so, rather than that a table is missing.
      if (const auto tables = sql::inner_tables(request.where); tables && !tables->empty())
        return fail(errc::invalid_argument, "a subset's condition cannot have subqueries",
                    "subset.where");
      return fail(in_subset(std::move(filter).error()));
    }
    subset.filter = std::move(*filter);
  }
  if (!request.order_by.empty()) {
    auto order = sql::rewrite_order_by(request.order_by, columns);
    if (!order)
      return fail(in_subset(std::move(order).error()));
    subset.order_by = std::move(*order);
  }
  subset.limit = request.limit;
  subset.offset = request.offset;
  return subset;
}

} // namespace busbar
