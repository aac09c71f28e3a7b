#include "sql/check.hpp"

#include "sql/checker.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>
#include <utility>

namespace busbar::sql {
namespace {

/// A part that is constant and yet was not computed: computing it fails.
const node* find_failing(const node& n, std::set<const node*>& seen) {
  if (!seen.insert(&n).second)
    return nullptr;
  for (const auto& arg : n.args)
    if (const auto* found = find_failing(*arg, seen))
      return found;
  const bool failing = n.op != operation::column && n.op != operation::constant &&
                       std::all_of(n.args.begin(), n.args.end(), is_constant) &&
                       !(n.op == operation::convert && n.silent);
  return failing ? &n : nullptr;
}

} // namespace

operand checker::analyze(const expression& e) {
  if (types_.failed())
    return {nullptr, nullptr, e.location};
  switch (e.kind) {
  case kind_type::column:
    return types_.column_named(e);
  case kind_type::number:
    return types_.number(e);
  case kind_type::boolean:
    return types_.boolean(e);
  case kind_type::string:
  case kind_type::null:
    return {nullptr, &e, e.location};
  case kind_type::parameter:
    return types_.parameter(e);
  case kind_type::array:
    return array(e, std::nullopt);
  default:
    return {tree_of(e), nullptr, e.location};
  }
}

std::vector<operand> checker::analyze_all(std::span<const expression> parts) {
  std::vector<operand> out;
  out.reserve(parts.size());
  for (const auto& part : parts)
    out.push_back(analyze(part));
  return out;
}

node_ptr checker::tree_of(const expression& e) {
  switch (e.kind) {
  case kind_type::cast:
    return cast(e);
  case kind_type::binary:
    return binary(e);
  case kind_type::prefix: {
    const auto args = analyze_all(e.args);
    return operators_.apply(e.text, args, e.location);
  }
  case kind_type::function:
    return function(e);
  case kind_type::coalesce:
    return coalesce(e);
  case kind_type::greatest:
  case kind_type::least:
    return extreme(e);
  case kind_type::null_if:
    return null_if(e);
  case kind_type::choice:
    return choice(e);
  case kind_type::at:
    return at(e);
  case kind_type::row:
    return types_.refuse(e.location, "a row is supported in comparisons, IN and IS NULL only");
  default:
    return condition(e);
  }
}

node_ptr checker::cast(const expression& e) {
  const auto& inner = e.args.front();
  const auto target = types_.type_of_cast(e);
  if (!target)
    return nullptr;
  // ARRAY[…]::t[] casts each element by itself.
  const auto part = inner.kind == kind_type::array && is_array(target->is)
                        ? array(inner, element_of(target->is))
                        : analyze(inner);
  return types_.cast(part, *target, e.location >= 0 ? e.location : inner.location);
}

// --- Conditions ------------------------------------------------------------------------------

node_ptr checker::boolean(const expression& e, const char* where) {
  const auto part = analyze(e);
  if (types_.failed())
    return nullptr;
  const auto t = types_.type_of(part);
  if (t != type::unknown && t != type::boolean)
    return types_.refuse(part.location, "argument of " + std::string{where} +
                                            " must be type boolean, not type " + types_.display(t));
  return types_.coerce(part, type::boolean);
}

std::vector<node_ptr> checker::booleans(const expression& e, const char* where) {
  std::vector<node_ptr> out;
  out.reserve(e.args.size());
  for (const auto& arg : e.args)
    out.push_back(boolean(arg, where));
  return out;
}

node_ptr checker::condition(const expression& e) {
  switch (e.kind) {
  case kind_type::conjunction:
    return join(operation::conjunction, booleans(e, "AND"));
  case kind_type::disjunction:
    return join(operation::disjunction, booleans(e, "OR"));
  case kind_type::negation:
    return negate(boolean(e.args[0], "NOT"));
  case kind_type::distinct:
    return negate(not_distinct(e));
  case kind_type::not_distinct:
    return not_distinct(e);
  case kind_type::in:
    return in(e);
  case kind_type::not_in:
    return negate(in(e));
  case kind_type::any:
  case kind_type::all:
    return quantified(e);
  case kind_type::in_select:
    return in_select(e);
  case kind_type::between:
    return between(e, false);
  case kind_type::not_between:
    return negate(between(e, false));
  case kind_type::between_symmetric:
    return between(e, true);
  case kind_type::not_between_symmetric:
    return negate(between(e, true));
  case kind_type::is_null:
    return is_null(e.args[0]);
  case kind_type::is_not_null:
    return is_not_null(e.args[0]);
  case kind_type::is_true:
    return boolean_test(operation::is_true, e, "IS TRUE");
  case kind_type::is_not_true:
    return negate(boolean_test(operation::is_true, e, "IS NOT TRUE"));
  case kind_type::is_false:
    return boolean_test(operation::is_false, e, "IS FALSE");
  case kind_type::is_not_false:
    return negate(boolean_test(operation::is_false, e, "IS NOT FALSE"));
  case kind_type::is_unknown:
    return boolean_test(operation::is_unknown, e, "IS UNKNOWN");
  case kind_type::is_not_unknown:
    return negate(boolean_test(operation::is_unknown, e, "IS NOT UNKNOWN"));
  default:
    return types_.refuse(e.location, "this construct is not supported");
  }
}

node_ptr checker::boolean_test(operation op, const expression& e, const char* where) {
  return types_.build(op, {boolean(e.args[0], where)});
}

node_ptr checker::is_null(const expression& e) {
  if (e.kind == kind_type::row) { // all of its fields
    std::vector<node_ptr> fields;
    for (const auto& field : e.args)
      fields.push_back(is_null(field));
    return join(operation::conjunction, fields);
  }
  const auto part = analyze(e);
  if (types_.failed())
    return nullptr;
  const auto t = types_.type_of(part);
  if (part.tree == nullptr && part.literal->kind == kind_type::parameter && t == type::unknown)
    return types_.refuse(e.location,
                         "could not determine data type of parameter $" + std::to_string(e.number));
  auto inner =
      part.tree != nullptr ? part.tree : types_.coerce(part, t == type::unknown ? type::text : t);
  return types_.build(operation::is_null, {std::move(inner)});
}

node_ptr checker::is_not_null(const expression& e) {
  if (e.kind != kind_type::row)
    return negate(is_null(e));
  std::vector<node_ptr> fields; // all of them too: this is not the negation
  for (const auto& field : e.args)
    fields.push_back(is_not_null(field));
  return join(operation::conjunction, fields);
}

node_ptr checker::binary(const expression& e) {
  if (e.args[0].kind == kind_type::row || e.args[1].kind == kind_type::row)
    return rows(e);
  const auto args = analyze_all(e.args);
  return types_.failed() ? nullptr : operators_.apply(e.text, args, e.location);
}

node_ptr checker::between(const expression& e, bool symmetric) {
  const auto parts = analyze_all(e.args);
  if (types_.failed())
    return nullptr;
  const auto within = [&](const operand& from, const operand& to) {
    auto above = operators_.apply(">=", {parts[0], from}, e.location);
    auto below = operators_.apply("<=", {parts[0], to}, e.location);
    return join(operation::conjunction, {std::move(above), std::move(below)});
  };
  auto straight = within(parts[1], parts[2]);
  if (!symmetric)
    return straight;
  return join(operation::disjunction, {std::move(straight), within(parts[2], parts[1])});
}

/// True if x = y, or if both are NULL; never unknown.
node_ptr checker::not_distinct(const expression& e) {
  for (const std::size_t side : {0u, 1u}) // against NULL, PostgreSQL makes it a null test
    if (e.args[side].kind == kind_type::null)
      return is_null(e.args[1 - side]);
  if (e.args[0].kind == kind_type::row || e.args[1].kind == kind_type::row) {
    const auto& a = e.args[0].args;
    const auto& b = e.args[1].args;
    if (e.args[0].kind != e.args[1].kind || a.size() != b.size())
      return types_.refuse(e.location, "unequal number of entries in row expressions");
    std::vector<node_ptr> fields;
    for (std::size_t i = 0; i < a.size(); ++i)
      fields.push_back(not_distinct(expression{
          .kind = kind_type::not_distinct, .location = e.location, .args = {a[i], b[i]}}));
    return join(operation::conjunction, fields);
  }
  return not_distinct(analyze(e.args[0]), analyze(e.args[1]), e.location);
}

node_ptr checker::not_distinct(const operand& left, const operand& right, std::int32_t location) {
  if (types_.failed())
    return nullptr;
  auto equal = operators_.apply("=", {left, right}, location);
  const auto sides = operators_.equal_sides(left, right, location);
  if (equal == nullptr || !sides)
    return nullptr;
  auto same = types_.build(operation::is_true, {equal});
  for (const auto& side : {sides->left, sides->right})
    if (is_constant(side) && !side->literal.is_null)
      return same;
  auto both_null = join(operation::conjunction,
                        {types_.build(operation::is_null, {without_conversion(sides->left)}),
                         types_.build(operation::is_null, {without_conversion(sides->right)})});
  return join(operation::disjunction, {std::move(same), std::move(both_null)});
}

/// As PostgreSQL does it: if at least two elements without columns have a common type together
/// with the left side, they become an array of it. All others are compared one by one.
node_ptr checker::in(const expression& e) {
  if (e.args[0].kind == kind_type::row) {
    std::vector<node_ptr> equal;
    for (std::size_t i = 1; i < e.args.size(); ++i)
      equal.push_back(rows(expression{.kind = kind_type::binary,
                                      .location = e.location,
                                      .text = "=",
                                      .args = {e.args[0], e.args[i]}}));
    return join(operation::disjunction, equal);
  }
  const auto left = analyze(e.args[0]);
  auto elements = analyze_all(std::span{e.args}.subspan(1));
  if (types_.failed())
    return nullptr;
  const auto has_column = [](const operand& o) {
    return o.tree != nullptr && o.tree->mentions_column;
  };
  std::vector<operand> plain;
  std::remove_copy_if(elements.begin(), elements.end(), std::back_inserter(plain), has_column);
  std::vector<node_ptr> parts;
  if (plain.size() > 1) {
    common_type common;
    common.add(types_.type_of(left));
    for (const auto& element : plain)
      common.add(types_.type_of(element));
    const auto t = common.get();
    if (t == type::opaque)
      return types_.refuse_opaque(e.location);
    if (t && !is_array(*t)) {
      parts.push_back(
          operators_.one_of(left, plain, *t == type::unknown ? type::text : *t, e.location));
      std::erase_if(elements, std::not_fn(has_column));
    }
  }
  for (const auto& element : elements)
    parts.push_back(operators_.apply("=", {left, element}, e.location));
  return join(operation::disjunction, parts);
}

node_ptr checker::quantified(const expression& e) {
  const auto left = analyze(e.args[0]);
  const auto right = analyze(e.args[1]);
  if (types_.failed())
    return nullptr;
  return operators_.quantified(e.text, left, right, e.kind == kind_type::all, e.location);
}

node_ptr checker::run(const expression& clause) {
  auto tree = boolean(clause, "WHERE");
  std::set<const node*> seen;
  if (tree != nullptr)
    if (const auto* failing = find_failing(*tree, seen))
      return types_.refuse(failing->location, "this part is an error for every row: an overflow, "
                                              "a division by zero or an invalid value");
  return tree;
}

result<checked> check(const expression& clause, std::span<const std::string> parameters,
                      std::span<const column> columns, const collation& database,
                      std::span<const inner_table> inner) {
  checker walk{parameters, columns, database, inner};
  auto tree = walk.run(clause);
  if (walk.types().failed())
    return fail(walk.types().take_error());
  return checked{std::move(tree), walk.types().enums()};
}

} // namespace busbar::sql
