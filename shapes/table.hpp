// shapes/table.hpp: what PostgreSQL's catalog says of a table, as far as shapes need it.
#pragma once

#include <cstdint>
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

  friend bool operator==(const table_column&, const table_column&) = default;
};

struct table_info {
  std::uint32_t oid = 0;
  std::string schema;
  std::string name;
  std::vector<table_column> columns; ///< In attribute order, without dropped columns.
  bool partitioned = false;

  friend bool operator==(const table_info&, const table_info&) = default;
};

} // namespace busbar
