#include "postgres/catalog.hpp"

#include "postgres/catalog_query.hpp"
#include "postgres/session.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace busbar::postgres {

namespace {

/// A row of a query whose fields are numbered by `Field`.
template <class Field>
struct row_of {
  const rows& all;
  int number = 0;

  bool is_null(Field field) const { return !at(field); }
  bool is(Field field) const { return at(field) == "t"; }
  std::string text(Field field) const { return std::string{view(field)}; }
  std::string_view view(Field field) const { return at(field).value_or(std::string_view{}); }
  template <class Number>
  Number to(Field field) const {
    Number value{};
    const auto digits = view(field);
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
  }
  std::optional<std::string_view> at(Field field) const {
    return all.at(number, static_cast<int>(field));
  }
};
using table_row = row_of<table_field>;

std::string to_list(std::span<const std::uint32_t> oids) {
  std::string list{"0"}; // no relation's
  for (const auto oid : oids)
    list += ", " + std::to_string(oid);
  return list;
}

pg_result_of<rows> ask(connection& session, const std::string& sql, deadline until) {
  return session.command(pinned(session.server_version()) + sql, until);
}

auto broken(pg_error why) {
  return tl::unexpected<pg_error>{std::move(why)};
}

/// "1:2,3:4": calls `visit` with the numbers of each item; those that are left out are 0.
template <class Visit>
void for_each_item(std::string_view list, const Visit& visit) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    const auto item = list.substr(0, comma);
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    std::array<std::uint32_t, 4> numbers{};
    const auto* next = item.data();
    const auto* const end = next + item.size();
    for (auto& number : numbers) {
      next = std::from_chars(next, end, number).ptr;
      if (next == end)
        break;
      ++next; // the colon
    }
    visit(numbers);
  }
}

/// "3:one2:ab" → one, ab
std::vector<std::string> split_labels(std::string_view all) {
  std::vector<std::string> labels;
  while (!all.empty()) {
    std::size_t size = 0;
    const auto read = std::from_chars(all.data(), all.data() + all.size(), size);
    all.remove_prefix(static_cast<std::size_t>(read.ptr - all.data()) + 1);
    labels.emplace_back(all.substr(0, size));
    all.remove_prefix(labels.back().size());
  }
  return labels;
}

table_column to_column(const table_row& row) {
  using f = table_field;
  table_column column;
  column.name = row.text(f::column_name);
  column.type_oid = row.to<std::uint32_t>(f::type_oid);
  column.type_modifier = row.to<std::int32_t>(f::type_modifier);
  column.type_name = row.text(f::type_name);
  column.type_class = row.text(f::type_class);
  column.dimensions = row.to<std::int32_t>(f::dimensions);
  column.not_null = row.is(f::not_null);
  column.key_index = row.to<std::int32_t>(f::key_index);
  column.generated = row.is(f::generated);
  column.ordered_bytewise = row.is(f::bytewise);
  column.deterministic = row.is(f::deterministic);
  column.interval_fields = row.text(f::interval_fields);
  column.number = row.to<std::int16_t>(f::column_number);
  column.ctype = row.text(f::ctype);
  return column;
}

/// Why a table has rows that its stream does not carry, or the other way round; null if it has
/// none.
const char* fault_of(const table_row& row) {
  using f = table_field;
  if (row.is(f::has_children))
    return "it has inheritance children, whose rows would be in it and not in its stream";
  if (row.is(f::has_foreign))
    return "a partition is a foreign or unlogged table, which has no stream";
  if (row.is(f::row_security))
    return "row security applies to this role, but not to the stream";
  return nullptr;
}

