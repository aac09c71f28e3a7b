// shapes/upkeep.hpp: whether a shape can go on when its table has changed (spec shape-protocol 14).
#pragma once

#include "shapes/definition.hpp"
#include "shapes/table.hpp"

#include <string>

namespace busbar {

/// Why the table as it is `now` is not the one that the shape was defined on; empty if every row
/// that the shape has still reads the same, and under the same key. A column that the shape does
/// not use may be anything, and NOT NULL may come and go.
std::string fault_of(const shape_definition& shape, const table_info& now);

/// Why the shape, which was right when its table was as `before`, is so no more; empty if it still
/// is. `seen` is the snapshot that `before` is as of, which `now` must not be older than. Finds
/// what no change in the stream tells: rows that came or went with a partition, values that ALTER
/// TABLE replaced, and changes that PostgreSQL did not send because the table was not published for
/// a time.
std::string fault_of(const shape_definition& shape, const table_facts& before, const snapshot& seen,
                     const table_facts& now);

/// The `electric-schema` header of the shape (spec 12) as the table is now; pure ASCII.
std::string schema_json(const shape_definition& shape, const table_info& now);

} // namespace busbar
