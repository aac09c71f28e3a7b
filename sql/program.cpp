#include "sql/program.hpp"

#include "sql/array.hpp"
#include "sql/time_zone.hpp"

#include <algorithm>
#include <cstring>
#include <set>

namespace busbar::sql {
namespace {

/// Operations whose operands are a list of any length.
bool has_list(operation op) noexcept {
  switch (op) {
  case operation::conjunction:
  case operation::disjunction:
  case operation::apply:
  case operation::concat:
  case operation::array:
  case operation::at:
  case operation::coalesce:
  case operation::extreme:
  case operation::choice:
    return true;
  default:
    return false;
  }
}

} // namespace

program::program(const node& tree, const std::vector<std::shared_ptr<const enum_type>>& enums)
    : enums_{enums} {
  index_of done;
  add(tree, done);
  plan_memory();
  // There may be a hundred thousand of these.
  steps_.shrink_to_fit();
  operands_.shrink_to_fit();
  values_.shrink_to_fit();
}

program::step_index program::add(const node& n, index_of& done) {
  if (const auto known = done.find(&n); known != done.end())
    return known->second;
  step s{.op = n.op,
         .result = n.result,
         .how = n.how,
         .test = n.test,
         .by = n.by,
         .cases = n.cases,
         .all = n.all,
         .column = n.column,
         .modifier = n.modifier,
         .callee = n.callee};
  switch (n.op) {
  case operation::column:
    for (step_index i = 0; i < steps_.size(); ++i) // one step a column, however often it is named
      if (steps_[i].op == operation::column && steps_[i].column == n.column)
        return done[&n] = i;
    break;
  case operation::constant:
    s.null = n.literal.is_null;
    s.first = static_cast<std::uint32_t>(values_.size());
    values_.push_back(stored(n.result, n.literal));
    break;
  default:
    add_operands(n, s, done);
    if (n.op == operation::one_of)
      add_list(n, s);
    if (n.op == operation::at)
      add_subscripts(n, s);
    if (n.op == operation::apply && n.callee->name == "timezone")
      add_zone(n, s);
  }
  steps_.push_back(s);
  return done[&n] = static_cast<step_index>(steps_.size() - 1);
}

void program::add_operands(const node& n, step& s, index_of& done) {
  if (!has_list(n.op)) {
    s.first = add(*n.args[0], done);
    if (n.args.size() > 1)
      s.second = add(*n.args[1], done);
    return;
  }
  std::vector<step_index> args;
  for (const auto& arg : n.args)
    args.push_back(add(*arg, done));
  s.first = static_cast<std::uint32_t>(operands_.size());
  operands_.insert(operands_.end(), args.begin(), args.end());
  s.second = static_cast<std::uint32_t>(operands_.size());
}

/// Lists are searched by halves, so their order is that of the comparison.
void program::add_list(const node& n, step& s) {
  std::vector<value> list;
  for (const auto& element : n.set)
    list.push_back(stored(n.element, element));
  std::sort(list.begin(), list.end(),
            [&s](const value& a, const value& b) { return compare(s.by, a, b) < 0; });
  s.list = static_cast<std::uint32_t>(values_.size());
  values_.insert(values_.end(), list.begin(), list.end());
  s.second = static_cast<std::uint32_t>(values_.size());
}

/// A zone is a file: read once, not for every row.
void program::add_zone(const node& n, step& s) {
  const auto& name = *n.args[0];
  if (name.op != operation::constant || name.literal.is_null)
    return;
  zones_.push_back(time_zone::find(name.literal.text));
  s.zone = zones_.back().get();
}

void program::add_subscripts(const node& n, step& s) {
  s.modifier = static_cast<std::int32_t>(subscripts_.size());
  subscripts_.insert(subscripts_.end(), n.at.begin(), n.at.end());
  s.list = static_cast<std::uint32_t>(subscripts_.size());
}

/// Reads a literal that typing has read before.
value program::stored(type t, const constant& c) {
  value v;
  if (c.is_null)
    return v;
  if (is_array(t)) {
    if (!memory_)
      memory_ = std::make_unique<workspace>(enums_);
    (void)read_value(t, memory_->keep(c.text), v, *memory_);
    return v;
  }
  workspace scratch{enums_};
  (void)read_value(t, c.text, v, scratch);
  if (v.text.empty()) {
    v.text = "";
  } else {
    auto& copy = texts_.emplace_back(std::make_unique<char[]>(v.text.size()));
    std::memcpy(copy.get(), v.text.data(), v.text.size());
    v.text = {copy.get(), v.text.size()};
  }
  return v;
}

/// A value that one step alone needs is not worth remembering.
void program::plan_memory() {
  std::vector<std::uint32_t> uses(steps_.size(), 0);
  for (const auto i : operands_)
    ++uses[i];
  for (const auto& s : steps_) {
    if (s.op == operation::column || s.op == operation::constant || has_list(s.op))
      continue;
    ++uses[s.first];
    if (s.op == operation::compare || s.op == operation::quantified)
      ++uses[s.second];
  }
  std::set<std::uint16_t> used;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i].op != operation::column)
      continue;
    used.insert(steps_[i].column);
    if (uses[i] > 1 && remembered_ < remembered_max)
      steps_[i].memory = remembered_++;
  }
  columns_.assign(used.begin(), used.end());
  row_size_min_ = columns_.empty() ? 0 : columns_.back() + std::size_t{1};
}

} // namespace busbar::sql
