// shapes/shape_request.hpp: what a request says of the shape it wants, before any table is looked
// at.
#pragma once

#include "base/result.hpp"

#include <optional>
#include <string>
#include <vector>

namespace busbar {

/// The definition part of a request (spec shape-protocol 5.2), syntax checked, values decoded.
struct shape_request {
  std::string schema = "public"; ///< After the identifier rules of 5.6.
  std::string table;
  std::string where;                                         ///< Empty = every row.
  std::vector<std::string> parameters;                       ///< $1, $2, …
  std::optional<std::vector<std::string>> columns;           ///< nullopt = left out.
  std::optional<std::vector<std::string>> queryable_columns; ///< nullopt = left out.
  bool replica_full = false;
  bool changes_only = false;
  /// What is malformed beyond the table's name: it is told only if there is such a table, and if
  /// nothing that is looked at earlier is wrong (stages f and g of spec section 2).
  std::optional<error> flaw = {};

  /// Equal requests have equal keys; for caches only, the shape's identity is another matter.
  std::string cache_key() const {
    std::string key;
    const auto add = [&key](const std::string& part) {
      key += std::to_string(part.size());
      key += ':';
      key += part;
    };
    const auto add_list = [&](const std::optional<std::vector<std::string>>& list) {
      key += list ? std::to_string(list->size()) : std::string{"-"};
      key += '[';
      if (list)
        for (const auto& item : *list)
          add(item);
    };
    add(schema);
    add(table);
    add(where);
    add_list(parameters);
    add_list(columns);
    add_list(queryable_columns);
    key += replica_full ? 'f' : 'd';
    key += changes_only ? 'c' : 'a';
    if (flaw) {
      add(flaw->field);
      add(flaw->message);
    }
    return key;
  }
};

} // namespace busbar