/// The table whose rows begin with `row`, which is moved behind them. Nullopt if no shape can be
/// built on it.
std::optional<table_info> take_table(table_row& row) {
  using f = table_field;
  const auto first = row;
  table_info table{.oid = first.to<std::uint32_t>(f::oid),
                   .schema = first.text(f::schema),
                   .name = first.text(f::name),
                   .columns = {},
                   .partitioned = first.is(f::partitioned),
                   .database_ordered_bytewise = first.is(f::database_bytewise),
                   .database_ctype = first.text(f::database_ctype)};
  for (; row.number < row.all.count() && row.at(f::oid) == first.at(f::oid); ++row.number)
    if (!row.is_null(f::column_number))
      table.columns.push_back(to_column(row));
  const char* reason = fault_of(first);
  if (reason == nullptr)
    return table;
  spdlog::warn("table {}.{} cannot be synced: {}", table.schema, table.name, reason);
  return std::nullopt;
}

bool is_made_of_others(const table_column& column) {
  return column.type_class == "d" || column.type_class == "e";
}

/// Completes columns of domains and enums, for which few tables need a second query.
pg_result_of<void> complete_types(connection& session, std::span<table_info> tables,
                                  deadline until) {
  using f = type_field;
  std::vector<std::uint32_t> types;
  for (const auto& table : tables)
    for (const auto& column : table.columns)
      if (is_made_of_others(column))
        types.push_back(column.type_oid);
  if (types.empty())
    return {};
  auto found = ask(session, types_query(to_list(types)), until);
  if (!found)
    return broken(std::move(found).error());
  const auto complete = [&](table_column& column) {
    for (row_of<f> row{*found}; row.number < found->count(); ++row.number) {
      if (row.to<std::uint32_t>(f::oid) != column.type_oid)
        continue;
      if (!row.is_null(f::base_name))
        column.base = {.name = row.text(f::base_name),
                       .type_class = row.text(f::base_class),
                       .dimensions = row.to<std::int32_t>(f::base_dimensions),
                       .type_modifier = row.to<std::int32_t>(f::base_modifier)};
      column.enum_schema = row.text(f::enum_schema);
      column.enum_name = row.text(f::enum_name);
      column.labels = split_labels(row.view(f::labels));
    }
  };
  for (auto& table : tables)
    for (auto& column : table.columns)
      if (is_made_of_others(column))
        complete(column);
  return {};
}

/// What the rows of its table, from `row` to before `end`, say beside the columns.
table_facts to_facts(const table_row& row, int end) {
  using f = table_field;
  table_facts facts;
  facts.files = {row.to<std::uint32_t>(f::heap_file), row.to<std::uint32_t>(f::toast_table)};
  for (auto column = row; column.number < end; ++column.number)
    if (!column.is_null(f::column_number))
      facts.column_xids.push_back(column.to<std::uint32_t>(f::column_xid));
  facts.publication_xid = row.to<std::uint32_t>(f::publication_xid);
  const std::array lists{&facts.published_by, &facts.published_above, &facts.placed_by};
  for_each_item(row.view(f::published_by), [&](const auto& item) {
    const auto& [value, kind, none, nothing] = item;
    if (kind < lists.size())
      lists[kind]->push_back(value);
  });
  for (auto* list : lists)
    std::sort(list->begin(), list->end());
  for_each_item(row.view(f::partitions), [&](const auto& item) {
    const auto& [oid, xid, heap, toast] = item;
    facts.partitions.push_back({.oid = oid, .attached_xid = xid, .files = {heap, toast}});
  });
  std::sort(facts.partitions.begin(), facts.partitions.end(),
            [](const auto& a, const auto& b) { return a.oid < b.oid; });
  return facts;
}

} // namespace

pg_result_of<std::optional<table_info>> find_table(connection& session, std::string_view schema,
                                                   std::string_view name, deadline until) {
  // Sent as one simple query, so that SET LOCAL holds for the SELECT and no longer.
  auto found = ask(session, table_query(session.server_version(), schema, name), until);
  if (!found)
    return broken(std::move(found).error());
  if (found->count() == 0)
    return std::nullopt;
  table_row row{*found};
  auto table = take_table(row);
  if (table)
    if (auto completed = complete_types(session, {&*table, 1}, until); !completed)
      return broken(std::move(completed).error());
  return table;
}

