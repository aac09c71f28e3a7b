// shapes/column_type.hpp: a column's type as clients are told it (spec shape-protocol 12).
#pragma once

#include "shapes/table.hpp"

#include <string>
#include <string_view>

namespace busbar {

/// Appends a JSON string in which everything beyond printable ASCII is \uXXXX, because header
/// values are read as Latin-1 by browsers.
void append_ascii_json(std::string& out, std::string_view utf8);

/// Appends the members of the type object: "type":…, and dims, pk_index, not_null, length … as due.
void append_type_json(std::string& out, const table_column& column);

} // namespace busbar
