#include "sql/tree.hpp"

#include <algorithm>
#include <utility>

namespace busbar::sql {

node_ptr make(node n) {
  n.mentions_column = n.op == operation::column ||
                      std::any_of(n.args.begin(), n.args.end(),
                                  [](const auto& arg) { return arg->mentions_column; });
  return std::make_shared<const node>(std::move(n));
}

node_ptr make(operation op, std::vector<node_ptr> args) {
  return make(node{.op = op, .args = std::move(args)});
}

node_ptr negate(node_ptr n) {
  if (n == nullptr || n->op == operation::negation) // NOT NOT x is x, also for unknown
    return n == nullptr ? nullptr : n->args.front();
  return make(operation::negation, {std::move(n)});
}

node_ptr join(operation op, const std::vector<node_ptr>& parts) {
  std::vector<node_ptr> flat;
  for (const auto& part : parts) {
    if (part == nullptr)
      return nullptr;
    if (part->op == op)
      flat.insert(flat.end(), part->args.begin(), part->args.end());
    else
      flat.push_back(part);
  }
  return flat.size() == 1 ? flat.front() : make(op, std::move(flat));
}

node_ptr without_conversion(node_ptr n) {
  while (n->op == operation::convert)
    n = n->args.front();
  return n;
}

} // namespace busbar::sql
