#include "shapes/interval_tree.hpp"

#include <utility>

namespace busbar {

/// None is before all others, and one that includes its key before one that does not.
int interval_tree::compare_lower(const bound& a, const bound& b) {
  if (!a.exists || !b.exists)
    return static_cast<int>(a.exists) - static_cast<int>(b.exists);
  if (const auto order = a.key.compare(b.key); order != 0)
    return order;
  return static_cast<int>(b.inclusive) - static_cast<int>(a.inclusive);
}

/// The other way round.
int interval_tree::compare_upper(const bound& a, const bound& b) {
  if (!a.exists || !b.exists)
    return static_cast<int>(b.exists) - static_cast<int>(a.exists);
  if (const auto order = a.key.compare(b.key); order != 0)
    return order;
  return static_cast<int>(a.inclusive) - static_cast<int>(b.inclusive);
}

int interval_tree::compare(const node& a, const bound& lower, const bound& upper) {
  const auto order = compare_lower(a.lower, lower);
  return order != 0 ? order : compare_upper(a.upper, upper);
}

interval_tree::node_id interval_tree::find(const bound& lower, const bound& upper) const {
  auto at = root_;
  while (at != none) {
    const auto order = compare(nodes_[at], lower, upper);
    if (order == 0)
      break;
    at = order > 0 ? nodes_[at].left : nodes_[at].right;
  }
  return at;
}

void interval_tree::refresh(node_id id) {
  auto& here = nodes_[id];
  here.farthest = id;
  for (const auto child : {here.left, here.right})
    if (child != none &&
        compare_upper(nodes_[nodes_[child].farthest].upper, nodes_[here.farthest].upper) > 0)
      here.farthest = nodes_[child].farthest;
}

void interval_tree::split(node_id whole, const node& by, node_id& before, node_id& behind) {
  if (whole == none) {
    before = behind = none;
    return;
  }
  auto& here = nodes_[whole];
  if (compare(here, by.lower, by.upper) < 0) {
    split(here.right, by, here.right, behind);
    before = whole;
  } else {
    split(here.left, by, before, here.left);
    behind = whole;
  }
  refresh(whole);
}

interval_tree::node_id interval_tree::join(node_id before, node_id behind) {
  if (before == none || behind == none)
    return before == none ? behind : before;
  const bool first = nodes_[before].priority > nodes_[behind].priority;
  const auto top = first ? before : behind;
  if (first)
    nodes_[top].right = join(nodes_[top].right, behind);
  else
    nodes_[top].left = join(before, nodes_[top].left);
  refresh(top);
  return top;
}

interval_tree::node_id interval_tree::insert_below(node_id at, node_id fresh) {
  if (at == none)
    return fresh;
  auto& added = nodes_[fresh];
  auto& here = nodes_[at];
  if (added.priority > here.priority) {
    split(at, added, added.left, added.right);
    refresh(fresh);
    return fresh;
  }
  auto& side = compare(here, added.lower, added.upper) > 0 ? here.left : here.right;
  side = insert_below(side, fresh);
  refresh(at);
  return at;
}

interval_tree::node_id interval_tree::insert(const bound& lower, const bound& upper,
                                             std::uint32_t value) {
  node_id id = 0;
  if (free_.empty()) {
    id = static_cast<node_id>(nodes_.size());
    nodes_.emplace_back();
  } else {
    id = free_.back();
    free_.pop_back();
  }
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  nodes_[id] = {.lower = lower,
                .upper = upper,
                .farthest = id,
                .priority = static_cast<std::uint32_t>(random_ >> 32),
                .value = value};
  root_ = insert_below(root_, id);
  return id;
}

interval_tree::node_id interval_tree::erase_below(node_id at, node_id gone) {
  if (at == gone)
    return join(nodes_[at].left, nodes_[at].right);
  auto& here = nodes_[at];
  auto& side = compare(here, nodes_[gone].lower, nodes_[gone].upper) > 0 ? here.left : here.right;
  side = erase_below(side, gone);
  refresh(at);
  return at;
}

void interval_tree::erase(node_id gone) {
  root_ = erase_below(root_, gone);
  nodes_[gone] = {};
  free_.push_back(gone);
  if (root_ == none) {
    nodes_ = {};
    free_ = {};
  }
}

} // namespace busbar
