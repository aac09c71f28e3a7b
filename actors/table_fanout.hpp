// actors/table_fanout.hpp: from one table's changes to the entries of all shapes on it. The changes
// of a partitioned table come from its leaves, each of which may order its columns differently.
#pragma once

#include "actors/shape_log_writer.hpp"
#include "base/result.hpp"
#include "schema/frame.hpp"
#include "shapes/entry.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace busbar {

/// A table as the stream describes it.
struct stream_relation {
  struct column {
    std::string name;
    std::uint32_t type_oid = 0;
    friend bool operator==(const column&, const column&) = default;
  };
  struct ancestor {
    std::uint32_t oid = 0;
    std::uint32_t attached_xid = 0; ///< As in frame.capnp.
    friend bool operator==(const ancestor&, const ancestor&) = default;
  };
  std::uint32_t oid = 0;
  std::string schema;
  std::string name;
  std::vector<column> columns;
  bool identity_full = false;
  std::vector<ancestor> ancestors = {}; ///< Nearest first.

  /// True if rows of the one mean the same when read as rows of the other.
  bool has_same_rows(const stream_relation& other) const { return columns == other.columns; }

  /// True if its changes are changes of `table`, too.
  bool feeds(std::uint32_t table) const {
    return oid == table || std::any_of(ancestors.begin(), ancestors.end(),
                                       [&](const ancestor& a) { return a.oid == table; });
  }
};

/// All shapes of one MATERIALIZER on one table. Each distinct filter is asked once a row, each
/// distinct encoding made once a change, however many shapes share them.
class table_fanout {
public:
  void add(shape_log_writer& log);
  void remove(const shape_log_writer& log);
  bool empty() const noexcept { return views_.empty(); }

  /// The stream's description of the table, or of a table below it, from here on. Shapes that it no
  /// longer fits are found at its next change.
  void describe(const stream_relation& relation);

  /// Calls `affected` with the log and the entries for each shape that the change concerns, and
  /// `broken` for each that must be given up, with the reason. `wanted` says whether a log takes
  /// part in this transaction at all; if not, nothing in it can do the shape harm. The change is
  /// one of the table or of a table below it.
  struct sink {
    std::function<bool(const shape_log_writer&)> wanted;
    std::function<void(shape_log_writer&, std::vector<encoded_entry>&, bool may_take)> affected;
    std::function<void(shape_log_writer&, const std::string&)> broken;
  };
  void route(const schema::Frame::Reader& frame, const schema::Change::Reader& change,
             const change_position& at, const sink& to);

  /// Every shape on the table.
  void for_each(const std::function<void(shape_log_writer&)>& visit);
  /// One of them; the fan-out must not be empty.
  const shape_log_writer& any() const;

private:
  /// Shapes with the same filter.
  struct filter_group {
    std::shared_ptr<const sql::predicate> filter; ///< Null = every row.
    struct member {
      shape_log_writer* log;
      std::size_t encoding;
    };
    std::vector<member> members = {};
  };
  /// How one relation's rows, as streamed, are read as rows of a view's table.
  struct source_map {
    std::vector<std::int32_t>
        from_stream;      ///< By table column: index in the stream, -1 = not there.
    std::string mismatch; ///< Why the stream's rows do not fit any shape of this view.
    /// Shapes that the stream's rows do not fit, and why. They fail at the next change they want.
    std::vector<std::pair<shape_log_writer*, std::string>> misfits;
  };
  /// Shapes that were defined against the same state of the catalog.
  struct table_view {
    std::shared_ptr<const table_info> table;
    std::unordered_map<std::uint32_t, source_map> maps;    ///< By oid; made when first needed.
    std::unordered_map<std::string, filter_group> filters; ///< By canonical clause.
    struct encoding {
      std::vector<std::uint16_t> selected;
      bool replica_full;
      entry_encoder encoder;
      // What the present change became, by row_effect, made when first needed.
      std::array<std::vector<encoded_entry>, 4> made = {};
      std::array<bool, 4> is_made = {};
      std::size_t users = 0;
    };
    std::vector<std::unique_ptr<encoding>> encodings;
  };

  static source_map make_map(const table_view& view, const stream_relation& relation);
  static bool fits(const table_view& view, const source_map& map, const stream_relation& relation,
                   const shape_definition& shape, std::string& why);
  void route_in(table_view& view, bool has_old, bool has_new, const change_position& at,
                const sink& to);
  static bool parse(std::string_view image, const std::vector<std::int32_t>& from_stream,
                    std::vector<sql::cell>& stream_cells, std::vector<sql::cell>& cells);

  std::vector<std::unique_ptr<table_view>> views_;
  std::unordered_map<std::uint32_t, stream_relation> sources_; ///< By oid.
  std::vector<sql::cell> stream_cells_;
  std::vector<sql::cell> old_cells_;
  std::vector<sql::cell> new_cells_;
};

} // namespace busbar
