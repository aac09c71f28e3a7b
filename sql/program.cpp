#include "sql/program.hpp"

#include "sql/text.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace busbar::sql {
namespace {

constexpr truth truth_of(bool b) noexcept {
  return b ? truth::yes : truth::no;
}

constexpr truth opposite(truth t) noexcept {
  return t == truth::yes ? truth::no : t == truth::no ? truth::yes : t;
}

constexpr bool holds(comparison test, int order) noexcept {
  switch (test) {
  case comparison::equal:
    return order == 0;
  case comparison::not_equal:
    return order != 0;
  case comparison::less:
    return order < 0;
  case comparison::less_equal:
    return order <= 0;
  case comparison::greater:
    return order > 0;
  case comparison::greater_equal:
    return order >= 0;
  }
  return false;
}

} // namespace

program::program(const node& tree) {
  index_of done;
  add(tree, done);
  plan_memory();
}

program::step_index program::add(const node& n, index_of& done) {
  if (const auto known = done.find(&n); known != done.end())
    return known->second;
  step s{
      .op = n.op, .result = n.result, .how = n.how, .test = n.test, .by = n.by, .column = n.column};
  switch (n.op) {
  case operation::column:
    for (step_index i = 0; i < steps_.size(); ++i) // one step a column, however often it is named
      if (steps_[i].op == operation::column && steps_[i].column == n.column)
        return done[&n] = i;
    break;
  case operation::constant:
    s.null = n.literal.is_null;
    s.first = static_cast<std::uint32_t>(values_.size());
    values_.push_back(stored(n.literal));
    break;
  case operation::conjunction:
  case operation::disjunction: {
    std::vector<step_index> args;
    for (const auto& arg : n.args)
      args.push_back(add(*arg, done));
    s.first = static_cast<std::uint32_t>(operands_.size());
    operands_.insert(operands_.end(), args.begin(), args.end());
    s.second = static_cast<std::uint32_t>(operands_.size());
    break;
  }
  default:
    s.first = add(*n.args[0], done);
    if (n.args.size() > 1)
      s.second = add(*n.args[1], done);
    if (n.op == operation::one_of)
      add_list(n, s);
  }
  steps_.push_back(s);
  return done[&n] = static_cast<step_index>(steps_.size() - 1);
}

/// Lists are searched by halves, so their order is that of the comparison.
void program::add_list(const node& n, step& s) {
  std::vector<value> list;
  for (const auto& element : n.set) {
    if (element.is_null)
      s.null = true;
    else
      list.push_back(stored(element));
  }
  std::sort(list.begin(), list.end(),
            [&s](const value& a, const value& b) { return compare(s.by, a, b) < 0; });
  s.list = static_cast<std::uint32_t>(values_.size());
  values_.insert(values_.end(), list.begin(), list.end());
  s.second = static_cast<std::uint32_t>(values_.size());
}

value program::stored(const constant& c) {
  if (c.is_null)
    return {};
  auto v = c.get();
  if (!v.text.empty())
    v.text = texts_.emplace_back(v.text);
  return v;
}

