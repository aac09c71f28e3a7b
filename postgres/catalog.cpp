#include "postgres/catalog.hpp"

#include "postgres/session.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>

namespace busbar::postgres {

namespace {

template <class Number>
Number to_number(const rows& result, int row, int column) {
  Number value{};
  const auto text = result.at(row, column).value_or(std::string_view{});
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool to_bool(const rows& result, int row, int column) {
  return result.at(row, column) == "t";
}

constexpr std::string_view bytewise_locales = "('C', 'POSIX', 'C.UTF-8', 'C.UTF8', 'C.utf8')";

/// Whether strings compare bytewise: libc's C locales, and from 17 on the builtin provider, which
/// orders by code point. The database's default collation has its locale in pg_database.
std::string database_bytewise(int server_version) {
  const auto libc = "d.datcollate::text IN " + std::string{bytewise_locales};
  if (server_version < 150000)
    return libc;
  const auto by_provider = "d.datlocprovider = 'c' AND " + libc;
  return server_version < 170000 ? by_provider : "d.datlocprovider = 'b' OR (" + by_provider + ")";
}
std::string column_bytewise(int server_version) {
  auto own = "co.collprovider = 'c' AND co.collcollate::text IN " + std::string{bytewise_locales};
  if (server_version >= 170000)
    own = "co.collprovider = 'b' OR (" + own + ")";
  return "CASE WHEN co.oid IS NULL THEN true WHEN co.collprovider = 'd' THEN " +
         database_bytewise(server_version) + " ELSE " + own + " END";
}

/// What a locale knows of letters; an SQL expression on its name.
std::string letters_of(const std::string& locale) {
  return "CASE WHEN " + locale + "::text IN ('C', 'POSIX') THEN 'C' WHEN " + locale +
         "::text IN ('C.UTF-8', 'C.UTF8', 'C.utf8')"
         "  AND pg_catalog.pg_encoding_to_char(d.encoding) = 'UTF8' THEN 'C.UTF-8' END";
}

/// The same of the database's default collation, and of a column's.
std::string database_ctype(int server_version) {
  if (server_version < 150000)
    return letters_of("d.datctype");
  const std::string builtin =
      server_version >= 170000 ? " WHEN 'b' THEN " + letters_of("d.datlocale") : "";
  return "CASE d.datlocprovider WHEN 'c' THEN " + letters_of("d.datctype") + builtin + " END";
}
std::string column_ctype(int server_version) {
  const std::string builtin =
      server_version >= 170000 ? " WHEN 'b' THEN " + letters_of("co.colllocale") : "";
  return "CASE co.collprovider WHEN 'd' THEN " + database_ctype(server_version) +
         " WHEN 'c' THEN " + letters_of("co.collctype") + builtin + " END";
}

/// The transaction of the pg_inherits row `row` if it attached a table that was one of its own,
/// else 0. Attaching writes all the table's columns in pg_attribute anew: a column that is as old
/// as the system columns, which nothing changes, proves that it was made as a partition. (Within
/// one transaction the command ids tell.) Beyond half the range of xids their order is unsure.
std::string attached_expression(const std::string& row) {
  return "CASE WHEN pg_catalog.age(" + row +
         ".xmin) NOT BETWEEN 0 AND 1000000000"
         "  OR EXISTS (SELECT FROM pg_catalog.pg_attribute s JOIN pg_catalog.pg_attribute u"
         "    ON u.attrelid = s.attrelid AND u.xmin = s.xmin AND u.cmin = s.cmin"
         "    WHERE s.attrelid = " +
         row +
         ".inhrelid AND s.attname = 'tableoid' AND s.attnum < 0 AND u.attnum > 0)"
         " THEN '0' ELSE " +
         row + ".xmin::text END";
}

/// True in the first of a table's rows; what holds for the table is worked out only there.
constexpr std::string_view is_first =
    "pg_catalog.row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum) = 1";

/// One row a column; the first six fields repeat what holds for the table. `more` are further
/// fields, each with a comma before it; `which` is the condition on c and n.
std::string table_query(int server_version, const std::string& more, const std::string& which) {
  const std::string first{is_first};
  return "SET LOCAL search_path = ''; SET LOCAL join_collapse_limit = 1; "
         "SELECT c.oid, c.relkind = 'p',"
         // Rows that a snapshot would show, but the stream of this table never carries.
         " CASE WHEN " +
         first +
         " THEN c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits h"
         "   JOIN pg_catalog.pg_class k ON k.oid = h.inhrelid"
         "   WHERE h.inhparent = c.oid AND NOT k.relispartition) END,"
         " CASE WHEN " +
         first +
         " THEN c.relkind = 'p' AND EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid) p"
         "   JOIN pg_catalog.pg_class k ON k.oid = p.relid"
         "   WHERE k.relkind = 'f' OR k.relpersistence <> 'p') END,"
         " pg_catalog.row_security_active(c.oid),"
         " a.attnum IS NOT NULL,"
         " a.attname, a.atttypid, a.atttypmod,"
         " coalesce(e.typname, t.typname), coalesce(e.typtype, t.typtype),"
         " CASE WHEN e.oid IS NULL THEN 0 ELSE greatest(a.attndims::int, 1) END,"
         " a.attnotnull,"
         // indkey counts from 0; columns after indnkeyatts are only INCLUDEd.
         " coalesce((SELECT position FROM (SELECT pg_catalog.array_position(i.indkey::int2[],"
         "     a.attnum) AS position, i.indnkeyatts FROM pg_catalog.pg_index i"
         "     WHERE i.indrelid = c.oid AND i.indisprimary) k WHERE position < indnkeyatts), -1),"
         " a.attgenerated <> '', " +
         column_bytewise(server_version) +
         ", coalesce(co.collisdeterministic, true),"
         " CASE WHEN coalesce(e.typname, t.typname) = 'interval' THEN"
         "   pg_catalog.upper(pg_catalog.btrim(pg_catalog.regexp_replace("
         "     pg_catalog.format_type(a.atttypid, a.atttypmod),"
         "     '^interval|[(][0-9]+[)]|[[][]]', '', 'g'))) END,"
         " a.attnum, n.nspname, c.relname, " +
         column_ctype(server_version) + ", " + database_bytewise(server_version) + ", " +
         database_ctype(server_version) + more +
         " FROM pg_catalog.pg_class c"
         " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
         " JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()"
         " LEFT JOIN pg_catalog.pg_attribute a"
         "   ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
         " LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
         // Only a true array: int2vector and name also have an element type.
         " LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid"
         " LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation "
         "WHERE " +
         which +
         " AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'"
         " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') "
         "ORDER BY c.oid, a.attnum";
}

constexpr int fields_of_table = 24; ///< Of table_query() without `more`.

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

/// What table_query() found from row `row` on; moves `row` behind it. Nullopt if no shape can be
/// built on the table.
std::optional<table_info> take_table(const rows& found, int& row) {
  table_info table;
  const int first = row;
  table.oid = to_number<std::uint32_t>(found, first, 0);
  table.partitioned = to_bool(found, first, 1);
  table.schema = found.text(first, 19);
  table.name = found.text(first, 20);
  table.database_ordered_bytewise = to_bool(found, first, 22);
  table.database_ctype = found.text(first, 23);
  for (; row < found.count() && found.at(row, 0) == found.at(first, 0); ++row) {
    if (!to_bool(found, row, 5))
      continue; // a table without columns has one row, without an attribute
    auto& column = table.columns.emplace_back();
    column.name = found.text(row, 6);
    column.type_oid = to_number<std::uint32_t>(found, row, 7);
    column.type_modifier = to_number<std::int32_t>(found, row, 8);
    column.type_name = found.text(row, 9);
    column.type_class = found.text(row, 10);
    column.dimensions = to_number<std::int32_t>(found, row, 11);
    column.not_null = to_bool(found, row, 12);
    column.key_index = to_number<std::int32_t>(found, row, 13);
    column.generated = to_bool(found, row, 14);
    column.ordered_bytewise = to_bool(found, row, 15);
    column.deterministic = to_bool(found, row, 16);
    column.interval_fields = found.text(row, 17);
    column.number = to_number<std::int16_t>(found, row, 18);
    column.ctype = found.text(row, 21);
  }
  const auto refuse = [&](const char* reason) {
    spdlog::warn("table {}.{} cannot be synced: {}", table.schema, table.name, reason);
    return std::nullopt;
  };
  if (to_bool(found, first, 2))
    return refuse("it has inheritance children, whose rows would be in it and not in its stream");
  if (to_bool(found, first, 3))
    return refuse("a partition is a foreign or unlogged table, which has no stream");
  if (to_bool(found, first, 4))
    return refuse("row security applies to this role, but not to the stream");
  return table;
}

/// What is to be known of domains and enums, and of arrays of them, by the oids of their types.
std::string types_query(const std::string& oids) {
  return "SET LOCAL search_path = ''; "
         // Of a domain the type at the bottom, and the modifier nearest to the column.
         "SELECT t.oid, coalesce(be.typname, b.typname), coalesce(be.typtype, b.typtype),"
         " CASE WHEN be.oid IS NULL THEN 0 ELSE greatest(bottom.ndims, 1) END, bottom.modifier,"
         " s.nspname, y.typname,"
         // Each label after its length, because it may hold anything.
         " (SELECT pg_catalog.string_agg(pg_catalog.octet_length("
         "      pg_catalog.convert_to(l.enumlabel::text, 'UTF8')) || ':' || l.enumlabel, ''"
         "      ORDER BY l.enumsortorder)"
         "    FROM pg_catalog.pg_enum l WHERE l.enumtypid = y.oid)"
         " FROM pg_catalog.pg_type t"
         " LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid"
         " LEFT JOIN LATERAL (WITH RECURSIVE down AS ("
         "   SELECT d.typbasetype AS oid, d.typtypmod AS modifier, d.typndims AS ndims, 1 AS n"
         "   FROM pg_catalog.pg_type d WHERE d.oid = coalesce(e.oid, t.oid) AND d.typtype = 'd'"
         "   UNION ALL SELECT d.typbasetype, CASE WHEN down.modifier < 0 THEN d.typtypmod"
         "     ELSE down.modifier END, greatest(down.ndims, d.typndims), down.n + 1"
         "   FROM down JOIN pg_catalog.pg_type d ON d.oid = down.oid AND d.typtype = 'd')"
         "   SELECT oid, modifier, ndims FROM down ORDER BY n DESC LIMIT 1) bottom ON true"
         " LEFT JOIN pg_catalog.pg_type b ON b.oid = bottom.oid"
         " LEFT JOIN pg_catalog.pg_type be ON be.oid = b.typelem AND be.typarray = b.oid"
         " LEFT JOIN pg_catalog.pg_type y"
         "   ON y.oid = coalesce(be.oid, b.oid, e.oid, t.oid) AND y.typtype = 'e'"
         " LEFT JOIN pg_catalog.pg_namespace s ON s.oid = y.typnamespace"
         " WHERE t.oid IN (" +
         oids + ")";
}

bool is_made_of_others(const table_column& column) {
  return column.type_class == "d" || column.type_class == "e";
}

/// Completes the columns of domains and enums, for which few tables need a second query.
pg_result_of<void> complete_types(connection& session, std::span<table_info> tables,
                                  deadline until) {
  std::string oids;
  for (const auto& table : tables)
    for (const auto& column : table.columns)
      if (is_made_of_others(column))
        oids += (oids.empty() ? "" : ", ") + std::to_string(column.type_oid);
  if (oids.empty())
    return {};
  auto found = session.command(types_query(oids), until);
  if (!found)
    return tl::unexpected<pg_error>{std::move(found).error()};
  std::unordered_map<std::uint32_t, int> row_of;
  for (int row = 0; row < found->count(); ++row)
    row_of[to_number<std::uint32_t>(*found, row, 0)] = row;
  for (auto& table : tables)
    for (auto& column : table.columns) {
      const auto at = row_of.find(column.type_oid);
      if (!is_made_of_others(column) || at == row_of.end())
        continue;
      const int row = at->second;
      if (found->at(row, 1))
        column.base = {.name = found->text(row, 1),
                       .type_class = found->text(row, 2),
                       .dimensions = to_number<std::int32_t>(*found, row, 3),
                       .type_modifier = to_number<std::int32_t>(*found, row, 4)};
      column.enum_schema = found->text(row, 5);
      column.enum_name = found->text(row, 6);
      column.labels = split_labels(found->at(row, 7).value_or(""));
    }
  return {};
}

/// Further fields of table_query(): what table_facts has beside the table.
std::string facts_fields(int server_version, std::string_view publication) {
  const bool has_lists = server_version >= 150000; // row filters, lists, schemas: new in 15
  const bool has_pending = server_version >= 140000;
  const std::string detached = has_pending ? " AND NOT i.inhdetachpending" : "";
  const std::string up =
      "WITH RECURSIVE up AS (SELECT c.oid, c.relnamespace, c.relispartition UNION ALL"
      " SELECT k.oid, k.relnamespace, k.relispartition FROM up JOIN pg_catalog.pg_inherits i"
      "   ON i.inhrelid = up.oid AND up.relispartition"
      "   JOIN pg_catalog.pg_class k ON k.oid = i.inhparent)";
  const std::string of_schemas =
      has_lists ? " UNION ALL SELECT s.oid FROM pg_catalog.pg_publication_namespace s"
                  "   JOIN up ON up.relnamespace = s.pnnspid WHERE s.pnpubid = p.oid"
                : "";
  const std::string whole =
      has_lists ? " AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel r JOIN up"
                  "   ON r.prrelid = up.oid WHERE r.prpubid = p.oid"
                  "   AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL))"
                : "";
  const std::string members = "(" + up +
                              " SELECT pg_catalog.string_agg(m.oid::text, ',')"
                              " FROM pg_catalog.pg_publication p CROSS JOIN LATERAL ("
                              "   SELECT p.oid WHERE p.puballtables"
                              "   UNION ALL SELECT r.oid FROM pg_catalog.pg_publication_rel r"
                              "   JOIN up ON r.prrelid = up.oid WHERE r.prpubid = p.oid" +
                              of_schemas + ") m WHERE p.pubname = " + quote_literal(publication) +
                              " AND p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate"
                              " AND NOT p.pubviaroot" +
                              whole + ")";
  const std::string step = "SELECT i.inhrelid AS relid, " + attached_expression("i") +
                           " AS attached FROM pg_catalog.pg_inherits i"
                           " JOIN pg_catalog.pg_class k ON k.oid = i.inhrelid AND k.relispartition";
  const std::string partitions =
      "CASE WHEN c.relkind = 'p' THEN (WITH RECURSIVE down AS (" + step +
      " WHERE i.inhparent = c.oid" + detached + " UNION ALL " + step +
      " JOIN down ON down.relid = i.inhparent WHERE true" + detached +
      ") SELECT pg_catalog.string_agg(relid::oid::text || ':' || attached, ',') FROM down) END";
  const auto once = [](const std::string& what) {
    return ", CASE WHEN " + std::string{is_first} + " THEN " + what + " END";
  };
  return once(members) +
         once("(SELECT p.xmin::text FROM pg_catalog.pg_publication p WHERE p.pubname = " +
              quote_literal(publication) + ")") +
         once(partitions) +
         once("NOT EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid) t"
              "   JOIN pg_catalog.pg_class l ON l.oid = t.relid"
              "   WHERE t.isleaf AND l.relkind = 'r' AND l.relreplident <> 'f')"
              " AND (c.relkind = 'p' OR c.relreplident = 'f')") +
         once("pg_catalog.pg_current_snapshot()::text");
}

/// "1:2,3:4" or "1,3": calls `visit` with each pair; what is not there is 0.
template <class Visit>
void for_each_pair(std::string_view list, const Visit& visit) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    const auto item = list.substr(0, comma);
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    std::uint32_t first = 0;
    std::uint32_t second = 0;
    const auto end = item.data() + item.size();
    const auto read = std::from_chars(item.data(), end, first);
    if (read.ptr != end)
      std::from_chars(read.ptr + 1, end, second);
    visit(first, second);
  }
}

} // namespace

