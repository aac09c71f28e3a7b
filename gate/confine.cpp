#include "gate/confine.hpp"

#include "sql/order_by.hpp"
#include "sql/predicate.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace busbar::gate {

namespace {

using sql::guard_refusal;
using sql::guard_result;
using column_list = std::optional<std::vector<std::string>>;

tl::unexpected<guard_refusal> forbidden() {
  return tl::unexpected{guard_refusal{true, {}}};
}
tl::unexpected<guard_refusal> malformed(error why) {
  return tl::unexpected{guard_refusal{false, std::move(why)}};
}
/// As it would be told of the subset by whoever reads it.
tl::unexpected<guard_refusal> in_subset(guard_refusal what) {
  if (!what.why.field.empty())
    what.why.field.insert(0, "subset.");
  return tl::unexpected{std::move(what)};
}

/// `of` is sorted.
bool are_among(std::vector<std::string> names, const std::vector<std::string>& of) {
  std::sort(names.begin(), names.end());
  return std::includes(of.begin(), of.end(), names.begin(), names.end());
}

/// Afterwards the shape's columns are written out, unless all may be seen and nothing else is asked
/// for, and `guard.columns` are those that a subset may name.
guard_result<void> confine_columns(shape_request& shape, sql::table_guard& guard) {
  auto queryable = std::exchange(shape.queryable_columns, std::nullopt);
  for (const auto* list : {&shape.columns, &queryable})
    if (*list && guard.columns && !are_among(**list, *guard.columns))
      return forbidden();
  if (queryable) {
    std::sort(queryable->begin(), queryable->end());
    if (shape.columns && !are_among(*shape.columns, *queryable))
      return malformed({errc::invalid_argument,
                        "`columns` names a column outside of `queryable_columns`", "columns"});
    guard.columns = std::move(queryable);
  }
  if (!shape.columns)
    shape.columns = guard.columns;
  return {};
}

/// The order names columns only; of which type does not matter here.
guard_result<void> confine_order(const std::string& order_by, const column_list& columns) {
  if (order_by.empty() || !columns)
    return {};
  std::vector<sql::column> visible;
  for (const auto& name : *columns)
    visible.push_back({.name = name, .type_name = "text"});
  if (auto order = sql::rewrite_order_by(order_by, visible); !order)
    return tl::unexpected{guard_refusal{false, std::move(order).error()}};
  return {};
}

guard_result<void> confine_subset(std::optional<subset_request>& subset,
                                  const sql::table_guard& guard) {
  if (!subset)
    return {};
  auto confined = sql::guard_subset(subset->where, subset->parameters, guard);
  if (!confined)
    return in_subset(std::move(confined).error());
  if (auto order = confine_order(subset->order_by, guard.columns); !order)
    return in_subset(std::move(order).error());
  subset->where = std::move(confined->where);
  subset->parameters = std::move(confined->parameters);
  return {};
}

} // namespace

guard_result<void> confine(asked& what, const policy& rules, const claims& bearer) {
  auto& shape = what.shape;
  std::map<std::pair<std::string, std::string>, std::optional<sql::table_guard>> guards;
  const auto find = [&](const std::string& schema,
                        const std::string& table) -> const sql::table_guard* {
    const auto [entry, unknown] = guards.try_emplace({schema, table});
    if (unknown)
      if (const auto* rule = rules.rule_for(schema, table, bearer))
        entry->second = bind(*rule, bearer);
    return entry->second ? &*entry->second : nullptr;
  };
  const auto* own = find(shape.schema, shape.table);
  if (own == nullptr)
    return forbidden();
  auto rest = *own;
  if (auto columns = confine_columns(shape, rest); !columns)
    return columns;
  auto clause =
      sql::guard_clause(shape.where, shape.parameters, *own,
                        [&](const sql::table_name& name) { return find(name.schema, name.name); });
  if (!clause)
    return tl::unexpected{std::move(clause).error()};
  shape.where = std::move(clause->where);
  shape.parameters = std::move(clause->parameters);
  return confine_subset(what.subset, rest);
}

guard_result<void> confine(asked& what, const grant& by) {
  auto& shape = what.shape;
  if (shape.schema != by.schema || shape.table != by.table)
    return forbidden();
  auto columns = shape.columns;
  if (columns)
    std::sort(columns->begin(), columns->end());
  if (columns && columns != by.guard.columns)
    return forbidden();
  if (!shape.where.empty()) {
    const auto asked_for = sql::condition::parse(shape.where);
    if (!asked_for)
      return malformed(asked_for.error());
    if (!sql::says_the_same(*asked_for, shape.parameters, by.guard.rows, by.guard.values))
      return forbidden();
  }
  auto guard = by.guard;
  shape.columns = guard.columns;
  if (auto confined = confine_columns(shape, guard); !confined)
    return confined;
  shape.where = by.guard.rows.is_true() ? std::string{} : by.guard.rows.text();
  shape.parameters = by.guard.rows.is_true() ? std::vector<std::string>{} : by.guard.values;
  return confine_subset(what.subset, guard);
}

} // namespace busbar::gate
