// shapes/interval_tree.hpp: intervals of keys, and which of them a key lies in.
#pragma once

#include "sql/atoms.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace busbar {

/// A treap in the order of the lower bounds; each node knows the greatest upper bound below it. No
/// interval is in it twice. Inserting and erasing take O(log n) on average. So does a lookup, plus
/// the time for its hits: these cost a step each if all intervals are open towards the same side,
/// and at worst O(log n) each.
class interval_tree {
public:
  using bound = sql::atom::bound;
  using node_id = std::uint32_t;
  static constexpr node_id none = ~node_id{0};

  /// The interval's node; it stays the same until erase().
  node_id find(const bound& lower, const bound& upper) const;
  /// Of an interval that is not there yet. `value` is what visits are given.
  node_id insert(const bound& lower, const bound& upper, std::uint32_t value);
  void erase(node_id gone);

  std::uint32_t value(node_id id) const { return nodes_[id].value; }
  bool empty() const noexcept { return root_ == none; }

  /// Calls `found` with the value of each interval that `key` lies in.
  template <class Visit>
  void stab(std::string_view key, Visit&& found) const {
    stab_below(root_, key, found);
  }
  template <class Visit>
  void for_each(Visit&& found) const {
    visit_below(root_, found);
  }

private:
  struct node {
    bound lower = {};
    bound upper = {};
    node_id left = none;
    node_id right = none;
    node_id farthest = none; ///< Of this one and all below it, the one with the greatest `upper`.
    std::uint32_t priority = 0;
    std::uint32_t value = 0;
  };

  static bool is_above(const bound& lower, std::string_view key) {
    return !lower.exists || (lower.inclusive ? key >= lower.key : key > lower.key);
  }
  static bool is_below(const bound& upper, std::string_view key) {
    return !upper.exists || (upper.inclusive ? key <= upper.key : key < upper.key);
  }
  static int compare_lower(const bound& a, const bound& b);
  static int compare_upper(const bound& a, const bound& b);
  /// In the order of the tree.
  static int compare(const node& a, const bound& lower, const bound& upper);

  void refresh(node_id id);
  /// What lies before the interval, and what lies behind it.
  void split(node_id whole, const node& by, node_id& before, node_id& behind);
  node_id join(node_id before, node_id behind);
  node_id insert_below(node_id at, node_id fresh);
  node_id erase_below(node_id at, node_id gone);

  template <class Visit>
  void stab_below(node_id at, std::string_view key, Visit& found) const {
    while (at != none && is_below(nodes_[nodes_[at].farthest].upper, key)) {
      const auto& here = nodes_[at];
      if (!is_above(here.lower, key)) {
        at = here.left;
        continue;
      }
      stab_below(here.left, key, found);
      if (is_below(here.upper, key))
        found(here.value);
      at = here.right;
    }
  }
  template <class Visit>
  void visit_below(node_id at, Visit& found) const {
    for (; at != none; at = nodes_[at].right) {
      visit_below(nodes_[at].left, found);
      found(nodes_[at].value);
    }
  }

  std::vector<node> nodes_;
  std::vector<node_id> free_;
  node_id root_ = none;
  std::uint64_t random_ = 0x9e3779b97f4a7c15; ///< Only has to be unlike the order of insertions.
};

} // namespace busbar