pg_result_of<std::optional<table_info>> find_table(connection& session, std::string_view schema,
                                                   std::string_view name, deadline until) {
  // Sent as one simple query, so that SET LOCAL holds for the SELECT and no longer.
  auto found = session.command(table_query(session.server_version(), "",
                                           "n.nspname = " + quote_literal(schema) +
                                               " AND c.relname = " + quote_literal(name)),
                               until);
  if (!found)
    return tl::unexpected<pg_error>{std::move(found).error()};
  if (found->count() == 0)
    return std::nullopt;
  int row = 0;
  auto table = take_table(*found, row);
  if (table)
    if (auto completed = complete_types(session, {&*table, 1}, until); !completed)
      return tl::unexpected<pg_error>{std::move(completed).error()};
  return table;
}

pg_result_of<found_facts> find_facts(connection& session, std::string_view publication,
                                     std::span<const std::uint32_t> oids, deadline until) {
  std::string list{"0"}; // no relation's
  for (const auto oid : oids)
    list += ", " + std::to_string(oid);
  const auto version = session.server_version();
  auto found = session.command(
      table_query(version, facts_fields(version, publication), "c.oid IN (" + list + ")"), until);
  if (!found)
    return tl::unexpected<pg_error>{std::move(found).error()};
  found_facts all;
  std::vector<table_info> tables;
  std::vector<table_facts> facts_of; // the same, without the table itself
  for (int row = 0; row < found->count();) {
    const int first = row;
    auto table = take_table(*found, row);
    auto seen = parse_snapshot(found->text(first, fields_of_table + 4));
    if (!seen)
      return tl::unexpected<pg_error>{
          pg_error{trouble::transient, {}, "PostgreSQL told no snapshot"}};
    all.catalog.seen = *std::move(seen);
    if (!table)
      continue;
    table_facts facts;
    facts.publication_xid = to_number<std::uint32_t>(*found, first, fields_of_table + 1);
    for_each_pair(found->at(first, fields_of_table).value_or(""),
                  [&](std::uint32_t oid, std::uint32_t) { facts.published_by.push_back(oid); });
    for_each_pair(found->at(first, fields_of_table + 2).value_or(""),
                  [&](std::uint32_t oid, std::uint32_t xid) {
                    facts.partitions.push_back({oid, xid});
                  });
    std::sort(facts.published_by.begin(), facts.published_by.end());
    std::sort(facts.partitions.begin(), facts.partitions.end(),
              [](const auto& a, const auto& b) { return a.oid < b.oid; });
    if (!to_bool(*found, first, fields_of_table + 3))
      all.without_identity.push_back(table->oid);
    tables.push_back(*std::move(table));
    facts_of.push_back(std::move(facts));
  }
  if (auto completed = complete_types(session, tables, until); !completed)
    return tl::unexpected<pg_error>{std::move(completed).error()};
  for (std::size_t i = 0; i < tables.size(); ++i) {
    facts_of[i].table = std::move(tables[i]);
    all.catalog.tables.push_back(std::make_shared<const table_facts>(std::move(facts_of[i])));
  }
  return all;
}

