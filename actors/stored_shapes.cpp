#include "actors/stored_shapes.hpp"

#include <utility>

namespace busbar {

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

} // namespace

void stored_shapes::know(const shape_ptr& shape) {
  known_[shape->id()] = shape;
}

void stored_shapes::forget(storage::shape_id id) {
  known_.erase(id);
}

shape_ptr stored_shapes::find(storage::shape_id id) const {
  const auto found = known_.find(id);
  return found == known_.end() ? nullptr : found->second;
}

result<shape_definition> stored_shapes::define(const storage::recovered_shape& from,
                                               const std::shared_ptr<const table_info>& table) {
  table_list inner;
  for (const auto id : from.record.inner) {
    const auto set = find(storage::shape_id{id});
    if (!set)
      return fail(errc::must_refetch, "what its subquery selects is not there any more");
    inner.push_back(set->definition().table);
    for (auto& below : tables_below(set->definition()))
      inner.push_back(std::move(below));
  }
  if (from.record.values.empty())
    return define_shape(request_of(from.record), table, inner, &clauses_);
  inner.push_back(table);
  return define_set(
      {.columns = from.record.values,
       .select = from.record.where,
       .group = static_cast<std::uint32_t>(storage::to_number(from.id) % shape_groups),
       .without_null = from.record.without_null},
      *table, inner);
}

result<adoption> stored_shapes::make(storage::recovered_shape from) {
  auto shape = find(from.id);
  if (!shape) {
    auto& table = tables_[from.record.table->oid];
    if (!table || (table != from.record.table && *table != *from.record.table))
      table = from.record.table;
    auto definition = define(from, table);
    if (!definition)
      return fail(std::move(definition).error());
    std::vector<storage::shape_id> inner;
    for (const auto id : from.record.inner)
      inner.push_back(storage::shape_id{id});
    auto schema = schemas_.of(*definition);
    shape = std::make_shared<shape_state>(from.id, from.record.handle, std::move(*definition),
                                          std::move(schema), std::move(inner));
    if (from.usage.read_micros > 0)
      shape->recall(from.usage.read_micros / 1'000'000, from.usage.bytes);
    if (from.known && from.known->facts->table != *table)
      shape->follow(from.known->facts->table);
    known_[from.id] = shape;
  }
  if (!sees_ || *sees_ != from.record.visibility)
    sees_ = std::make_shared<const snapshot>(std::move(from.record.visibility));
  shape->update([&](shape_progress& p) {
    p.head = std::max(p.head, from.head);
    p.chunks = from.record.snapshot_chunks;
    p.started = true;
    p.complete = true;
    p.has_boundaries |= from.has_boundaries;
  });
  return adoption{.shape = std::move(shape),
                  .created_lsn = from.record.created_lsn,
                  .visibility = sees_,
                  .splice_passed = from.splice_passed,
                  .open_chunk_bytes = from.open_chunk_bytes,
                  .known = std::move(from.known)};
}

} // namespace busbar