/// A value that one step alone needs is not worth remembering.
void program::plan_memory() {
  std::vector<std::uint32_t> uses(steps_.size(), 0);
  for (const auto i : operands_)
    ++uses[i];
  for (const auto& s : steps_) {
    switch (s.op) {
    case operation::column:
    case operation::constant:
    case operation::conjunction:
    case operation::disjunction:
      break;
    case operation::compare:
    case operation::like:
      ++uses[s.second];
      [[fallthrough]];
    default:
      ++uses[s.first];
    }
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

truth program::run(std::span<const cell> row) const noexcept {
  if (row.size() < row_size_min_)
    return truth::failed;
  if (remembered_ > 0)
    return run_remembering(row);
  evaluation e{row};
  return test(e, static_cast<step_index>(steps_.size() - 1));
}

/// Apart, so that clauses without need for it do not pay for clearing this memory.
truth program::run_remembering(std::span<const cell> row) const noexcept {
  std::array<state, remembered_max> known{};
  std::array<value, remembered_max> values;
  evaluation e{row, known.data(), values.data()};
  return test(e, static_cast<step_index>(steps_.size() - 1));
}

truth program::test(evaluation& e, step_index i) const noexcept {
  const step& s = steps_[i];
  switch (s.op) {
  case operation::compare:
    return compared(e, s);
  case operation::conjunction:
    return junction(e, s, truth::no, truth::yes);
  case operation::disjunction:
    return junction(e, s, truth::yes, truth::no);
  case operation::negation:
    return opposite(test(e, s.first));
  case operation::one_of:
    return contains(e, s);
  case operation::like: {
    value text;
    value pattern;
    const auto left = fetch(e, s.first, text);
    const auto right = fetch(e, s.second, pattern);
    if (left == state::failed || right == state::failed)
      return truth::failed;
    if (left == state::null || right == state::null)
      return truth::unknown;
    const auto matched = sql::like(text.text, pattern.text);
    return matched == match::bad_pattern ? truth::failed : truth_of(matched == match::yes);
  }
  case operation::is_null: {
    const step& inner = steps_[s.first];
    if (inner.op == operation::column) // presence only: the text may be of any type
      return truth_of(!e.row[inner.column]);
    value ignored;
    const auto fetched = fetch(e, s.first, ignored);
    return fetched == state::failed ? truth::failed : truth_of(fetched == state::null);
  }
  case operation::is_true:
  case operation::is_false:
  case operation::is_unknown: {
    const auto inner = test(e, s.first);
    if (inner == truth::failed)
      return truth::failed;
    const auto wanted = s.op == operation::is_true    ? truth::yes
                        : s.op == operation::is_false ? truth::no
                                                      : truth::unknown;
    return truth_of(inner == wanted);
  }
  case operation::column:
  case operation::constant:
  case operation::convert:
    break;
  }
  value v;
  const auto fetched = fetch(e, i, v);
  return fetched == state::present ? truth_of(v.integer != 0)
         : fetched == state::null  ? truth::unknown
                                   : truth::failed;
}

/// AND is decided by a no, OR by a yes; else an unknown wins over the neutral answer. An error on
/// the way ends it, as it does in PostgreSQL.
truth program::junction(evaluation& e, const step& s, truth decisive,
                        truth neutral) const noexcept {
  auto answer = neutral;
  for (auto i = s.first; i < s.second; ++i) {
    const auto part = test(e, operands_[i]);
    if (part == decisive || part == truth::failed)
      return part;
    if (part == truth::unknown)
      answer = truth::unknown;
  }
  return answer;
}

truth program::compared(evaluation& e, const step& s) const noexcept {
  value a;
  const auto left = fetch(e, s.first, a);
  if (left == state::failed)
    return truth::failed;
  const step& other = steps_[s.second];
  if (other.op == operation::constant) // nearly always, and then there is nothing to copy
    return left == state::null || other.null
               ? truth::unknown
               : truth_of(holds(s.test, compare(s.by, a, values_[other.first])));
  value b;
  const auto right = fetch(e, s.second, b);
  if (right == state::failed)
    return truth::failed;
  if (left == state::null || right == state::null)
    return truth::unknown;
  return truth_of(holds(s.test, compare(s.by, a, b)));
}

truth program::contains(evaluation& e, const step& s) const noexcept {
  value x;
  const auto fetched = fetch(e, s.first, x);
  if (fetched == state::failed)
    return truth::failed;
  if (fetched == state::null)
    return truth::unknown;
  const bool found =
      std::binary_search(values_.begin() + s.list, values_.begin() + s.second, x,
                         [&s](const value& a, const value& b) { return compare(s.by, a, b) < 0; });
  return found ? truth::yes : s.null ? truth::unknown : truth::no;
}

program::state program::fetch(evaluation& e, step_index i, value& out) const noexcept {
  const step& s = steps_[i];
  switch (s.op) {
  case operation::column:
    return fetch_column(e, s, out);
  case operation::constant:
    out = values_[s.first];
    return s.null ? state::null : state::present;
  case operation::convert: {
    const auto fetched = fetch(e, s.first, out);
    if (fetched != state::present)
      return fetched;
    return convert(s.how, out) ? state::present : state::failed;
  }
  default: {
    const auto answer = test(e, i);
    out.integer = answer == truth::yes;
    return answer == truth::unknown  ? state::null
           : answer == truth::failed ? state::failed
                                     : state::present;
  }
  }
}

program::state program::fetch_column(evaluation& e, const step& s, value& out) const noexcept {
  const bool remembers = s.memory != not_remembered;
  if (remembers && e.known[s.memory] != state::absent) {
    out = e.values[s.memory];
    return e.known[s.memory];
  }
  const auto& text = e.row[s.column];
  const auto found = !text                                             ? state::null
                     : read_value(s.result, *text, out) == reading::ok ? state::present
                                                                       : state::failed;
  if (remembers) {
    e.known[s.memory] = found;
    e.values[s.memory] = out;
  }
  return found;
}

} // namespace busbar::sql
