#include "postgres/catalog_query.hpp"

#include "postgres/connection.hpp"

namespace busbar::postgres {

namespace {

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

/// The transaction of the pg_inherits row i if it attached a table that was one of its own, else 0.
/// Attaching writes all the table's columns in pg_attribute anew: a column that is as old as the
/// system columns, which nothing changes, proves that it was made as a partition. (Within one
/// transaction the command ids tell.) Beyond half the range of xids their order is unsure.
constexpr std::string_view attached =
    "CASE WHEN pg_catalog.age(i.xmin) NOT BETWEEN 0 AND 1000000000"
    "  OR EXISTS (SELECT FROM pg_catalog.pg_attribute s JOIN pg_catalog.pg_attribute u"
    "    ON u.attrelid = s.attrelid AND u.xmin = s.xmin AND u.cmin = s.cmin"
    "    WHERE s.attrelid = i.inhrelid AND s.attname = 'tableoid' AND s.attnum < 0 AND u.attnum > "
    "0)"
    " THEN '0' ELSE i.xmin::text END";

/// `about` are fields of the table c alone, from a SELECT of its own, so that they are worked out
/// once a table: joins are made in the order written, which also saves most of the planning.
std::string query(int server_version, const std::string& about, const std::string& fields,
                  const std::string& which) {
  return "SET LOCAL search_path = ''; SET LOCAL join_collapse_limit = 1; "
         "SELECT c.oid, n.nspname, c.relname, c.relkind = 'p', x.has_children, x.has_foreign,"
         " x.row_security, " +
         database_bytewise(server_version) + ", " + database_ctype(server_version) +
         ", a.attnum, a.attname, a.atttypid, a.atttypmod,"
         " coalesce(e.typname, t.typname), coalesce(e.typtype, t.typtype),"
         " CASE WHEN e.oid IS NULL THEN 0 ELSE greatest(a.attndims::int, 1) END,"
         " a.attnotnull,"
         // indkey counts from 0; columns after indnkeyatts are only INCLUDEd.
         " coalesce((SELECT position FROM (SELECT pg_catalog.array_position(i.indkey::int2[],"
         "     a.attnum) AS position, i.indnkeyatts FROM pg_catalog.pg_index i"
         "     WHERE i.indrelid = c.oid AND i.indisprimary) k WHERE position < indnkeyatts), -1),"
         " a.attgenerated <> '', " +
         column_bytewise(server_version) + ", coalesce(co.collisdeterministic, true), " +
         column_ctype(server_version) +
         ", CASE WHEN coalesce(e.typname, t.typname) = 'interval' THEN"
         "   pg_catalog.upper(pg_catalog.btrim(pg_catalog.regexp_replace("
         "     pg_catalog.format_type(a.atttypid, a.atttypmod),"
         "     '^interval|[(][0-9]+[)]|[[][]]', '', 'g'))) END" +
         fields +
         " FROM pg_catalog.pg_class c"
         " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
         " JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()"
         // Rows that a snapshot would show, but the stream of this table never carries.
         " CROSS JOIN LATERAL (SELECT c.relkind = 'r' AND EXISTS (SELECT"
         "     FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class k ON k.oid = h.inhrelid"
         "     WHERE h.inhparent = c.oid AND NOT k.relispartition) AS has_children,"
         "   pg_catalog.row_security_active(c.oid) AS row_security, " +
         about +
         " OFFSET 0) x"
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

/// A list of pairs: the rows of the catalog that make c a member of the publication (row:0), those
/// that make a table above it one (row:1), and the transactions that put it and those where they
/// stand (xid:2; beyond half the range of xids their order is unsure).
std::string members(int server_version, std::string_view publication) {
  const bool has_lists = server_version >= 150000; // row filters, lists, schemas: new in 15
  const std::string of_schemas =
      has_lists ? " UNION ALL SELECT s.oid, up.n FROM pg_catalog.pg_publication_namespace s"
                  "   JOIN up ON up.relnamespace = s.pnnspid WHERE s.pnpubid = p.oid"
                : "";
  const std::string whole =
      has_lists ? " AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel r JOIN up"
                  "   ON r.prrelid = up.oid WHERE r.prpubid = p.oid"
                  "   AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL))"
                : "";
  return "(WITH RECURSIVE up AS (SELECT 0 AS n, c.oid, c.relnamespace, c.relispartition,"
         "     '0' AS placed UNION ALL"
         "   SELECT up.n + 1, y.* FROM up CROSS JOIN LATERAL (SELECT k.oid, k.relnamespace,"
         "       k.relispartition, CASE WHEN pg_catalog.age(i.xmin) BETWEEN 0 AND 1000000000"
         "         THEN i.xmin::text ELSE '0' END AS placed"
         "     FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class k ON k.oid = i.inhparent"
         "     WHERE i.inhrelid = up.oid OFFSET 0) y WHERE up.relispartition)"
         " SELECT pg_catalog.string_agg(m.row || ':' || m.kind, ',') FROM"
         " (SELECT m.oid::text AS row, CASE WHEN m.n = 0 THEN '0' ELSE '1' END AS kind"
         "  FROM pg_catalog.pg_publication p CROSS JOIN LATERAL (SELECT p.oid, 0 WHERE "
         "p.puballtables"
         "    UNION ALL SELECT r.oid, up.n FROM pg_catalog.pg_publication_rel r"
         "    JOIN up ON r.prrelid = up.oid WHERE r.prpubid = p.oid" +
         of_schemas + ") m (oid, n) WHERE p.pubname = " + quote_literal(publication) +
         "  AND p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate"
         "  AND NOT p.pubviaroot" +
         whole + " UNION ALL SELECT placed, '2' FROM up WHERE placed <> '0') m)";
}

std::string publication_xid(std::string_view publication) {
  return "(SELECT p.xmin::text FROM pg_catalog.pg_publication p WHERE p.pubname = " +
         quote_literal(publication) + ")";
}

} // namespace

std::string table_query(int server_version, std::string_view schema, std::string_view name) {
  return query(server_version,
               "c.relkind = 'p' AND EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid) p"
               "   JOIN pg_catalog.pg_class k ON k.oid = p.relid"
               "   WHERE k.relkind = 'f' OR k.relpersistence <> 'p') AS has_foreign",
               "",
               "n.nspname = " + quote_literal(schema) + " AND c.relname = " + quote_literal(name));
}

std::string kind_query(std::string_view schema, std::string_view name) {
  return "SET LOCAL search_path = ''; "
         "SELECT CASE"
         " WHEN c.relkind = 'v' THEN 'a view, which has no stream'"
         " WHEN c.relkind = 'm' THEN 'a materialized view, which has no stream'"
         " WHEN c.relkind = 'f' THEN 'a foreign table, which has no stream'"
         " WHEN c.relkind NOT IN ('r', 'p') THEN 'not a table'"
         " WHEN c.relpersistence = 'u' THEN 'an unlogged table, which has no stream'"
         " WHEN c.relpersistence <> 'p' THEN 'a temporary table, which has no stream'"
         " WHEN n.nspname IN ('pg_catalog', 'information_schema', 'pg_toast')"
         "   THEN 'a table of the system, which has no stream' END"
         " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
         " WHERE n.nspname = " +
         quote_literal(schema) + " AND c.relname = " + quote_literal(name);
}

std::string facts_query(int server_version, std::string_view publication, const std::string& oids) {
  // Read from pg_inherits, because pg_partition_tree() shows the present, not our snapshot.
  const auto step = [&](const std::string& parent) {
    return "SELECT k.oid, k.relkind, k.relpersistence, k.relreplident, k.relfilenode,"
           " k.reltoastrelid, " +
           std::string{attached} +
           " AS attached FROM pg_catalog.pg_inherits i"
           " JOIN pg_catalog.pg_class k ON k.oid = i.inhrelid WHERE i.inhparent = " +
           parent + (server_version >= 140000 ? " AND NOT i.inhdetachpending" : "");
  };
  const auto about =
      "tree.*, " + members(server_version, publication) + " AS published_by, " +
      publication_xid(publication) +
      " AS publication_xid, pg_catalog.pg_current_snapshot()::text AS seen"
      " FROM (WITH RECURSIVE down AS (" +
      step("c.oid AND c.relkind = 'p'") + " UNION ALL SELECT y.* FROM down CROSS JOIN LATERAL (" +
      step("down.oid") +
      "   OFFSET 0) y WHERE down.relkind = 'p')"
      " SELECT coalesce(pg_catalog.bool_or(relkind = 'f' OR relpersistence <> 'p'), false)"
      "     AS has_foreign,"
      "   pg_catalog.string_agg(pg_catalog.concat_ws(':', oid, attached, relfilenode, "
      "reltoastrelid), ',')"
      "     AS partitions,"
      "   CASE WHEN c.relkind = 'p' THEN"
      "     NOT coalesce(pg_catalog.bool_or(relkind = 'r' AND relreplident <> 'f'), false)"
      "   ELSE c.relreplident = 'f' END AS has_identity FROM down) tree";
  return query(
      server_version, about,
      ", x.published_by, x.publication_xid, x.partitions, x.has_identity, x.seen, c.relfilenode,"
      " c.reltoastrelid, a.xmin",
      "c.oid IN (" + oids + ")");
}

std::string versions_query(int server_version, std::string_view publication,
                           const std::string& oids) {
  return "SET LOCAL search_path = ''; "
         "SELECT c.oid, pg_catalog.concat_ws('|', c.xmin, c.cmin, n.xmin, " +
         members(server_version, publication) + ", " + publication_xid(publication) +
         ", (SELECT pg_catalog.string_agg(a.xmin::text || '/' || a.cmin, ' ' ORDER BY a.attnum)"
         "     FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),"
         " (SELECT pg_catalog.string_agg(i.indexrelid::text || '/' || i.xmin, ' ')"
         "     FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary),"
         " (SELECT pg_catalog.md5(pg_catalog.string_agg(i.inhrelid::text || '/' || i.xmin, ' '"
         "       ORDER BY i.inhrelid))"
         "     FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid))"
         " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
         " WHERE c.oid IN (" +
         oids + ")";
}

std::string types_query(const std::string& oids) {
  return "SET LOCAL search_path = ''; "
         // Of a domain the type at the bottom, and the modifier nearest to the column.
         "SELECT t.oid, coalesce(be.typname, b.typname), coalesce(be.typtype, b.typtype),"
         " CASE WHEN be.oid IS NULL THEN 0 ELSE greatest(bottom.ndims, 1) END, bottom.modifier,"
         " s.nspname, y.typname,"
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

std::string places_query(const std::string& oids) {
  return "SET LOCAL search_path = ''; "
         "SELECT c.oid, up.parent, up.attached, now.seen,"
         " c.xmax::text <> '0' OR up.in_change OR EXISTS (SELECT FROM pg_catalog.pg_attribute x"
         "   WHERE x.attrelid = c.oid AND x.xmax::text <> '0') FROM"
         " (SELECT pg_catalog.pg_current_snapshot() AS seen) now"
         " LEFT JOIN pg_catalog.pg_class c ON c.oid IN (" +
         oids +
         ") LEFT JOIN LATERAL ("
         " SELECT a.n, i.inhparent AS parent, k.xmax::text <> '0' AS in_change, " +
         std::string{attached} +
         " AS attached"
         " FROM pg_catalog.pg_partition_ancestors(c.oid) WITH ORDINALITY a (relid, n)"
         " JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.relid"
         " JOIN pg_catalog.pg_class k ON k.oid = i.inhparent) up ON c.relispartition"
         " ORDER BY c.oid, up.n";
}

} // namespace busbar::postgres
