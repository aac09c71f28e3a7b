#include "shapes/definition.hpp"

#include <algorithm>
#include <charconv>

namespace busbar {

namespace {

/// Of all parameters of a shape's clause, which is kept, and compared with others, in its entirety.
constexpr std::size_t parameter_bytes_max = 256 * 1024;

std::optional<std::uint16_t> find_column(const table_info& table, std::string_view name) {
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    if (table.columns[i].name == name)
      return static_cast<std::uint16_t>(i);
  return std::nullopt;
}

/// Resolves a list of names and checks that it holds the key; `field` is the parameter's name.
result<std::vector<std::uint16_t>> resolve_columns(const table_info& table,
                                                   const std::vector<std::string>& names,
                                                   const std::string& field) {
  std::vector<std::uint16_t> indices;
  for (const auto& name : names) {
    const auto index = find_column(table, name);
    if (!index)
      return fail(errc::invalid_argument, "The following columns could not be found: " + name,
                  field);
    if (table.columns[*index].generated)
      return fail(errc::invalid_argument,
                  "column \"" + name + "\" is generated, and PostgreSQL does not replicate it",
                  field);
    indices.push_back(*index);
  }
  std::sort(indices.begin(), indices.end());
  indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
  for (const auto key : key_columns(table))
    if (!std::binary_search(indices.begin(), indices.end(), key))
      return fail(errc::invalid_argument,
                  "The list of columns must include all primary key columns, missing: " +
                      table.columns[key].name,
                  field);
  return indices;
}

result<std::vector<std::uint16_t>> all_columns(const table_info& table) {
  std::vector<std::uint16_t> indices;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (table.columns[i].generated)
      return fail(
          errc::invalid_argument,
          "the table has a generated column, \"" + table.columns[i].name +
              "\", which PostgreSQL does not replicate; list the other columns in `columns`",
          "columns");
    indices.push_back(static_cast<std::uint16_t>(i));
  }
  return indices;
}

void append_part(std::string& out, std::string_view part) {
  out += std::to_string(part.size());
  out += ':';
  out += part;
}

std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 14695981039346656037u;
  for (const char c : text)
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

} // namespace

std::vector<std::uint16_t> key_columns(const table_info& table) {
  std::vector<std::pair<std::int32_t, std::uint16_t>> keyed;
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    if (table.columns[i].key_index >= 0)
      keyed.emplace_back(table.columns[i].key_index, static_cast<std::uint16_t>(i));
  std::sort(keyed.begin(), keyed.end());
  std::vector<std::uint16_t> indices;
  for (const auto& [position, index] : keyed)
    indices.push_back(index);
  if (indices.empty())
    for (std::size_t i = 0; i < table.columns.size(); ++i)
      indices.push_back(static_cast<std::uint16_t>(i));
  return indices;
}

namespace {

sql::case_rule cases_of(std::string_view ctype) {
  return ctype == "C"         ? sql::case_rule::ascii
         : ctype == "C.UTF-8" ? sql::case_rule::unicode
                              : sql::case_rule::unknown;
}

/// Of a domain, what its base type is. An array of a domain and a domain over an enum are left as
/// they are, which clauses cannot use: PostgreSQL has no operators for the latter either.
sql::column clause_column(const table_column& c) {
  const bool is_domain = !c.base.name.empty() && c.dimensions == 0 && c.base.type_class != "e";
  sql::column out{.name = c.name,
                  .type_name = is_domain ? c.base.name : c.type_name,
                  .type_class = is_domain ? c.base.type_class : c.type_class,
                  .dimensions = is_domain ? c.base.dimensions : c.dimensions,
                  .type_modifier = is_domain ? c.base.type_modifier : c.type_modifier,
                  .ordered_bytewise = c.ordered_bytewise,
                  .deterministic = c.deterministic,
                  .generated = c.generated,
                  .cases = cases_of(c.ctype),
                  .not_null = c.not_null};
  if (!c.enum_name.empty())
    out.labels = std::make_shared<const sql::enum_type>(
        sql::enum_type{c.enum_schema, c.enum_name, c.labels});
  return out;
}

} // namespace

