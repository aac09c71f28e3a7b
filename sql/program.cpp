#include "sql/program.hpp"

#include "sql/array.hpp"
#include "sql/time_zone.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

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

/// Lays a tree out. What it finds borrows from the tree until finish().
class program::builder {
public:
  explicit builder(const std::vector<std::shared_ptr<const enum_type>>& enums) : scratch_{enums} {
    made_.enums = enums;
  }

  step_index add(const node& n);
  void finish(program& out, program_pool* pool);

private:
  void add_operands(const node& n, step& s);
  void add_list(const node& n, step& s);
  void add_zone(const node& n, step& s);
  void add_subscripts(const node& n, step& s);
  value stored(type t, const constant& c);
  void plan_memory();
  void keep_constants(program& out);

  program_layout made_;
  std::vector<value> values_;
  workspace scratch_;
  std::unique_ptr<workspace> memory_;
  std::map<const void*, step_index> done_;
};

program::program(const node& tree, const std::vector<std::shared_ptr<const enum_type>>& enums,
                 program_pool* pool) {
  builder steps{enums};
  steps.add(tree);
  steps.finish(*this, pool);
}

void program::builder::finish(program& out, program_pool* pool) {
  plan_memory();
  keep_constants(out);
  made_.constants = values_.size();
  made_.steps.shrink_to_fit(); // there may be many of these as well
  made_.operands.shrink_to_fit();
  auto layout = std::make_shared<const program_layout>(std::move(made_));
  out.layout_ = pool ? pool->share(std::move(layout)) : std::move(layout);
}

/// In as few pieces of memory as possible.
void program::builder::keep_constants(program& out) {
  if (values_.empty())
    return;
  std::size_t bytes = 0;
  for (const auto& v : values_)
    bytes += v.text.size();
  auto texts = bytes > 0 ? std::make_unique<char[]>(bytes) : nullptr;
  auto* end = texts.get();
  for (auto& v : values_) {
    if (v.text.empty()) {
      v.text = "";
      continue;
    }
    const auto size = v.text.copy(end, v.text.size());
    v.text = {end, size};
    end += size;
  }
  auto values = std::make_unique<value[]>(values_.size());
  std::copy(values_.begin(), values_.end(), values.get());
  out.values_ = std::move(values);
  out.texts_ = std::move(texts);
  out.memory_ = std::move(memory_);
}

program::step_index program::builder::add(const node& n) {
  if (const auto known = done_.find(&n); known != done_.end())
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
    // One step a column, however often it is named.
    for (step_index i = 0; i < made_.steps.size(); ++i)
      if (made_.steps[i].op == operation::column && made_.steps[i].column == n.column)
        return done_[&n] = i;
    break;
  case operation::constant:
    s.null = n.literal.is_null;
    s.first = static_cast<std::uint32_t>(values_.size());
    values_.push_back(stored(n.result, n.literal));
    break;
  default:
    add_operands(n, s);
    if (n.op == operation::one_of)
      add_list(n, s);
    if (n.op == operation::at)
      add_subscripts(n, s);
    if (n.op == operation::apply && n.callee->name == "timezone")
      add_zone(n, s);
  }
  made_.steps.push_back(s);
  return done_[&n] = static_cast<step_index>(made_.steps.size() - 1);
}

void program::builder::add_operands(const node& n, step& s) {
  if (!has_list(n.op)) {
    s.first = add(*n.args[0]);
    if (n.args.size() > 1)
      s.second = add(*n.args[1]);
    return;
  }
  std::vector<step_index> args;
  for (const auto& arg : n.args)
    args.push_back(add(*arg));
  s.first = static_cast<std::uint32_t>(made_.operands.size());
  made_.operands.insert(made_.operands.end(), args.begin(), args.end());
  s.second = static_cast<std::uint32_t>(made_.operands.size());
}

/// Lists are searched by halves, so their order is that of the comparison.
void program::builder::add_list(const node& n, step& s) {
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
void program::builder::add_zone(const node& n, step& s) {
  const auto& name = *n.args[0];
  if (name.op != operation::constant || name.literal.is_null)
    return;
  made_.zones.push_back(time_zone::find(name.literal.text));
  s.zone = made_.zones.back().get();
}

void program::builder::add_subscripts(const node& n, step& s) {
  s.modifier = static_cast<std::int32_t>(made_.subscripts.size());
  made_.subscripts.insert(made_.subscripts.end(), n.at.begin(), n.at.end());
  s.list = static_cast<std::uint32_t>(made_.subscripts.size());
}

/// Reads a literal that typing has read before.
value program::builder::stored(type t, const constant& c) {
  value v;
  if (c.is_null)
    return v;
  if (is_array(t)) {
    if (!memory_)
      memory_ = std::make_unique<workspace>(made_.enums);
    (void)read_value(t, memory_->keep(c.text), v, *memory_);
  } else {
    (void)read_value(t, c.text, v, scratch_);
  }
  return v;
}

/// A value that one step alone needs is not worth remembering.
void program::builder::plan_memory() {
  std::vector<std::uint32_t> uses(made_.steps.size(), 0);
  for (const auto i : made_.operands)
    ++uses[i];
  for (const auto& s : made_.steps) {
    if (s.op == operation::column || s.op == operation::constant || has_list(s.op))
      continue;
    ++uses[s.first];
    if (s.op == operation::compare || s.op == operation::quantified)
      ++uses[s.second];
  }
  std::set<std::uint16_t> used;
  for (std::size_t i = 0; i < made_.steps.size(); ++i) {
    if (made_.steps[i].op != operation::column)
      continue;
    used.insert(made_.steps[i].column);
    if (uses[i] > 1 && made_.remembered < remembered_max)
      made_.steps[i].memory = made_.remembered++;
  }
  made_.columns.assign(used.begin(), used.end());
  made_.row_size_min = made_.columns.empty() ? 0 : made_.columns.back() + std::size_t{1};
}

} // namespace busbar::sql
