// storage/shape_record.hpp: a shape's definition and snapshot facts as they are stored
// (schema/records.capnp, ShapeRecord).
#pragma once

#include "base/result.hpp"
#include "base/snapshot.hpp"
#include "shapes/table.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::storage {

struct shape_record {
  std::string handle;
  std::uint64_t created_lsn = 0; ///< Commit LSN of the creation message.
  table_info table;
  std::vector<std::uint16_t> selected;
  bool selects_all = false;
  std::string where;
  std::vector<std::string> parameters;
  std::string canonical_where;
  bool replica_full = false;
  bool changes_only = false;
  bool snapshot_complete = false;
  std::uint64_t snapshot_chunks = 0;
  snapshot visibility;
  std::vector<std::uint64_t> inner = {};  ///< Ids of the sets that its subqueries select.
  std::vector<std::uint16_t> values = {}; ///< Of a set: the columns that it is asked for.
  bool without_null = false;              ///< Of a set.
};

std::string encode(const shape_record& record);
/// errc::corrupt if the bytes are not such a record.
result<shape_record> decode_shape_record(std::string_view bytes);

/// What was last known of a shape's table, and as of when.
struct known_facts {
  facts_ptr facts; ///< Null = nothing.
  snapshot seen;
};

/// `defined` is the table of the shape's record, which is not stored twice.
std::string encode(const table_facts& facts, const snapshot& seen, const table_info& defined);
result<known_facts> decode_known_facts(std::string_view bytes, const table_info& defined);

} // namespace busbar::storage