std::vector<sql::column> clause_columns(const table_info& table) {
  std::vector<sql::column> columns;
  columns.reserve(table.columns.size());
  for (const auto& c : table.columns)
    columns.push_back(clause_column(c));
  return columns;
}

sql::collation clause_collation(const table_info& table) {
  return {.ordered_bytewise = table.database_ordered_bytewise,
          .cases = cases_of(table.database_ctype)};
}

namespace {

std::vector<sql::inner_table> clause_tables(const table_list& inner) {
  std::vector<sql::inner_table> tables;
  for (const auto& table : inner)
    tables.push_back(
        {table->schema, table->name, clause_columns(*table), clause_collation(*table)});
  return tables;
}

/// `negated` subqueries of the plan.
std::vector<bool> negated_of(const sql::subquery_plan& plan) {
  std::vector<bool> negated(plan.subqueries.size());
  for (const auto& position : plan.positions)
    if (!position.leaf && position.negated)
      negated[position.subquery] = true;
  return negated;
}

/// The sets that a clause asks, without their group.
std::vector<std::shared_ptr<shape_definition>> sets_of(const sql::predicate& clause,
                                                       const table_list& inner) {
  std::vector<std::shared_ptr<shape_definition>> sets;
  const auto* plan = clause.subqueries();
  if (plan == nullptr)
    return sets;
  const auto negated = negated_of(*plan);
  for (std::size_t i = 0; i < plan->subqueries.size(); ++i) {
    const auto& query = plan->subqueries[i];
    const auto table = std::find_if(inner.begin(), inner.end(), [&](const auto& t) {
      return t->schema == query.schema && t->name == query.table;
    });
    auto set = std::make_shared<shape_definition>();
    set->table = *table; // or the clause would not have compiled
    set->selected = query.columns;
    std::sort(set->selected.begin(), set->selected.end());
    set->selected.erase(std::unique(set->selected.begin(), set->selected.end()),
                        set->selected.end());
    set->values = query.keys;
    set->without_null = negated[i];
    set->where = query.sql;
    if (query.where) {
      set->filter = query.where;
      for (auto& below : sets_of(*query.where, inner))
        set->inner.push_back(std::move(below));
    }
    sets.push_back(std::move(set));
  }
  return sets;
}

/// A copy of the set and all below it, as part of the group.
std::shared_ptr<const shape_definition> in_group(const shape_definition& set, std::uint32_t group) {
  auto copy = std::make_shared<shape_definition>(set);
  copy->group = group;
  for (auto& below : copy->inner)
    below = in_group(*below, group);
  return copy;
}

void add_sets(const shape_definition& shape,
              std::vector<std::shared_ptr<const shape_definition>>& all) {
  for (const auto& set : shape.inner) {
    add_sets(*set, all);
    if (std::none_of(all.begin(), all.end(),
                     [&](const auto& s) { return s->identity() == set->identity(); }))
      all.push_back(set);
  }
}

} // namespace

std::vector<std::shared_ptr<const shape_definition>> sets_below(const shape_definition& shape) {
  std::vector<std::shared_ptr<const shape_definition>> all;
  add_sets(shape, all);
  return all;
}

table_list tables_below(const shape_definition& shape) {
  table_list tables;
  for (const auto& set : sets_below(shape))
    tables.push_back(set->table);
  return tables;
}

result<shape_definition> define_set(const set_words& words, const table_info& table,
                                    const table_list& inner) {
  std::string text;
  for (const auto index : words.columns)
    text += (text.empty() ? "(" : ", ") + sql::quoted_identifier(table.columns[index].name);
  text += ") IN (" + words.select + ")";
  const auto clause = sql::predicate::compile(text, {}, clause_columns(table),
                                              clause_collation(table), clause_tables(inner));
  if (!clause)
    return fail(clause.error());
  const auto sets = sets_of(**clause, inner);
  auto set = *in_group(*sets.front(), words.group);
  set.without_null = words.without_null;
  return set;
}

