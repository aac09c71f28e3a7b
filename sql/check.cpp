#include "sql/check.hpp"

#include "sql/comparing.hpp"
#include "sql/typing.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>
#include <vector>

namespace busbar::sql {
namespace {

using kind_type = expression::kind_type;

/// Walks the expression once and says it with the few operations of a tree.
class checker {
public:
  checker(std::span<const std::string> parameters, std::span<const column> columns)
      : types_{parameters, columns} {}

  result<node_ptr> run(const expression& clause) {
    auto tree = boolean(clause, "WHERE");
    if (types_.failed())
      return fail(types_.take_error());
    return tree;
  }

private:
  operand analyze(const expression& e) {
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
    case kind_type::cast:
      return {cast(e), nullptr, e.location};
    default:
      return {condition(e), nullptr, e.location};
    }
  }

  node_ptr cast(const expression& e) {
    const auto target = type_named(e.text);
    const auto& inner = e.args.front();
    const auto location = e.location >= 0 ? e.location : inner.location;
    if (!target)
      return types_.refuse(location, "casts to " + quoted(e.text) + " are not supported");
    return types_.cast(analyze(inner), *target, location);
  }

  // --- Conditions ----------------------------------------------------------------------------

  node_ptr boolean(const expression& e, const char* where) {
    const auto part = analyze(e);
    if (types_.failed())
      return nullptr;
    const auto t = types_.type_of(part);
    if (t != type::unknown && t != type::boolean)
      return types_.refuse(part.location, "argument of " + std::string{where} +
                                              " must be type boolean, not type " +
                                              std::string{display_name(t)});
    return types_.coerce(part, type::boolean);
  }

  std::vector<node_ptr> booleans(const expression& e, const char* where) {
    std::vector<node_ptr> out;
    out.reserve(e.args.size());
    for (const auto& arg : e.args)
      out.push_back(boolean(arg, where));
    return out;
  }