pg_result_of<partition_places>
find_partition_places(connection& session, std::span<const std::uint32_t> oids, deadline until) {
  std::string list{"0"}; // no relation's
  for (const auto oid : oids)
    list += ", " + std::to_string(oid);
  auto found = session.command(
      "SET LOCAL search_path = ''; "
      "SELECT c.oid, up.parent, up.attached, now.seen,"
      " c.xmax::text <> '0' OR up.in_change OR EXISTS (SELECT FROM pg_catalog.pg_attribute x"
      "   WHERE x.attrelid = c.oid AND x.xmax::text <> '0') FROM"
      " (SELECT pg_catalog.pg_current_snapshot() AS seen) now"
      " LEFT JOIN pg_catalog.pg_class c ON c.oid IN (" +
          list +
          ") LEFT JOIN LATERAL ("
          " SELECT a.n, i.inhparent AS parent, k.xmax::text <> '0' AS in_change,"
          "  " +
          attached_expression("i") +
          " AS attached"
          " FROM pg_catalog.pg_partition_ancestors(c.oid) WITH ORDINALITY a (relid, n)"
          " JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.relid"
          " JOIN pg_catalog.pg_class k ON k.oid = i.inhparent) up ON c.relispartition ORDER BY "
          "c.oid, up.n",
      until);
  if (!found)
    return tl::unexpected<pg_error>{std::move(found).error()};
  auto seen = parse_snapshot(found->text(0, 3));
  if (!seen)
    return tl::unexpected<pg_error>{
        pg_error{trouble::transient, {}, "PostgreSQL told no snapshot"}};
  partition_places places{.found = {}, .seen = *std::move(seen)};
  for (int row = 0; row < found->count() && found->at(row, 0); ++row) {
    const auto oid = to_number<std::uint32_t>(*found, row, 0);
    if (places.found.empty() || places.found.back().oid != oid)
      places.found.push_back({.oid = oid, .above = {}});
    places.found.back().in_change |= to_bool(*found, row, 4);
    if (found->at(row, 1))
      places.found.back().above.push_back(
          {.oid = to_number<std::uint32_t>(*found, row, 1),
           .attached_xid = to_number<std::uint32_t>(*found, row, 2)});
  }
  return places;
}

} // namespace busbar::postgres
