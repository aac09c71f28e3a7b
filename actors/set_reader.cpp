#include "actors/set_reader.hpp"

#include "shapes/row_judge.hpp"

#include <spdlog/spdlog.h>

#include <utility>
#include <vector>

namespace busbar {

namespace {

result<void> store_values(storage::store& store, storage::shape_id set,
                          const value_counts& counts) {
  constexpr std::size_t batch = 10'000;
  std::vector<std::pair<digest, std::uint32_t>> some;
  result<void> stored;
  const auto put = [&] {
    if (stored && !some.empty())
      stored = store.put_set_values(set, some);
    some.clear();
  };
  counts.for_each([&](const digest& value, std::uint32_t count) {
    some.emplace_back(value, count);
    if (some.size() == batch)
      put();
  });
  put();
  return stored;
}

} // namespace

result<set_contents_ptr> read_set(const shape_state& set, postgres::snapshot_reader& snap,
                                  storage::store& store, std::string_view secret,
                                  std::chrono::seconds first_row_max,
                                  std::chrono::seconds stall_max) {
  if (auto cleared = store.clear_set(set.id()); !cleared)
    return fail(std::move(cleared).error());
  const auto& definition = set.definition();
  value_hasher hasher{secret};
  auto contents = std::make_shared<set_contents>();
  std::vector<sql::cell> row(definition.table->columns.size());
  bool readable = true;
  const auto add = [&](std::span<const sql::cell> cells) {
    for (std::size_t i = 0; i < cells.size(); ++i)
      row[definition.selected[i]] = cells[i];
    hasher.forget();
    digest value;
    switch (hasher.read(definition.values, row, value)) {
    case value_hasher::reading::value:
      contents->values.add_one(value);
      break;
    case value_hasher::reading::null:
      break;
    case value_hasher::reading::unreadable:
      readable = false;
    }
    return readable && !set.progress().gone;
  };
  const postgres::snapshot_query query{.table = definition.table.get(),
                                       .columns = definition.selected,
                                       .where = definition.filter ? definition.filter->to_sql()
                                                                  : std::string_view{}};
  const auto copied =
      snap.copy_one(query, std::chrono::steady_clock::now() + first_row_max, stall_max, add);
  if (!readable)
    return fail(errc::must_refetch, "what a subquery selects cannot be read");
  if (set.progress().gone)
    return fail(errc::must_refetch, "the shape was removed while its snapshot was read");
  if (!copied) {
    spdlog::warn("copy what a subquery selects: {}", copied.error().to_error().message);
    return fail(copied.error().for_clients());
  }
  if (auto stored = store_values(store, set.id(), contents->values); !stored)
    return fail(std::move(stored).error());
  return set_contents_ptr{std::move(contents)};
}

} // namespace busbar
