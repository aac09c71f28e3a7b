// shapes/routing_index.hpp: which predicates can a row satisfy at all? Found without asking those
// that it cannot. Spec where-and-matching 3.
#pragma once

#include "base/number_table.hpp"
#include "shapes/interval_tree.hpp"
#include "shapes/posting_lists.hpp"
#include "sql/atoms.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace busbar {

/// The predicates of one table. Each is known by a target, a number of the caller's.
///
/// Of each of a predicate's conjunctions one atom, the one that we guess lets the fewest rows
/// through, is entered into a table; equalities on several columns are entered together. A lookup
/// asks each table once: its cost grows with the ways in which clauses test columns and with the
/// hits, not with the number of predicates. A conjunction without atoms is a hit always.
///
/// One thread at a time, lookups included: they reuse buffers, so that they do not allocate for
/// values other than arrays and jsonb.
class routing_index {
public:
  using target = routing_target;

  struct candidate {
    target who = 0;
    bool certain = false; ///< The row does satisfy the predicate: nobody needs to evaluate it.
  };

  routing_index() = default;
  routing_index(const routing_index&) = delete; // tables refer to their keys
  routing_index& operator=(const routing_index&) = delete;

  /// Targets are small numbers, none is in it twice. O(log n) for each key of an access atom.
  void add(target who, std::span<const sql::conjunction> alternatives);
  /// As if it had never been there. O(log n) for each key of an access atom.
  void remove(target who);

  /// Those that the row may satisfy, each once; `out` is overwritten. Every target is among them
  /// whose predicate is true, and if a value cannot be read, all those that were entered by it.
  void find(std::span<const sql::cell> row, std::vector<candidate>& out);

  /// How much there is; all 0 again when all targets have gone.
  struct extent {
    std::size_t postings = 0;
    std::size_t lists = 0;
    std::size_t tables = 0;
    std::size_t forms = 0;
    friend bool operator==(const extent&, const extent&) = default;
  };
  extent size() const noexcept;

private:
  enum class access : std::uint8_t { always, null, not_null, equal, element, range };

  /// What the present row has in one column, as a key; made when first asked for.
  struct column_key {
    enum class state : std::uint8_t { null, unreadable, present };
    std::uint64_t row = 0; ///< Which row the rest belongs to.
    state is = state::null;
    std::string key = {};
    std::vector<std::string> elements = {};
    std::size_t users = 0; ///< Tables.
  };
  using key_forms = std::map<sql::key_form, column_key>;

  /// All that is entered by the same columns in the same way.
  struct table {
    std::vector<key_forms::iterator> keys = {}; ///< equal: one or more; element, range: one.
    std::uint16_t column = 0;                   ///< null, not_null
    std::uint32_t only = ~std::uint32_t{0};     ///< always, null, not_null: the list.
    number_table lists = {};                    ///< equal, element: by key
    interval_tree intervals = {};               ///< range
  };
  using table_name = std::pair<access, std::vector<sql::key_form>>;
  using tables = std::map<table_name, table>;

  /// Where a list hangs, to take it down when it is empty.
  struct place {
    tables::iterator in = {};
    std::string key = {};            ///< equal, element
    interval_tree::node_id node = 0; ///< range
  };
  using lists = posting_lists<place>;

  void enter(target who, const sql::conjunction& all, bool predicate_is_plain);
  void enter_equal(target who, std::span<const sql::atom* const> parts, bool exact);
  void enter_elements(target who, const sql::atom& a, bool exact);
  void enter_interval(target who, const sql::atom& a, bool exact);
  void enter_only(target who, access how, std::uint16_t column, bool exact);
  tables::iterator table_of(access how, std::vector<sql::key_form> forms);
  lists::list_id find_list(const table& in, std::string_view key) const;
  lists::list_id list_of(tables::iterator in, const std::string& key);
  void take_down(lists::list_id list);

  const column_key& key_of(key_forms::iterator form, std::span<const sql::cell> row);
  void ask(const tables::value_type& named, std::span<const sql::cell> row,
           std::vector<candidate>& out);
  void ask_equal(const table& in, std::span<const sql::cell> row, std::vector<candidate>& out);
  void hit(lists::list_id list, std::vector<candidate>& out);
  void hit_all(const table& in, std::vector<candidate>& out);

  key_forms forms_;
  tables tables_;
  lists lists_;
  std::size_t key_tables_ = 0;      ///< Of equalities on several columns.
  std::vector<std::uint32_t> seen_; ///< By target: where in the present answer it may stand.
  std::uint64_t row_ = 0;
  bool unreadable_ = false; ///< Something in the present row is.
  std::string composite_;
};

} // namespace busbar
