#include "postgres/catalog.hpp"

#include "postgres/session.hpp"

#include <spdlog/spdlog.h>

#include <charconv>

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

/// Whether strings compare bytewise: libc's C locales, and from 17 on the builtin provider, which
/// orders by code point. The database's default collation has its locale in pg_database.
std::string bytewise_expression(int server_version) {
  const std::string locales = "('C', 'POSIX', 'C.UTF-8', 'C.UTF8', 'C.utf8')";
  std::string database = "d.datcollate::text IN " + locales;
  if (server_version >= 150000)
    database = "d.datlocprovider = 'c' AND " + database;
  if (server_version >= 170000)
    database = "d.datlocprovider = 'b' OR (" + database + ")";
  std::string own = "co.collprovider = 'c' AND co.collcollate::text IN " + locales;
  if (server_version >= 170000)
    own = "co.collprovider = 'b' OR (" + own + ")";
  return "CASE WHEN co.oid IS NULL THEN true WHEN co.collprovider = 'd' THEN " + database +
         " ELSE " + own + " END";
}

/// One row a column; the first six fields repeat what holds for the table.
std::string table_query(int server_version, std::string_view schema, std::string_view name) {
  return "SET LOCAL search_path = ''; "
         "SELECT c.oid, c.relkind = 'p',"
         // Rows that a snapshot would show, but the stream of this table never carries.
         " c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits h"
         "   JOIN pg_catalog.pg_class k ON k.oid = h.inhrelid"
         "   WHERE h.inhparent = c.oid AND NOT k.relispartition),"
         " c.relkind = 'p' AND EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid) p"
         "   JOIN pg_catalog.pg_class k ON k.oid = p.relid"
         "   WHERE k.relkind = 'f' OR k.relpersistence <> 'p'),"
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
         bytewise_expression(server_version) +
         ", coalesce(co.collisdeterministic, true),"
         " CASE WHEN coalesce(e.typname, t.typname) = 'interval' THEN"
         "   pg_catalog.upper(pg_catalog.btrim(pg_catalog.regexp_replace("
         "     pg_catalog.format_type(a.atttypid, a.atttypmod),"
         "     '^interval|[(][0-9]+[)]|[[][]]', '', 'g'))) END "
         "FROM pg_catalog.pg_class c"
         " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
         " JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()"
         " LEFT JOIN pg_catalog.pg_attribute a"
         "   ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
         " LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
         // Only a true array: int2vector and name also have an element type.
         " LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid"
         " LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation "
         "WHERE n.nspname = " +
         quote_literal(schema) + " AND c.relname = " + quote_literal(name) +
         " AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'"
         " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') "
         "ORDER BY a.attnum";
}

} // namespace

pg_result_of<std::optional<table_info>> find_table(connection& session, std::string_view schema,
                                                   std::string_view name, deadline until) {
  // Sent as one simple query, so that SET LOCAL holds for the SELECT and no longer.
  auto found = session.command(table_query(session.server_version(), schema, name), until);
  if (!found)
    return tl::unexpected<pg_error>{std::move(found).error()};
  if (found->count() == 0)
    return std::nullopt;
  const auto refuse = [&](const char* reason) {
    spdlog::warn("table {}.{} cannot be synced: {}", schema, name, reason);
    return std::nullopt;
  };
  if (to_bool(*found, 0, 2))
    return refuse("it has inheritance children, whose rows would be in it and not in its stream");
  if (to_bool(*found, 0, 3))
    return refuse("a partition is a foreign or unlogged table, which has no stream");
  if (to_bool(*found, 0, 4))
    return refuse("row security applies to this role, but not to the stream");
  table_info table;
  table.oid = to_number<std::uint32_t>(*found, 0, 0);
  table.schema = schema;
  table.name = name;
  table.partitioned = to_bool(*found, 0, 1);
  for (int row = 0; row < found->count(); ++row) {
    if (!to_bool(*found, row, 5))
      break; // a table without columns has one row, without an attribute
    auto& column = table.columns.emplace_back();
    column.name = found->text(row, 6);
    column.type_oid = to_number<std::uint32_t>(*found, row, 7);
    column.type_modifier = to_number<std::int32_t>(*found, row, 8);
    column.type_name = found->text(row, 9);
    column.type_class = found->text(row, 10);
    column.dimensions = to_number<std::int32_t>(*found, row, 11);
    column.not_null = to_bool(*found, row, 12);
    column.key_index = to_number<std::int32_t>(*found, row, 13);
    column.generated = to_bool(*found, row, 14);
    column.ordered_bytewise = to_bool(*found, row, 15);
    column.deterministic = to_bool(*found, row, 16);
    column.interval_fields = found->text(row, 17);
  }
  return table;
}

pg_result_of<partition_places>
find_partition_places(connection& session, std::span<const std::uint32_t> oids, deadline until) {
  std::string list{"0"}; // no relation's
  for (const auto oid : oids)
    list += ", " + std::to_string(oid);
  auto found = session.command(
      "SET LOCAL search_path = ''; "
      "SELECT c.oid, up.parent, up.attached, now.seen,"
      " c.xmax::text <> '0' OR up.in_change FROM"
      " (SELECT pg_catalog.pg_current_snapshot() AS seen) now"
      " LEFT JOIN pg_catalog.pg_class c ON c.oid IN (" +
          list +
          ") LEFT JOIN LATERAL ("
          " SELECT a.n, i.inhparent AS parent, k.xmax::text <> '0' AS in_change,"
          // Attaching a table writes all its columns in pg_attribute anew. A column that is as old
          // as the system columns, which nothing changes, proves that it was made as a partition.
          // (Within one transaction the command ids tell.) Beyond half the range of xids their
          // order is unsure.
          "  CASE WHEN pg_catalog.age(i.xmin) NOT BETWEEN 0 AND 1000000000"
          "    OR EXISTS (SELECT FROM pg_catalog.pg_attribute s JOIN pg_catalog.pg_attribute u"
          "      ON u.attrelid = s.attrelid AND u.xmin = s.xmin AND u.cmin = s.cmin"
          "      WHERE s.attrelid = i.inhrelid AND s.attname = 'tableoid' AND s.attnum < 0"
          "      AND u.attnum > 0)"
          "   THEN '0' ELSE i.xmin::text END AS attached"
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