result<shape_definition> define_shape(const shape_request& request,
                                      std::shared_ptr<const table_info> table,
                                      const table_list& inner, sql::program_pool* clauses) {
  if (table->columns.empty())
    return fail(errc::invalid_argument, "the table has no columns", "table");
  const auto flawed = [&](std::string_view field) {
    return request.flaw && request.flaw->field == field;
  };
  if (flawed("columns") || flawed("queryable_columns"))
    return fail(error{*request.flaw});
  shape_definition shape;
  std::optional<std::vector<std::uint16_t>> queryable;
  if (request.queryable_columns) {
    auto resolved = resolve_columns(*table, *request.queryable_columns, "queryable_columns");
    if (!resolved)
      return fail(std::move(resolved).error());
    queryable = std::move(*resolved);
  }
  shape.selects_all = !request.columns.has_value();
  auto selected = request.columns ? resolve_columns(*table, *request.columns, "columns")
                  : queryable     ? result<std::vector<std::uint16_t>>{*queryable}
                                  : all_columns(*table);
  if (!selected)
    return fail(std::move(selected).error());
  if (queryable &&
      !std::includes(queryable->begin(), queryable->end(), selected->begin(), selected->end()))
    return fail(errc::invalid_argument, "`columns` names a column outside of `queryable_columns`",
                "columns");
  shape.selected = std::move(*selected);
  if (flawed("where") || flawed("params"))
    return fail(error{*request.flaw});
  if (!request.where.empty()) {
    std::size_t parameter_bytes = 0;
    for (const auto& parameter : request.parameters)
      parameter_bytes += parameter.size();
    if (parameter_bytes > parameter_bytes_max)
      return fail(errc::invalid_argument,
                  "the parameters of a shape hold at most " + std::to_string(parameter_bytes_max) +
                      " bytes together",
                  "params");
    const auto columns = clause_columns(*table);
    auto filter = sql::predicate::compile(request.where, request.parameters, columns,
                                          clause_collation(*table), clause_tables(inner), clauses);
    if (!filter)
      return fail(std::move(filter).error());
    auto sets = sets_of(**filter, inner);
    if (!sets.empty()) {
      const auto* first = sets.front().get(); // shapes that ask it first share it
      while (!first->inner.empty())
        first = first->inner.front().get();
      shape.group = static_cast<std::uint32_t>(fnv1a(first->identity()) % shape_groups);
      for (const auto& set : sets)
        shape.inner.push_back(in_group(*set, shape.group));
    }
    shape.filter = std::move(*filter);
    shape.where = request.where;
    shape.parameters = request.parameters;
  }
  if (request.flaw) // of a subset
    return fail(error{*request.flaw});
  shape.replica_full = request.replica_full;
  shape.changes_only = request.changes_only;
  shape.table = std::move(table);
  return shape;
}

std::string shape_definition::identity() const {
  std::string text = std::to_string(table->oid);
  if (is_set()) {
    text += without_null ? "!" : "?";
    append_part(text, std::to_string(group));
    for (const auto& form : values)
      append_part(text, std::to_string(form.column));
  }
  append_part(text, table->schema);
  append_part(text, table->name);
  for (const auto key : key_columns(*table))
    append_part(text, table->columns[key].name);
  append_part(text, filter ? filter->canonical() : std::string_view{});
  text += selects_all ? '*' : '=';
  for (const auto index : selected)
    append_part(text, table->columns[index].name);
  text += replica_full ? 'f' : 'd';
  text += changes_only ? 'c' : 'a';
  return text;
}

std::string make_handle(std::string_view identity, std::uint64_t micros) {
  return std::to_string(fnv1a(identity) & ((1u << 27) - 1)) + '-' + std::to_string(micros);
}

std::uint64_t made_at(std::string_view handle) noexcept {
  const auto dash = handle.find('-');
  if (dash == std::string_view::npos)
    return 0;
  const auto digits = handle.substr(dash + 1);
  std::uint64_t micros = 0;
  const auto* end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, micros);
  return read.ec == std::errc{} && read.ptr == end ? micros : 0;
}

} // namespace busbar
