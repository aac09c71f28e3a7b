// shapes/membership_index.hpp: which clauses with subqueries can a row satisfy at all? Found
// through the sets that have the row's values, so that a row costs a probe for each way in which
// clauses show it to subqueries, however many subqueries there are.
#pragma once

#include "base/keyed_hash.hpp"
#include "base/probe_table.hpp"
#include "shapes/posting_lists.hpp"
#include "shapes/row_judge.hpp"
#include "shapes/value_counts.hpp"
#include "sql/subquery.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <unordered_map>
#include <vector>

namespace busbar {

/// Names a set, not 0. Two sets may have the same by chance: that makes candidates of some that are
/// none, which does no harm.
using set_number = std::uint32_t;

/// The other way round from value_counts: which sets have a value. For all sets of one materializer
/// together, about 12 bytes for each value of each. What it says of a value that it was not told of
/// may be wrong, but it never forgets one. One thread at a time.
class set_values {
public:
  void add(const digest& value, set_number set) { table_.insert({part_of(value), set}); }
  /// So many will be added: it need not grow on the way.
  void reserve_more(std::size_t count) { table_.reserve(table_.size() + count); }
  /// It was added.
  void remove(const digest& value, set_number set) {
    const auto hash = part_of(value);
    if (const auto* found = table_.find(hash, [&](const slot& one) { return one.set == set; }))
      table_.erase(found);
  }
  template <class Visit>
  void visit(const digest& value, const Visit& visit) const {
    table_.visit(part_of(value), [&](const slot& one) { visit(one.set); });
  }
  std::size_t size() const noexcept { return table_.size(); }

private:
  /// Another part of the digest than that by which value_counts finds it: values come here in the
  /// order of such a table (see probe_table).
  static std::uint32_t part_of(const digest& value) noexcept {
    std::uint32_t part = 0;
    std::memcpy(&part, value.data() + sizeof part, sizeof part);
    return part;
  }
  struct slot {
    std::uint32_t of = 0;
    set_number set = 0;
    bool empty() const noexcept { return set == 0; }
    std::uint32_t hash() const noexcept { return of; }
  };
  probe_table<slot> table_;
};

/// How a clause with subqueries is entered: whoever satisfies it satisfies one of these.
struct clause_entries {
  std::vector<sql::conjunction> plain; ///< For the routing index; possibly one without atoms.
  std::vector<const sql::position*> memberships; ///< Positive ones; they belong to the clause.
};
clause_entries entries_of(const sql::predicate& clause);

/// The clauses of one table that are entered by memberships. Each is known by a target, a number of
/// the caller's. NOT IN narrows nothing, so it is not asked here. One thread at a time.
class membership_index {
public:
  /// `sets` are those of the clause's subqueries, in their order. None is in it twice.
  void add(routing_target who, std::span<const sql::position* const> memberships,
           std::span<const set_number> sets);
  void remove(routing_target who);
  bool empty() const noexcept { return places_.empty(); }

  /// Calls `found` with every target one of whose sets has the row's value, and perhaps with
  /// others; with some of them several times. Without `sets` it is every target.
  template <class Found>
  void find(row_cells row, value_hasher& hasher, const set_values& sets, const Found& found) const {
    for (const auto& shown : forms_) {
      digest value;
      switch (hasher.read(shown.left, row, value)) {
      case value_hasher::reading::null:
        break; // IN does not hold
      case value_hasher::reading::unreadable:
        for (const auto& [set, list] : shown.by_set)
          std::for_each(list.begin(), list.end(), found);
        break;
      case value_hasher::reading::value:
        sets.visit(value, [&](set_number set) {
          if (const auto list = shown.by_set.find(set); list != shown.by_set.end())
            std::for_each(list->second.begin(), list->second.end(), found);
        });
      }
    }
  }
  template <class Found>
  void for_each(const Found& found) const {
    for (const auto& [who, places] : places_)
      found(who);
  }

private:
  /// Columns that rows show to subqueries.
  struct form {
    std::vector<sql::key_form> left;
    std::unordered_map<set_number, std::vector<routing_target>> by_set;
  };
  struct place {
    std::vector<sql::key_form> left;
    set_number set = 0;
    friend bool operator==(const place&, const place&) = default;
  };
  std::vector<form> forms_; ///< Few.
  std::unordered_map<routing_target, std::vector<place>> places_;
};

} // namespace busbar
