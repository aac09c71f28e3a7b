// postgres/catalog_query.hpp: the queries that the catalog is asked, and where their fields are.
// Private to postgres/.
#pragma once

#include <string>
#include <string_view>

namespace busbar::postgres {

/// The fields of table_query(), one row a column of a table; what is said of the table is repeated
/// in each. A table without columns has one row, whose column number is NULL.
enum class table_field : int {
  oid,
  schema,
  name,
  partitioned,
  has_children, ///< Of inheritance.
  has_foreign,  ///< Partitions that are foreign or unlogged.
  row_security,
  database_bytewise,
  database_ctype,
  column_number,
  column_name,
  type_oid,
  type_modifier,
  type_name,
  type_class,
  dimensions,
  not_null,
  key_index,
  generated,
  bytewise,
  deterministic,
  ctype,
  interval_fields,
  // Of facts_query() only:
  published_by, ///< "501:0,502:1,740:2": row of a member, of one above, transaction that placed it
  publication_xid,
  partitions, ///< "1:2:7:8,3:0:9:0", oid, the transaction that attached it, and the next two
  has_identity,
  seen,
  heap_file,
  toast_table,
  column_xid,
};

/// The tables of that name (one at most) that a shape could be on by their kind.
std::string table_query(int server_version, std::string_view schema, std::string_view name);

/// One row if there is anything of that name, with what it is if no shape can be on its kind.
std::string kind_query(std::string_view schema, std::string_view name);

/// The same for tables by their oids, with the fields of table_facts. `oids` is a list with commas.
std::string facts_query(int server_version, std::string_view publication, const std::string& oids);

/// oid and version of each of these tables: a text that changes with all that facts_query() tells,
/// except for what lies more than one step below a partitioned table.
std::string versions_query(int server_version, std::string_view publication,
                           const std::string& oids);

/// What is to be known of domains and enums, and of arrays of them, by the oids of their types.
enum class type_field : int {
  oid,
  base_name, ///< NULL if it is no domain.
  base_class,
  base_dimensions,
  base_modifier,
  enum_schema, ///< NULL if there is no enum in it.
  enum_name,
  labels, ///< "3:one2:ab": each after its length, because it may hold anything.
};
std::string types_query(const std::string& oids);

/// oid, then one row for each step up from it: parent, transaction that attached it (or 0); the
/// snapshot; whether a transaction that is not visible yet changes any of it.
std::string places_query(const std::string& oids);

} // namespace busbar::postgres
