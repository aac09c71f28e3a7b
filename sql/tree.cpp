#include "sql/tree.hpp"

#include <algorithm>
#include <utility>

namespace busbar::sql {

node_ptr make(node n) {
  n.mentions_column = n.op == operation::column ||
                      std::any_of(n.args.begin(), n.args.end(),
                                  [](const auto& arg) { return arg->mentions_column; });
  n.mentions_subquery = n.op == operation::member ||
                        std::any_of(n.args.begin(), n.args.end(),
                                    [](const auto& arg) { return arg->mentions_subquery; });
  return std::make_shared<const node>(std::move(n));
}

node_ptr make(operation op, std::vector<node_ptr> args) {
  return make(node{.op = op, .args = std::move(args)});
}

node_ptr make_constant(type t, constant c) {
  node n{.op = operation::constant, .result = t, .literal = std::move(c)};
  if (t == type::name) // whose collation is C, even of a literal
    n.strings = collation{true, true, case_rule::ascii};
  return make(std::move(n));
}
node_ptr make_null(type t) {
  return make_constant(t, {});
}
node_ptr make_truth(bool yes) {
  return make_constant(type::boolean, {.is_null = false, .text = yes ? "t" : "f"});
}

comparison opposite(comparison test) {
  switch (test) {
  case comparison::equal:
    return comparison::not_equal;
  case comparison::not_equal:
    return comparison::equal;
  case comparison::less:
    return comparison::greater_equal;
  case comparison::less_equal:
    return comparison::greater;
  case comparison::greater:
    return comparison::less_equal;
  case comparison::greater_equal:
    return comparison::less;
  }
  return test;
}

namespace {

bool is_truth(const node_ptr& n, bool yes) {
  return is_constant(n) && !n->literal.is_null && n->literal.text == (yes ? "t" : "f");
}

/// x = constant, or x = one of several.
bool is_set(const node_ptr& n) {
  return n->op == operation::one_of ||
         (n->op == operation::compare && n->test == comparison::equal && is_constant(n->args[1]) &&
          !is_null_constant(n->args[1]) && n->by != kernel::json && n->by != kernel::array &&
          !is_constant(n->args[0]));
}
node as_set(const node_ptr& n) {
  auto out = *n;
  out.op = operation::one_of;
  if (n->op == operation::compare) {
    out.element = n->args[1]->result;
    out.set = {n->args[1]->literal};
    out.args.resize(1);
  }
  return out;
}
type element_of_set(const node_ptr& n) {
  return n->op == operation::one_of ? n->element : n->args[1]->result;
}

/// Replaces sets of one x by one set, where the first of them was.
void merge_sets(std::vector<node_ptr>& parts) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!is_set(parts[i]))
      continue;
    auto merged = as_set(parts[i]);
    const auto before = merged.set.size();
    const auto is_alike = [&](const node_ptr& other) {
      if (!is_set(other) || other->by != merged.by || element_of_set(other) != merged.element ||
          !is_same(other->args[0], merged.args[0]))
        return false;
      const auto more = as_set(other);
      merged.set.insert(merged.set.end(), more.set.begin(), more.set.end());
      return true;
    };
    parts.erase(
        std::remove_if(parts.begin() + static_cast<std::ptrdiff_t>(i) + 1, parts.end(), is_alike),
        parts.end());
    if (merged.set.size() > before)
      parts[i] = make_set(merged.args[0], merged);
  }
}

} // namespace

void merge_collations(std::optional<collation>& into, const std::optional<collation>& other) {
  if (!other)
    return;
  if (!into) {
    into = other;
    return;
  }
  const bool differ = *into != *other;
  into->ordered_bytewise = into->ordered_bytewise && other->ordered_bytewise;
  into->deterministic = into->deterministic && other->deterministic;
  if (into->cases != other->cases)
    into->cases = case_rule::unknown;
  into->ambiguous = into->ambiguous || differ;
}

bool is_same(const node_ptr& a, const node_ptr& b) {
  return a == b ||
         (a->op == operation::convert && b->op == operation::convert && a->how == b->how &&
          a->result == b->result && a->modifier == b->modifier && is_same(a->args[0], b->args[0]));
}

node_ptr make_set(node_ptr x, node set) {
  auto& list = set.set;
  std::sort(list.begin(), list.end(),
            [](const constant& a, const constant& b) { return a.text < b.text; });
  list.erase(std::unique(list.begin(), list.end(),
                         [](const constant& a, const constant& b) { return a.text == b.text; }),
             list.end());
  set.args.assign(1, std::move(x));
  if (list.size() == 1) {
    set.op = operation::compare;
    set.test = comparison::equal;
    set.args.push_back(make_constant(set.element, std::move(list[0])));
    list.clear();
  }
  return make(std::move(set));
}

node_ptr negate(node_ptr n) {
  if (n == nullptr)
    return nullptr;
  switch (n->op) {
  case operation::negation: // NOT NOT x is x, also for unknown
    return n->args.front();
  case operation::constant:
    return n->literal.is_null ? n : make_truth(is_truth(n, false));
  case operation::compare: {
    auto other = *n;
    other.test = opposite(n->test);
    return make(std::move(other));
  }
  default:
    return make(operation::negation, {std::move(n)});
  }
}

node_ptr join(operation op, const std::vector<node_ptr>& parts) {
  const bool decisive = op == operation::disjunction;
  std::vector<node_ptr> flat;
  for (const auto& part : parts) {
    if (part == nullptr)
      return nullptr;
    if (is_truth(part, decisive))
      return part;
    if (is_truth(part, !decisive))
      continue;
    if (part->op == op)
      flat.insert(flat.end(), part->args.begin(), part->args.end());
    else
      flat.push_back(part);
  }
  // One unknown is as good as many.
  const auto first_null = std::find_if(flat.begin(), flat.end(), is_null_constant);
  if (first_null != flat.end())
    flat.erase(std::remove_if(first_null + 1, flat.end(), is_null_constant), flat.end());
  if (op == operation::disjunction)
    merge_sets(flat);
  if (flat.empty())
    return make_truth(!decisive);
  return flat.size() == 1 ? flat.front() : make(op, std::move(flat));
}

node_ptr without_conversion(node_ptr n) {
  while (n->op == operation::convert && n->how != conversion::timestamp_to_time)
    n = n->args.front();
  return n;
}

} // namespace busbar::sql
