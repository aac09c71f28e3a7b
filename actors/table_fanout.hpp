// actors/table_fanout.hpp: from one table's changes to the entries of all shapes on it. The changes
// of a partitioned table come from its leaves, each of which may order its columns differently.
#pragma once

#include "actors/shape_log_writer.hpp"
#include "base/number_table.hpp"
#include "base/result.hpp"
#include "schema/frame.hpp"
#include "shapes/entry.hpp"
#include "shapes/membership_index.hpp"
#include "shapes/routing_index.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
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

  /// True if a row that came as `before` says can be read as this says: at most, columns have been
  /// added behind.
  bool continues(const stream_relation& before) const {
    return before.columns.size() <= columns.size() &&
           std::equal(before.columns.begin(), before.columns.end(), columns.begin());
  }

  /// True if its changes are changes of `table`, too.
  bool feeds(std::uint32_t table) const {
    return oid == table || std::any_of(ancestors.begin(), ancestors.end(),
                                       [&](const ancestor& a) { return a.oid == table; });
  }
};

/// How indexes name a set.
inline set_number set_number_of(storage::shape_id set) noexcept {
  const auto low = static_cast<set_number>(storage::to_number(set));
  return low == 0 ? 1 : low;
}

/// All shapes of one MATERIALIZER on one table. A change is shown only to those filters that its
/// row can satisfy; each distinct filter is asked once a row, each distinct encoding made once a
/// change, however many shapes share them. A shape comes and goes in O(log n).
class table_fanout {
public:
  void add(shape_log_writer& log);
  void remove(shape_log_writer& log);
  bool empty() const noexcept { return members_.size() == free_seats_.size(); }

  /// The stream's description of the table, or of a table below it, from here on. Shapes that it no
  /// longer fits are found at its next change.
  void describe(const stream_relation& relation);

  /// Calls `affected` with the log and the entries for each shape that the change concerns, and
  /// `broken` for each that must be given up, with the reason. `wanted` says whether a log takes
  /// part in this transaction at all; if not, nothing in it can do the shape harm. The change is
  /// one of the table or of a table below it. Only `broken` may remove shapes meanwhile.
  struct sink {
    std::function<bool(const shape_log_writer&)> wanted;
    std::function<void(shape_log_writer&, std::vector<encoded_entry>&, bool may_take)> affected;
    /// For shapes with subqueries, and sets: they judge and encode for themselves. An image is
    /// empty if there is none, or if a clause without subqueries does not hold for it. False =
    /// broken.
    std::function<bool(shape_log_writer&, row_cells old_row, row_cells new_row, entry_encoder&)>
        judge;
    std::function<void(shape_log_writer&, const std::string&)> broken;
    /// A log that judges for itself is not wanted, but might be at another time: what the change
    /// is to it then depends on these of its rows at most.
    std::function<void(shape_log_writer&, bool old_row, bool new_row)> passed = nullptr;
    /// What subqueries select; without it, every clause that asks them may be concerned.
    value_hasher* hasher = nullptr;
    const set_values* sets = nullptr;
  };
  void route(const schema::Frame::Reader& frame, const schema::Change::Reader& change,
             const change_position& at, const sink& to);
  /// The same for one shape that judges for itself, and that wants the change, as far as these rows
  /// of it are concerned.
  void route_one(shape_log_writer& log, const schema::Frame::Reader& frame,
                 const schema::Change::Reader& change, bool old_row, bool new_row, const sink& to);

  /// Every shape on the table.
  void for_each(const std::function<void(shape_log_writer&)>& visit);
  /// One of them; the fan-out must not be empty.
  const shape_log_writer& any() const;

private:
  struct table_view;
  struct filter_group;
  struct encoding;
  struct demand_group;

  // There may be a hundred thousand of the next two.
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  /// A shape's place here. Its seat is its index in members_.
  struct member {
    /// Its neighbours in a list of members, by seat.
    struct links {
      std::uint32_t before = none;
      std::uint32_t after = none;
    };
    shape_log_writer* log = nullptr; ///< Null: the seat is free.
    encoding* bytes = nullptr;
    demand_group* demand = nullptr;
    routing_index::target filter = 0;
    links in_filter = {};
    links in_demand = {};
    bool judges = false; ///< The sink judges its rows.
  };
  /// Shapes with the same filter. The index says for which rows it is looked at; what it then says
  /// of a row is its own business.
  struct filter_group {
    std::shared_ptr<const sql::predicate> filter = nullptr; ///< Null = every row.
    std::uint32_t first = none;                             ///< Of its members; none: it is free.
    /// Its name, if it has subqueries: the clause, and which sets they are.
    std::unique_ptr<const std::string> with_sets = nullptr;
    // What the present change is to it, while it is among the candidates.
    sql::truth before = sql::truth::no;
    sql::truth after = sql::truth::no;
    bool is_candidate = false;

