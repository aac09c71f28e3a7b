// Runs a program over one row.
#include "sql/array.hpp"
#include "sql/program.hpp"

#include <algorithm>
#include <array>

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

truth program::run(std::span<const cell> row) const noexcept {
  if (row.size() < layout_->row_size_min)
    return truth::failed;
  workspace space{layout_->enums};
  evaluation e{.row = row, .space = &space};
  return run_prepared(e);
}

outcome program::compute(workspace& space, value& out) const noexcept {
  evaluation e{.row = {}, .space = &space};
  const auto found = fetch(e, static_cast<step_index>(layout_->steps.size() - 1), out);
  return static_cast<outcome>(found);
}

truth program::run_prepared(evaluation& e) const noexcept {
  const auto last = static_cast<step_index>(layout_->steps.size() - 1);
  if (layout_->remembered == 0)
    return test(e, last);
  std::array<state, remembered_max> known;
  known.fill(state::absent);
  std::array<value, remembered_max> values;
  e.known = known.data();
  e.values = values.data();
  return test(e, last);
}

truth program::test(evaluation& e, step_index i) const noexcept {
  const step& s = layout_->steps[i];
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
  case operation::quantified:
    return quantified(e, s);
  case operation::is_null:
    return is_null(e, s);
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
  default:
    return test_value(e, i);
  }
}

truth program::test_value(evaluation& e, step_index i) const noexcept {
  value v;
  const auto fetched = fetch(e, i, v);
  return fetched == state::present ? truth_of(v.integer != 0)
         : fetched == state::null  ? truth::unknown
                                   : truth::failed;
}

truth program::is_null(evaluation& e, const step& s) const noexcept {
  const step& inner = layout_->steps[s.first];
  if (inner.op == operation::column) // presence only: the text may be of any type
    return truth_of(!e.row[inner.column]);
  value ignored;
  const auto fetched = fetch(e, s.first, ignored);
  return fetched == state::failed ? truth::failed : truth_of(fetched == state::null);
}

