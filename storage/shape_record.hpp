// storage/shape_record.hpp: a shape's definition and snapshot facts as they are stored
// (schema/records.capnp, ShapeRecord).
#pragma once

#include "base/result.hpp"
#include "base/snapshot.hpp"
#include "shapes/table.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::storage {

struct shape_record {
  std::string handle;
  std::uint64_t created_lsn = 0;           ///< Commit LSN of the creation message.
  std::shared_ptr<const table_info> table; ///< Never null, once it is read or written.
  std::vector<std::uint16_t> selected;
  bool selects_all = false;
  std::string where;
  std::vector<std::string> parameters;
  bool replica_full = false;
  bool changes_only = false;
  bool snapshot_complete = false;
  std::uint64_t snapshot_chunks = 0;
  snapshot visibility;
  std::vector<std::uint64_t> inner = {};  ///< Ids of the sets that its subqueries select.
  std::vector<std::uint16_t> values = {}; ///< Of a set: the columns that it is asked for.
  bool without_null = false;              ///< Of a set.
};

/// With a digest, the table is left out: it is stored under this name.
std::string encode(const shape_record& record, std::string_view table_digest = {});
/// The table of this digest; null if there is none.
using table_finder = std::function<std::shared_ptr<const table_info>(std::string_view digest)>;
/// errc::corrupt if the bytes are not such a record, or its table is not found.
result<shape_record> decode_shape_record(std::string_view bytes, const table_finder& find = {});

/// A table as it is stored for all shapes that were defined on it.
std::string encode(const table_info& table);
result<table_info> decode_table(std::string_view bytes);

/// What was last known of a shape's table, and as of when.
struct known_facts {
  facts_ptr facts; ///< Never null.
  snapshot seen;
};
using known_ptr = std::shared_ptr<const known_facts>; ///< Null = nothing.

/// `defined` is the table of the shape's record, which is not stored twice.
std::string encode(const table_facts& facts, const snapshot& seen, const table_info& defined);
result<known_facts> decode_known_facts(std::string_view bytes, const table_info& defined);

} // namespace busbar::storage