pg_result_of<std::string> why_not_found(connection& session, std::string_view schema,
                                        std::string_view name, deadline until) {
  const std::string missing = "does not exist. If the table name contains capitals or special "
                              "characters you must quote it.";
  const auto kind = ask(session, kind_query(schema, name), until);
  if (!kind)
    return broken(kind.error());
  if (kind->count() == 0)
    return missing;
  if (const auto text = kind->at(0, 0))
    return "cannot be synced: it is " + std::string{*text};
  const auto found = ask(session, table_query(session.server_version(), schema, name), until);
  if (!found)
    return broken(found.error());
  const char* fault = found->count() == 0 ? nullptr : fault_of(table_row{*found});
  return fault == nullptr ? missing : std::string{"cannot be synced: "} + fault;
}

pg_result_of<found_facts> find_facts(connection& session, std::string_view publication,
                                     std::span<const std::uint32_t> oids, deadline until) {
  auto found =
      ask(session, facts_query(session.server_version(), publication, to_list(oids)), until);
  if (!found)
    return broken(std::move(found).error());
  found_facts all;
  std::vector<table_info> tables;
  std::vector<table_facts> facts; // of the same
  for (table_row row{*found}; row.number < found->count();) {
    const auto first = row;
    auto table = take_table(row);
    auto seen = parse_snapshot(first.text(table_field::seen));
    if (!seen)
      return broken({trouble::transient, {}, "PostgreSQL told no snapshot"});
    all.catalog.seen = *std::move(seen);
    if (!table)
      continue;
    if (!first.is(table_field::has_identity))
      all.without_identity.push_back(table->oid);
    facts.push_back(to_facts(first, row.number));
    tables.push_back(*std::move(table));
  }
  if (auto completed = complete_types(session, tables, until); !completed)
    return broken(std::move(completed).error());
  for (std::size_t i = 0; i < tables.size(); ++i) {
    facts[i].table = std::move(tables[i]);
    all.catalog.tables.push_back(std::make_shared<const table_facts>(std::move(facts[i])));
  }
  return all;
}

pg_result_of<table_versions> find_versions(connection& session, std::string_view publication,
                                           std::span<const std::uint32_t> oids, deadline until) {
  auto found =
      ask(session, versions_query(session.server_version(), publication, to_list(oids)), until);
  if (!found)
    return broken(std::move(found).error());
  table_versions versions;
  for (row_of<int> row{*found}; row.number < found->count(); ++row.number)
    versions[row.to<std::uint32_t>(0)] = row.text(1);
  return versions;
}

pg_result_of<partition_places>
find_partition_places(connection& session, std::span<const std::uint32_t> oids, deadline until) {
  enum class field : int { oid, parent, attached, seen, in_change };
  auto found = ask(session, places_query(to_list(oids)), until);
  if (!found)
    return broken(std::move(found).error());
  row_of<field> row{*found};
  auto seen = parse_snapshot(row.text(field::seen));
  if (!seen)
    return broken({trouble::transient, {}, "PostgreSQL told no snapshot"});
  partition_places places{.found = {}, .seen = *std::move(seen)};
  for (; row.number < found->count() && !row.is_null(field::oid); ++row.number) {
    const auto oid = row.to<std::uint32_t>(field::oid);
    if (places.found.empty() || places.found.back().oid != oid)
      places.found.push_back({.oid = oid, .above = {}});
    places.found.back().in_change |= row.is(field::in_change);
    if (!row.is_null(field::parent))
      places.found.back().above.push_back({.oid = row.to<std::uint32_t>(field::parent),
                                           .attached_xid = row.to<std::uint32_t>(field::attached)});
  }
  return places;
}

} // namespace busbar::postgres