  node_ptr condition(const expression& e) {
    switch (e.kind) {
    case kind_type::conjunction:
      return join(operation::conjunction, booleans(e, "AND"));
    case kind_type::disjunction:
      return join(operation::disjunction, booleans(e, "OR"));
    case kind_type::negation:
      return negate(boolean(e.args[0], "NOT"));
    case kind_type::binary:
      return binary(e);
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
      return negate(is_null(e.args[0]));
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

  node_ptr boolean_test(operation op, const expression& e, const char* where) {
    auto inner = boolean(e.args[0], where);
    return inner == nullptr ? nullptr : make(op, {std::move(inner)});
  }

  node_ptr is_null(const expression& e) {
    const auto part = analyze(e);
    if (types_.failed())
      return nullptr;
    if (part.tree == nullptr && part.literal->kind == kind_type::parameter &&
        types_.type_of(part) == type::unknown)
      return types_.refuse(e.location, "could not determine data type of parameter $" +
                                           std::to_string(e.number));
    const auto t = types_.type_of(part);
    auto inner =
        part.tree != nullptr ? part.tree : types_.coerce(part, t == type::unknown ? type::text : t);
    return inner == nullptr ? nullptr : make(operation::is_null, {std::move(inner)});
  }

  node_ptr binary(const expression& e) {
    const auto left = analyze(e.args[0]);
    const auto right = analyze(e.args[1]);
    if (types_.failed())
      return nullptr;
    if (e.text == "~~")
      return operators_.like(left, right, e.location);
    if (e.text == "!~~")
      return negate(operators_.like(left, right, e.location));
    if (const auto test = comparison_named(e.text))
      return operators_.compare(*test, left, right, e.location);
    return types_.refuse(e.location, "operator " + e.text + " is not supported");
  }

  node_ptr between(const expression& e, bool symmetric) {
    const auto x = analyze(e.args[0]);
    const auto low = analyze(e.args[1]);
    const auto high = analyze(e.args[2]);
    if (types_.failed())
      return nullptr;
    const auto within = [&](const operand& from, const operand& to) {
      auto above = operators_.compare(comparison::greater_equal, x, from, e.location);
      auto below = operators_.compare(comparison::less_equal, x, to, e.location);
      return join(operation::conjunction, {std::move(above), std::move(below)});
    };
    auto straight = within(low, high);
    if (!symmetric)
      return straight;
    return join(operation::disjunction, {std::move(straight), within(high, low)});
  }

  /// True if x = y, or if both are NULL; never unknown.
  node_ptr not_distinct(const expression& e) {
    for (const int side : {0, 1}) // against NULL, PostgreSQL makes it a null test for any type
      if (e.args[static_cast<std::size_t>(side)].kind == kind_type::null)
        return is_null(e.args[static_cast<std::size_t>(1 - side)]);
    const auto left = analyze(e.args[0]);
    const auto right = analyze(e.args[1]);
    if (types_.failed())
      return nullptr;
    auto equal = operators_.compare(comparison::equal, left, right, e.location);
    if (equal == nullptr)
      return nullptr;
    auto same = make(operation::is_true, {equal});
    for (const auto& side : equal->args)
      if (side->op == operation::constant && !side->literal.is_null)
        return same;
    auto both_null = join(operation::conjunction,
                          {make(operation::is_null, {without_conversion(equal->args[0])}),
                           make(operation::is_null, {without_conversion(equal->args[1])})});
    return join(operation::disjunction, {std::move(same), std::move(both_null)});
  }

  std::vector<operand> elements_of(const expression& e) {
    std::vector<operand> out;
    for (auto arg = e.args.begin() + 1; arg != e.args.end(); ++arg)
      out.push_back(analyze(*arg));
    return out;
  }

  /// As PostgreSQL does it: if at least two elements without columns have a common type together
  /// with the left side, they become an array of it. All others are compared one by one.
  node_ptr in(const expression& e) {
    const auto left = analyze(e.args[0]);
    auto elements = elements_of(e);
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
      if (const auto t = common.get()) {
        if (*t == type::opaque)
          return types_.refuse_opaque(e.location);
        parts.push_back(
            operators_.one_of(left, plain, *t == type::unknown ? type::text : *t, e.location));
        std::erase_if(elements, std::not_fn(has_column));
      }
    }
    for (const auto& element : elements)
      parts.push_back(operators_.compare(comparison::equal, left, element, e.location));
    return join(operation::disjunction, parts);
  }

  /// x op ANY (ARRAY[…]) and x op ALL (ARRAY[…]).
  node_ptr quantified(const expression& e) {
    const auto test = comparison_named(e.text);
    if (!test)
      return types_.refuse(e.location, "operator " + e.text + " is not supported with ANY and ALL");
    const auto left = analyze(e.args[0]);
    const auto elements = elements_of(e);
    if (types_.failed())
      return nullptr;
    common_type common; // of the array alone: ARRAY['1'] is text[], whatever stands on the left
    for (const auto& element : elements)
      common.add(types_.type_of(element));
    const auto t = common.get();
    if (!t || elements.empty())
      return types_.refuse(e.location, "the elements of ARRAY[…] have no common type");
    if (*t == type::opaque)
      return types_.refuse_opaque(e.location);
    const auto element_type = *t == type::unknown ? type::text : *t;
    const bool any = e.kind == kind_type::any;
    if (*test == comparison::equal && any)
      return operators_.one_of(left, elements, element_type, e.location);
    if (*test == comparison::not_equal && !any)
      return negate(operators_.one_of(left, elements, element_type, e.location));
    std::vector<node_ptr> parts;
    for (const auto& element : elements)
      parts.push_back(operators_.compare(
          *test, left, {types_.coerce(element, element_type), nullptr, element.location},
          e.location));
    return join(any ? operation::disjunction : operation::conjunction, parts);
  }

  typing types_;
  comparing operators_{types_};
};

} // namespace

result<node_ptr> check(const expression& clause, std::span<const std::string> parameters,
                       std::span<const column> columns) {
  return checker{parameters, columns}.run(clause);
}

} // namespace busbar::sql
