// shapes/table.hpp: what PostgreSQL's catalog says of a table, as far as shapes need it.
#pragma once

#include "base/snapshot.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace busbar {

struct table_column {
  std::string name;
  std::uint32_t type_oid = 0;
  std::int32_t type_modifier = -1;
  std::string type_name; ///< pg_type.typname; of the element type for an array.
  std::string type_class =
      "b"; ///< pg_type.typtype of the (element) type: b base, e enum, d domain …
  std::int32_t dimensions = 0; ///< Declared array dimensions; at least 1 for any array type.
  bool not_null = false;
  std::int32_t key_index = -1; ///< 0-based position in the primary key, -1 if not part of it.
  bool generated = false;      ///< Stored generated column: not in the stream before PostgreSQL 18.
  bool ordered_bytewise = true; ///< Its collation (if it has one) is C, POSIX or C.UTF-8.
  bool deterministic = true;    ///< Its collation is deterministic: equality is bytewise.
  std::string interval_fields;  ///< For interval with a field restriction, e.g. "DAY TO SECOND".
  std::int16_t number = 0; ///< pg_attribute.attnum, which no later column has again; 0 = not known.

  // What clauses need beyond that.
  std::string ctype =
      {}; ///< What its collation knows of letters: "C", "C.UTF-8"; "" = something else.
  std::string enum_schema = {};         ///< Of an enum (or the enum below a domain): its schema …
  std::string enum_name = {};           ///< … its name …
  std::vector<std::string> labels = {}; ///< … and its values, in order.
  /// Of a domain: the type at the bottom, in the terms of above; no name if it is no domain.
  struct base_type {
    std::string name = {};
    std::string type_class = {};
    std::int32_t dimensions = 0;
    std::int32_t type_modifier = -1;
    friend bool operator==(const base_type&, const base_type&) = default;
  };
  base_type base = {};

  friend bool operator==(const table_column&, const table_column&) = default;
};

struct table_info {
  std::uint32_t oid = 0;
  std::string schema;
  std::string name;
  std::vector<table_column> columns; ///< In attribute order, without dropped columns.
  bool partitioned = false;
  bool database_ordered_bytewise = true; ///< Strings that come from no column, as ordered_bytewise.
  std::string database_ctype = {};       ///< The same, as ctype.

  friend bool operator==(const table_info&, const table_info&) = default;
};

/// Where rows lie. What rewrites them as they are (VACUUM FULL, CLUSTER) takes another heap and
/// keeps the TOAST table; what may give them other values (ALTER TABLE) takes another of both.
struct row_files {
  std::uint32_t heap = 0;  ///< pg_class.relfilenode; 0 = not known, or a table without rows.
  std::uint32_t toast = 0; ///< pg_class.reltoastrelid; 0 = it needs none.

  friend bool operator==(const row_files&, const row_files&) = default;
};

/// What the catalog says of a table at one moment, as far as a shape depends on it.
struct table_facts {
  struct partition {
    std::uint32_t oid = 0;
    /// The transaction that attached it to what stands above it, if it was a table of its own
    /// before and the transaction is not ancient; otherwise 0.
    std::uint32_t attached_xid = 0;
    row_files files = {};
    friend bool operator==(const partition&, const partition&) = default;
  };
  table_info table;
  /// The catalog rows that make it a member of the publication, ascending. Who leaves and comes
  /// back has other rows. Empty if the publication withholds something.
  std::vector<std::uint32_t> published_by;
  /// Those that make a table above it one, which is as good while it stands below.
  std::vector<std::uint32_t> published_above = {};
  /// The transactions that put it there, and those above it where they stand; without ancient ones.
  std::vector<std::uint32_t> placed_by = {};
  std::uint32_t publication_xid = 0; ///< The transaction that last wrote the publication's own row.
  std::vector<partition> partitions; ///< Every table below, by oid.
  row_files files = {};
  /// The transactions that last wrote what the catalog says of each of table.columns; empty = not
  /// known.
  std::vector<std::uint32_t> column_xids = {};

  friend bool operator==(const table_facts&, const table_facts&) = default;
};

using facts_ptr = std::shared_ptr<const table_facts>;

/// Of some tables, all as of one snapshot.
struct catalog_facts {
  std::vector<facts_ptr> tables;
  snapshot seen;
};

using catalog_ptr = std::shared_ptr<const catalog_facts>;

} // namespace busbar
