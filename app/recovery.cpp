#include "app/recovery.hpp"

#include <spdlog/spdlog.h>

#include <map>

namespace busbar::app {

namespace {

/// The request that would define this shape today.
shape_request request_of(const storage::shape_record& record) {
  shape_request request{.schema = record.table->schema,
                        .table = record.table->name,
                        .where = record.where,
                        .parameters = record.parameters,
                        .columns = std::nullopt,
                        .queryable_columns = std::nullopt,
                        .replica_full = record.replica_full,
                        .changes_only = record.changes_only};
  if (!record.selects_all) {
    request.columns.emplace();
    for (const auto index : record.selected)
      request.columns->push_back(record.table->columns[index].name);
  } else if (record.selected.size() != record.table->columns.size()) {
    request.queryable_columns.emplace();
    for (const auto index : record.selected)
      request.queryable_columns->push_back(record.table->columns[index].name);
  }
  return request;
}

result<shape_definition> define(const storage::recovered_shape& from,
                                const std::shared_ptr<const table_info>& table,
                                const std::map<std::uint64_t, shape_ptr>& sets,
                                sql::program_pool& clauses) {
  table_list inner;
  for (const auto id : from.record.inner) {
    const auto set = sets.find(id);
    if (set == sets.end())
      return fail(errc::must_refetch, "what its subquery selects is not there any more");
    inner.push_back(set->second->definition().table);
    for (auto& below : tables_below(set->second->definition()))
      inner.push_back(std::move(below));
  }
  if (from.record.values.empty())
    return define_shape(request_of(from.record), table, inner, &clauses);
  inner.push_back(table);
  return define_set(
      {.columns = from.record.values,
       .select = from.record.where,
       .group = static_cast<std::uint32_t>(storage::to_number(from.id) % shape_groups),
       .without_null = from.record.without_null},
      *table, inner);
}

} // namespace

result<adoption_list> recover_shapes(storage::store& store, sql::program_pool& clauses) {
  auto found = store.recover();
  if (!found)
    return fail(std::move(found).error());
  std::map<std::uint32_t, std::shared_ptr<const table_info>> tables; // shapes of a table share it
  snapshot_ptr sees; // those that were made together share it
  shared_schemas schemas;
  std::map<std::uint64_t, shape_ptr> sets;
  adoption_list shapes; // by id, so that sets come before those that ask them
  shapes.reserve(found->size());
  for (auto& from : *found) {
    auto& table = tables[from.record.table->oid];
    if (!table || (table != from.record.table && *table != *from.record.table))
      table = from.record.table;
    auto definition = define(from, table, sets, clauses);
    if (!definition) {
      spdlog::warn("shape {} is removed: its definition is not accepted any more: {}",
                   from.record.handle, definition.error().message);
      if (auto removed = store.mark_removed(from.id); !removed)
        return fail(std::move(removed).error());
      continue;
    }
    std::vector<storage::shape_id> inner;
    for (const auto id : from.record.inner)
      inner.push_back(storage::shape_id{id});
    auto schema = schemas.of(*definition);
    auto shape = std::make_shared<shape_state>(from.id, from.record.handle, std::move(*definition),
                                               std::move(schema), std::move(inner));
    if (from.usage.read_micros > 0)
      shape->recall(from.usage.read_micros / 1'000'000, from.usage.bytes);
    if (shape->definition().is_set())
      sets[storage::to_number(from.id)] = shape;
    if (from.known && from.known->facts->table != *table)
      shape->follow(from.known->facts->table);
    if (!sees || *sees != from.record.visibility)
      sees = std::make_shared<const snapshot>(std::move(from.record.visibility));
    shape->update([&](shape_progress& p) {
      p.head = from.head;
      p.chunks = from.record.snapshot_chunks;
      p.started = true;
      p.complete = true;
      p.has_boundaries = from.has_boundaries;
    });
    shapes.push_back({.shape = std::move(shape),
                      .created_lsn = from.record.created_lsn,
                      .visibility = sees,
                      .splice_passed = from.splice_passed,
                      .open_chunk_bytes = from.open_chunk_bytes,
                      .known = std::move(from.known)});
    from = {}; // there may be many; what comes next takes its place in memory
  }
  return shapes;
}

} // namespace busbar::app
