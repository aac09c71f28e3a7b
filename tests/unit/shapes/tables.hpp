// tests/unit/shapes/tables.hpp: the tables that the tests' shapes are on.
#pragma once

#include "shapes/table.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace busbar::testing {

/// A column of `type`; `key` is its position in the primary key.
inline table_column column(std::string name, std::string type, std::int32_t key = -1,
                           std::int32_t modifier = -1) {
  table_column made;
  made.name = std::move(name);
  made.type_name = std::move(type);
  made.key_index = key;
  made.not_null = key >= 0;
  made.type_modifier = modifier;
  made.type_oid = made.type_name == "int4" ? 23 : made.type_name == "bool" ? 16 : 25;
  return made;
}

inline std::shared_ptr<const table_info> table(std::vector<table_column> columns,
                                               std::string name = "items",
                                               std::string schema = "public",
                                               std::uint32_t oid = 16384) {
  auto made = std::make_shared<table_info>();
  made->oid = oid;
  made->schema = std::move(schema);
  made->name = std::move(name);
  made->columns = std::move(columns);
  return made;
}

/// The table of the specification's transcripts: items(id, title, done, note).
inline std::shared_ptr<const table_info> items() {
  auto made = *table({column("id", "int4", 0), column("title", "text"), column("done", "bool"),
                      column("note", "text")});
  made.columns[1].not_null = made.columns[2].not_null = true;
  return std::make_shared<const table_info>(std::move(made));
}

/// What the catalog says of a table of which nothing is special.
inline table_facts facts_of(table_info described) {
  return {
      .table = std::move(described), .published_by = {501}, .publication_xid = 3, .partitions = {}};
}

} // namespace busbar::testing