    sql::truth judge(row_cells row) const { return filter->evaluate(row); }
    std::string_view clause() const {
      return with_sets ? std::string_view{*with_sets}
             : filter  ? filter->canonical()
                       : std::string_view{};
    }
  };
  /// Shapes that show the same of a row.
  struct encoding {
    entry_encoder encoder;
    std::size_t users = 0;
    // What the present change became, by row_effect, made when first needed.
    std::uint64_t change = 0;
    std::array<std::vector<encoded_entry>, 4> made = {};
    std::array<bool, 4> is_made = {};
  };
  using encoding_key = std::pair<std::vector<std::uint16_t>, bool>; ///< selected, replica_full
  /// What a shape needs of the stream's rows: columns, and perhaps that there are no others.
  using demand_key = std::pair<std::vector<std::uint16_t>, bool>;
  struct demand_group {
    table_view* view = nullptr;
    const demand_key* needs = nullptr;
    std::uint32_t first = none; ///< Of its members.
  };
  /// How one relation's rows, as streamed, are read as rows of a view's table.
  struct source_map {
    std::vector<std::int32_t>
        from_stream;      ///< By table column: index in the stream, -1 = not there.
    std::string mismatch; ///< Why the stream's rows do not fit any shape of this view.
    /// Demands that the stream's rows do not meet, and why. Their shapes fail at the next change
    /// they want.
    std::vector<std::pair<demand_group*, std::string>> misfits;
  };
  /// Shapes that were defined against the same state of the catalog.
  struct table_view {
    std::shared_ptr<const table_info> table;
    std::size_t members = 0;
    std::unordered_map<std::uint32_t, source_map> maps; ///< By oid; made when first needed.
    routing_index index;
    membership_index memberships;
    std::vector<filter_group> filters; ///< By number.
    std::vector<routing_index::target> free_numbers;
    number_table by_clause; ///< Numbers of filters, by canonical clause.
    std::map<encoding_key, encoding> encodings;
    std::map<demand_key, demand_group> demands;
  };
  using losses = std::vector<std::pair<shape_log_writer*, std::string>>;

  table_view& view_of(const std::shared_ptr<const table_info>& table);
  static routing_index::target filter_of(table_view& view, const shape_state& shape);
  static encoding& encoding_of(table_view& view, const shape_definition& shape);
  demand_group& demand_of(table_view& view, const shape_definition& shape);
  static void drop(table_view& view, routing_index::target filter);
  static void drop(table_view& view, demand_group& demand);

  static source_map make_map(table_view& view, const stream_relation& relation);
  static bool meets(const table_view& view, const source_map& map, const stream_relation& relation,
                    const demand_key& needs, std::string& why);
  /// Brings the change's rows into the order of the view's table; if that fails, says why.
  std::string read_rows(table_view& view, const schema::Frame::Reader& frame,
                        const schema::Change::Reader& change);
  static bool parse(std::string_view image, const std::vector<std::int32_t>& from_stream,
                    std::vector<sql::cell>& stream_cells, std::vector<sql::cell>& cells);

  /// Asks the filters that may be concerned; they are then in `candidates_`.
  void find_candidates(table_view& view, bool has_old, bool has_new, const sink& to);
  void ask(table_view& view, row_cells row, sql::truth filter_group::*answer, const sink& to);
  void route_in(table_view& view, const change_position& at, const sink& to, losses& lost);
  void deliver(const filter_group& filter, row_effect effect, const change_position& at,
               const sink& to, losses& lost);

  /// Puts a seat at the front of a list, or takes it out of it.
  void link(std::uint32_t& first, std::uint32_t seat, member::links member::*where);
  void unlink(std::uint32_t& first, std::uint32_t seat, member::links member::*where);
  template <class Visit>
  void for_each_of(std::uint32_t first, member::links member::*where, Visit&& visit) const {
    for (auto seat = first; seat != none; seat = (members_[seat].*where).after)
      visit(members_[seat]);
  }

  std::vector<member> members_; ///< By seat.
  std::vector<std::uint32_t> free_seats_;
  std::vector<std::unique_ptr<table_view>> views_;
  std::unordered_map<std::uint32_t, stream_relation> sources_; ///< By oid.

  // Of the present change.
  std::uint64_t change_ = 0;
  std::vector<sql::cell> stream_cells_;
  std::vector<sql::cell> old_cells_;
  std::vector<sql::cell> new_cells_;
  std::vector<routing_index::candidate> found_;
  std::vector<routing_index::target> candidates_;
};

} // namespace busbar