/// AND is decided by a no, OR by a yes; else an unknown wins over the neutral answer. An error on
/// the way ends it, as it does in PostgreSQL.
truth program::junction(evaluation& e, const step& s, truth decisive,
                        truth neutral) const noexcept {
  auto answer = neutral;
  for (auto i = s.first; i < s.second; ++i) {
    const auto part = test(e, layout_->operands[i]);
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
  const step& other = layout_->steps[s.second];
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
  if (fetched != state::present)
    return fetched == state::null ? truth::unknown : truth::failed;
  return truth_of(
      std::binary_search(values_.get() + s.list, values_.get() + s.second, x,
                         [&s](const value& a, const value& b) { return compare(s.by, a, b) < 0; }));
}

/// An empty array decides even where the left side is NULL.
truth program::quantified(evaluation& e, const step& s) const noexcept {
  datum pair[2];
  value list;
  const auto left = fetch(e, s.first, pair[0].v);
  const auto right = fetch(e, s.second, list);
  if (left == state::failed || right == state::failed)
    return truth::failed;
  if (right == state::null)
    return truth::unknown;
  const auto decisive = s.all ? truth::no : truth::yes;
  auto answer = opposite(decisive);
  const auto& items = list.array->items;
  if (left == state::null)
    return items.empty() ? answer : truth::unknown;
  for (const auto& item : items) {
    auto one = truth::unknown;
    if (!item.null && s.callee == nullptr) {
      one = truth_of(holds(s.test, compare(s.by, pair[0].v, item.v)));
    } else if (!item.null) {
      pair[1] = item;
      value found;
      const call c{pair, layout_->steps[s.first].result, type::boolean, s.cases, *e.space};
      const auto called = s.callee->run(c, found);
      if (called == outcome::failed)
        return truth::failed;
      one = called == outcome::null ? truth::unknown : truth_of(found.integer != 0);
    }
    if (one == decisive)
      return one;
    if (one == truth::unknown)
      answer = one;
  }
  return answer;
}

program::state program::fetch(evaluation& e, step_index i, value& out) const noexcept {
  const step& s = layout_->steps[i];
  switch (s.op) {
  case operation::column:
    return fetch_column(e, s, out);
  case operation::constant:
    out = values_[s.first];
    return s.null ? state::null : state::present;
  case operation::convert: {
    const auto fetched = fetch(e, s.first, out);
    if (fetched != state::present || s.how == conversion::relabel)
      return fetched;
    return static_cast<state>(
        convert({s.how, layout_->steps[s.first].result, s.result, s.modifier}, out, *e.space));
  }
  case operation::apply:
    return apply(e, s, out);
  case operation::concat:
    return concat(e, s, out);
  case operation::array:
    return build_array(e, s, out);
  case operation::at:
    return at(e, s, out);
  case operation::coalesce:
    return coalesce(e, s, out);
  case operation::extreme:
    return extreme(e, s, out);
  case operation::choice:
    return choice(e, s, out);
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
  auto found = state::null;
  if (text && s.result == type::jsonb) { // its output is the normal form already
    out.text = *text;
    found = state::present;
  } else if (text) {
    found =
        read_value(s.result, *text, out, *e.space) == reading::ok ? state::present : state::failed;
  }
  if (remembers) {
    e.known[s.memory] = found;
    e.values[s.memory] = out;
  }
  return found;
}

/// `strict`: null as soon as one of them is, though an error in a later one still counts.
program::state program::fetch_operands(evaluation& e, const step& s, bool strict,
                                       std::span<const datum>& out) const noexcept {
  const auto count = s.second - s.first;
  auto* items = e.space->make<datum>(count);
  if (items == nullptr)
    return state::failed;
  bool any_null = false;
  for (std::uint32_t i = 0; i < count; ++i) {
    auto& item = *std::construct_at(items + i);
    const auto found = fetch(e, layout_->operands[s.first + i], item.v);
    if (found == state::failed)
      return found;
    item.null = found == state::null;
    any_null = any_null || item.null;
  }
  out = {items, count};
  return strict && any_null ? state::null : state::present;
}

program::state program::apply(evaluation& e, const step& s, value& out) const noexcept {
  std::span<const datum> args;
  if (const auto found = fetch_operands(e, s, s.callee->strict, args); found != state::present)
    return found;
  const call c{
      args, layout_->steps[layout_->operands[s.first]].result, s.result, s.cases, *e.space, s.zone};
  return static_cast<state>(s.callee->run(c, out));
}

program::state program::concat(evaluation& e, const step& s, value& out) const noexcept {
  std::span<const datum> args;
  if (const auto found = fetch_operands(e, s, false, args); found != state::present)
    return found;
  std::size_t size = 0;
  for (const auto& arg : args)
    size += arg.null ? 0 : arg.v.text.size();
  char* copy = e.space->make<char>(size);
  if (copy == nullptr)
    return state::failed;
  char* end = copy;
  for (const auto& arg : args)
    if (!arg.null)
      end += arg.v.text.copy(end, arg.v.text.size());
  out.text = {copy, size};
  return state::present;
}

program::state program::build_array(evaluation& e, const step& s, value& out) const noexcept {
  std::span<const datum> items;
  if (const auto found = fetch_operands(e, s, false, items); found != state::present)
    return found;
  const bool nested =
      s.first < s.second && is_array(layout_->steps[layout_->operands[s.first]].result);
  return static_cast<state>(sql::build_array(element_of(s.result), items, nested, out, *e.space));
}

program::state program::at(evaluation& e, const step& s, value& out) const noexcept {
  value array; // if there is none, PostgreSQL does not look at the subscripts
  if (const auto found = fetch(e, layout_->operands[s.first], array); found != state::present)
    return found;
  std::span<const datum> args;
  if (const auto found = fetch_operands(e, s, true, args); found != state::present)
    return found;
  std::array<subscript, array_dimensions_max> subscripts;
  std::size_t count = 0;
  std::size_t next = 1;
  for (auto i = static_cast<std::size_t>(s.modifier); i < s.list; ++i) {
    const auto& parts = layout_->subscripts[i];
    auto& one = subscripts[count++];
    one = {.slice = parts.slice, .has_lower = parts.has_lower, .has_upper = parts.has_upper};
    if (parts.has_lower)
      one.lower = static_cast<std::int32_t>(args[next++].v.integer);
    if (parts.has_upper)
      one.upper = static_cast<std::int32_t>(args[next++].v.integer);
  }
  return static_cast<state>(
      array_at(*args[0].v.array, std::span{subscripts}.first(count), out, *e.space));
}

program::state program::coalesce(evaluation& e, const step& s, value& out) const noexcept {
  for (auto i = s.first; i < s.second; ++i) {
    out = {};
    if (const auto found = fetch(e, layout_->operands[i], out); found != state::null)
      return found;
  }
  return state::null;
}

program::state program::extreme(evaluation& e, const step& s, value& out) const noexcept {
  bool any = false;
  for (auto i = s.first; i < s.second; ++i) {
    value next;
    const auto found = fetch(e, layout_->operands[i], next);
    if (found == state::failed)
      return found;
    if (found == state::null || (any && !holds(s.test, compare(s.by, next, out))))
      continue;
    out = next;
    any = true;
  }
  return any ? state::present : state::null;
}

program::state program::choice(evaluation& e, const step& s, value& out) const noexcept {
  for (auto i = s.first; i + 1 < s.second; i += 2) {
    const auto chosen = test(e, layout_->operands[i]);
    if (chosen == truth::failed)
      return state::failed;
    if (chosen == truth::yes)
      return fetch(e, layout_->operands[i + 1], out);
  }
  return fetch(e, layout_->operands[s.second - 1], out);
}

} // namespace busbar::sql
