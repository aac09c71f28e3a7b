// shapes/entry.hpp: from a row change to the JSON entries that clients receive (spec shape-protocol
// 11). Pure; no I/O.
#pragma once

#include "shapes/definition.hpp"
#include "shapes/offset.hpp"
#include "sql/predicate.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace busbar {

using row_cells = std::span<const sql::cell>;

/// What a change means for one shape, after its filter was asked (spec 11.4).
enum class row_effect : std::uint8_t { none, insert, update, remove };

/// Where in the stream a change stands, for its entry's headers.
struct change_position {
  std::uint64_t commit_lsn = 0;
  std::uint32_t xid = 0;
  std::int64_t op = 0;
};

/// One entry in the making. `last_at` is where `"last":true,` goes if this turns out to be the last
/// entry of its transaction in the shape.
struct encoded_entry {
  std::int64_t op = 0;
  std::string json;
  std::size_t last_at = 0; ///< 0 = it never gets the mark.
};
inline constexpr std::string_view last_header = "\"last\":true,";

/// What the entries of one change say in `headers` beyond the change, if the shape has subqueries
/// (row_judge.hpp). Each is empty, or members with a comma before each.
struct extra_headers {
  std::string before = {};   ///< Of the row as it was.
  std::string after = {};    ///< Of the row as it is.
  std::string update = {};   ///< Of an update from the one to the other.
  bool matters = false;      ///< An update must be told, even if no column has changed.
  bool in_two_steps = false; ///< It must be told as delete and insert.
};

/// Encodes the changes of one table for all shapes that select the same columns in the same replica
/// mode. One thread at a time: it reuses buffers.
class entry_encoder {
public:
  entry_encoder(const table_info& table, std::vector<std::uint16_t> selected, bool replica_full);

  /// A row of a snapshot; `cells` are the selected columns only, in `selected` order.
  /// `more_headers` are members of `headers`, each with a comma before it.
  void append_snapshot_row(std::string& out, row_cells selected_cells,
                           std::string_view more_headers = {});

  /// The entries of one change: none, one, or two if the key changed (delete, then insert). Cells
  /// are those of the whole table. `old_row` is empty for an insert, `new_row` for a delete.
  void encode(row_effect effect, row_cells old_row, row_cells new_row, const change_position& at,
              std::vector<encoded_entry>& out, const extra_headers& extra = {});

private:
  void append_key(std::string& out, row_cells cells) const;
  void append_value(std::string& out, row_cells cells) const;
  void append_key_columns(std::string& out, row_cells cells) const;
  void finish(encoded_entry& entry, std::string_view operation, const change_position& at,
              std::string_view extra_name, std::string_view extra_key,
              std::string_view more_headers) const;

  std::vector<std::uint16_t> selected_;
  std::vector<std::uint16_t> key_;             ///< Indices into the table's columns.
  std::vector<std::uint16_t> key_in_snapshot_; ///< The same, as indices into `selected`.
  std::vector<bool> is_key_;                   ///< By table column.
  std::vector<std::string> member_;            ///< By table column: `"name":`, escaped.
  std::string key_prefix_;                     ///< `"schema"."table"`, not JSON-escaped.
  std::string relation_;                       ///< `"relation":["schema","table"]`
  bool replica_full_;
  mutable std::string scratch_;
  std::string old_key_;
  std::string new_key_;
};

/// The control message that ends a snapshot.
std::string snapshot_end_json(std::uint64_t xmin, std::uint64_t xmax,
                              std::span<const std::uint64_t> xip);

} // namespace busbar
