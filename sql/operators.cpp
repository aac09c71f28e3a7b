#include "sql/operators.hpp"

#include "sql/array.hpp"
#include "sql/letter_case.hpp"
#include "sql/text.hpp"

#include <algorithm>
#include <utility>

namespace busbar::sql {
namespace {

comparison mirrored(comparison test) {
  switch (test) {
  case comparison::less:
    return comparison::greater;
  case comparison::less_equal:
    return comparison::greater_equal;
  case comparison::greater:
    return comparison::less;
  case comparison::greater_equal:
    return comparison::less_equal;
  default:
    return test;
  }
}

bool ends_with_escape(std::string_view pattern) {
  bool escaped = false;
  for (const char c : pattern)
    escaped = c == '\\' && !escaped;
  return escaped;
}

bool is_order(comparison test) {
  return test != comparison::equal && test != comparison::not_equal;
}

bool is_like_name(std::string_view name) {
  return name == "~~" || name == "!~~" || name == "~~*" || name == "!~~*";
}

bool is_about_strings(type t) {
  return is_string(element_of(t));
}

} // namespace

std::optional<resolved> operators::choose(std::string_view name,
                                          std::span<const function* const> candidates,
                                          const std::vector<operand>& args, bool is_operator,
                                          std::int32_t location) {
  if (types_.failed())
    return std::nullopt;
  std::vector<type> types;
  std::string shown;
  for (const auto& arg : args) {
    types.push_back(types_.type_of(arg));
    if (types.back() == type::opaque) {
      types_.refuse_opaque(location);
      return std::nullopt;
    }
    shown += (shown.empty() ? "" : ", ") + types_.display(types.back());
  }
  auto found = resolve(candidates, types, is_operator);
  if (!found)
    types_.refuse(location, std::string{is_operator ? "operator " : "function "} +
                                std::string{name} +
                                (candidates.empty() ? " is not supported"
                                                    : " does not exist for these operands, or "
                                                      "there is no best one: ") +
                                (candidates.empty() ? "" : shown));
  return found;
}

node_ptr operators::as_argument(const operand& o, type target, type declared) {
  const bool to_text = declared == type::any_non_array && target != type::text;
  if (to_text) // text || anything: PostgreSQL's own definition is a cast to text
    return types_.cast(o, {type::text}, o.location);
  return types_.coerce(o, target);
}

node_ptr operators::build(const resolved& r, const std::vector<operand>& args, bool is_operator,
                          std::int32_t location) {
  if (r.callee->run == not_supported)
    return types_.refuse(location, std::string{r.callee->name} + " is not supported for " +
                                       types_.display(r.args[0]));
  node n{.op = operation::apply,
         .result = r.result,
         .location = location,
         .callee = r.callee,
         .is_operator = is_operator};
  for (std::size_t i = 0; i < args.size(); ++i) {
    n.args.push_back(as_argument(args[i], r.args[i], r.callee->args[i]));
    if (n.args.back() == nullptr)
      return nullptr;
  }
  if (r.callee->run == nullptr)
    return compare(r, n.args[0], n.args[1], location);
  if (!is_allowed(n))
    return nullptr;
  n.cases = cases_of(n);
  return types_.build(std::move(n));
}

case_rule operators::cases_of(const node& n) const {
  std::optional<collation> found;
  for (const auto& arg : n.args)
    if (is_about_strings(arg->result))
      merge_collations(found, arg->strings);
  return found.value_or(types_.database()).cases;
}

/// What an operand's collation or a literal rules out.
bool operators::is_allowed(const node& n) {
  const auto refuse = [&](const std::string& why) {
    types_.refuse(n.location, why);
    return false;
  };
  std::optional<collation> found;
  for (const auto& arg : n.args)
    if (is_about_strings(arg->result))
      merge_collations(found, arg->strings);
  const auto strings = found.value_or(types_.database());
  if (n.callee->about != letters::any && strings.ambiguous)
    return refuse("it is not clear which of two columns' collations is meant");
  if (n.callee->about != letters::any && !strings.deterministic)
    return refuse("a column has a nondeterministic collation");
  if (n.callee->about == letters::cases && !can_change_case(strings.cases))
    return refuse("small and capital letters follow a collation other than C or C.UTF-8; lower, "
                  "upper and ILIKE are not supported with it");
  if (is_like_name(n.callee->name) && is_constant(n.args[1]) && !n.args[1]->literal.is_null &&
      ends_with_escape(n.args[1]->literal.text))
    return refuse("LIKE pattern must not end with escape character");
  const bool of_arrays = std::any_of(n.args.begin(), n.args.end(),
                                     [](const node_ptr& arg) { return is_array(arg->result); });
  if (of_arrays && found && (!found->deterministic || found->ambiguous)) // they look for elements
    return refuse("a column has a nondeterministic collation, or two collations differ");
  return is_literal_argument_valid(n);
}

/// Some functions read a word or a number that must be known now.
bool operators::is_literal_argument_valid(const node& n) {
  const auto name = n.callee->name;
  const auto refuse = [&](const std::string& why) {
    types_.refuse(n.location, why);
    return false;
  };
  if (n.result == type::numeric && (name == "^" || name == "power")) {
    workspace space;
    value power;
    value result;
    value two;
    two.integer = 2;
    if (!is_constant(n.args[1]) ||
        (!n.args[1]->literal.is_null &&
         (read_value(type::numeric, n.args[1]->literal.text, power, space) != reading::ok ||
          n.callee->run({.args = std::array{datum{two}, datum{power}},
                         .operand = type::numeric,
                         .result = type::numeric,
                         .cases = case_rule::unknown,
                         .space = space},
                        result) != outcome::ok)))
      return refuse("powers of numeric are supported for whole constants from 0 to 64");
  }
  if (name == "timezone" || name == "extract" || name == "date_trunc") {
    if (!is_constant(n.args[0]))
      return refuse(std::string{name} + " needs a constant as its first argument");
    if (n.args[0]->literal.is_null)
      return true;
    workspace space;
    value result;
    datum word;
    word.v.text = n.args[0]->literal.text;
    if (n.callee->run({.args = std::array{word, datum{}},
                       .operand = type::text,
                       .result = n.result,
                       .cases = case_rule::unknown,
                       .space = space},
                      result) == outcome::failed)
      return refuse(std::string{name} + " does not support " + quoted(n.args[0]->literal.text));
  }
  return true;
}

// --- Comparisons -----------------------------------------------------------------------------

/// Against a timestamp a date is its midnight, however far away it is.
node_ptr operators::instant(const node_ptr& n, std::int32_t location) {
  if (n->result == type::timestamp || n->result == type::timestamptz)
    return n;
  value day;
  workspace space;
  const bool far = is_constant(n) && !n->literal.is_null &&
                   (read_value(type::date, n->literal.text, day, space) != reading::ok ||
                    convert({conversion::date_to_timestamp, type::date, type::timestamp}, day,
                            space) != outcome::ok);
  if (far) // as a timestamp it could not be printed, so it stays a date
    return make(node{.op = operation::convert,
                     .result = type::timestamp,
                     .args = {n},
                     .location = location,
                     .how = conversion::date_to_instant,
                     .silent = true});
  return types_.convert(n, type::timestamp, conversion::date_to_instant, location, true);
}

bool operators::is_comparable(comparison test, kernel by, const node_ptr& left,
                              const node_ptr& right, std::int32_t location) {
  if (by == kernel::json && is_order(test)) {
    types_.refuse(location, "jsonb has no order here; only = and <> are supported");
    return false;
  }
  const bool of_json = by == kernel::array && element_of(left->result) == type::jsonb;
  if (of_json) {
    types_.refuse(location, "arrays of jsonb cannot be compared here");
    return false;
  }
  if (!is_about_strings(left->result) && !is_about_strings(right->result))
    return true;
  auto strings = left->strings;
  merge_collations(strings, right->strings);
  if (strings && strings->ambiguous) {
    types_.refuse(location, "it is not clear which of two columns' collations is meant");
    return false;
  }
  if (strings && !strings->deterministic) {
    types_.refuse(location, "a column has a nondeterministic collation");
    return false;
  }
  if (!is_order(test) || strings.value_or(types_.database()).ordered_bytewise)
    return true;
  // Without knowing the collation: a prefix comes first in all of them.
  if (is_constant(left) && is_constant(right) && by != kernel::array) {
    const auto x = trim_blanks(left->literal.text);
    const auto y = trim_blanks(right->literal.text);
    if (left->literal.is_null || right->literal.is_null || x.starts_with(y) || y.starts_with(x))
      return true;
  }
  types_.refuse(location, "the order of these strings follows a collation other than C; only = and "
                          "<> are supported");
  return false;
}

node_ptr operators::compare(const resolved& r, node_ptr left, node_ptr right,
                            std::int32_t location) {
  auto test = r.callee->test;
  const auto by = kernel_of(left->result);
  if (!is_comparable(test, by, left, right, location))
    return nullptr;
  if (r.args[0] != r.args[1] && category_of(r.args[0]) == category::moment) {
    left = instant(left, location);
    right = instant(right, location);
    if (left == nullptr || right == nullptr)
      return nullptr;
  }
  if (is_constant(left) && !is_constant(right)) {
    std::swap(left, right);
    test = mirrored(test);
  }
  return types_.build({.op = operation::compare,
                       .args = {std::move(left), std::move(right)},
                       .location = location,
                       .test = test,
                       .by = by});
}

node_ptr operators::apply(std::string_view name, const std::vector<operand>& args,
                          std::int32_t location) {
  if (name == "!~~" || name == "!~~*") // so that NOT LIKE and NOT … LIKE are one
    return negate(apply(name.substr(1), args, location));
  const auto found = choose(name, operators_named(name, args.size()), args, true, location);
  return found ? build(*found, args, true, location) : nullptr;
}

node_ptr operators::call(std::string_view name, const std::vector<operand>& args,
                         std::int32_t location) {
  if (name == "like" || name == "notlike")
    return apply(name == "like" ? "~~" : "!~~", args, location);
  const auto found = choose(name, functions_named(name, args.size()), args, false, location);
  return found ? build(*found, args, false, location) : nullptr;
}

std::optional<operators::sides> operators::equal_sides(const operand& left, const operand& right,
                                                       std::int32_t location) {
  const auto found = choose("=", operators_named("=", 2), {left, right}, true, location);
  if (!found)
    return std::nullopt;
  sides out{types_.coerce(left, found->args[0]), types_.coerce(right, found->args[1])};
  if (out.left == nullptr || out.right == nullptr)
    return std::nullopt;
  return out;
}

node_ptr operators::extreme(comparison test, std::vector<node_ptr> args, std::int32_t location) {
  const auto by = kernel_of(args.front()->result);
  for (const auto& arg : args)
    if (!is_comparable(test, by, args.front(), arg, location))
      return nullptr;
  const auto result = args.front()->result;
  return types_.build({.op = operation::extreme,
                       .result = result,
                       .args = std::move(args),
                       .location = location,
                       .test = test,
                       .by = by});
}

// --- Lists and arrays ------------------------------------------------------------------------

/// x = one of the constants. NULLs among them are no members: they make unknown what else is no.
node_ptr operators::set_of(node set, std::vector<node_ptr> others) {
  const auto has_null = std::erase_if(set.set, [](const constant& c) { return c.is_null; }) > 0;
  if (!set.set.empty()) {
    auto x = set.args[0];
    // A constant x is rare, but then the answer is a constant too.
    auto found = make_set(x, std::move(set));
    others.insert(others.begin(), is_constant(x) ? types_.build(*found) : found);
  }
  if (has_null)
    others.push_back(make_null(type::boolean));
  return join(operation::disjunction, others);
}

node_ptr operators::one_of(const operand& left, const std::vector<operand>& elements, type common,
                           std::int32_t location) {
  node set{.op = operation::one_of, .location = location};
  std::vector<node_ptr> others;
  for (const auto& element : elements) {
    const auto typed = types_.coerce(element, common);
    // What holds for one constant holds for the next one of its type.
    if (!set.args.empty() && typed != nullptr && is_constant(typed) && !is_null_constant(typed) &&
        typed->result == set.element) {
      set.set.push_back(typed->literal);
      continue;
    }
    auto equal = typed == nullptr
                     ? nullptr
                     : apply("=", {left, {typed, nullptr, element.location}}, location);
    if (equal == nullptr)
      return nullptr;
    const bool listed = equal->op == operation::compare && is_constant(equal->args[1]) &&
                        equal->by != kernel::json &&
                        (set.args.empty() || is_same(set.args[0], equal->args[0]));
    if (!listed) {
      others.push_back(std::move(equal));
      continue;
    }
    set.args.assign(1, equal->args[0]);
    set.by = equal->by;
    set.element = equal->args[1]->result;
    set.set.push_back(equal->args[1]->literal);
  }
  return set_of(std::move(set), std::move(others));
}

/// x = ANY (constant array) and x <> ALL (constant array) as a set.
node_ptr operators::constant_set(const resolved& r, bool all, const node_ptr& left,
                                 const node_ptr& array, std::int32_t location) {
  workspace space{types_.enums()};
  value v;
  if (read_value(array->result, array->literal.text, v, space) != reading::ok)
    return types_.refuse(location, "the array could not be read");
  if (v.array->items.empty())
    return make_truth(all);
  node set{.op = operation::one_of,
           .args = {left},
           .location = location,
           .by = kernel_of(left->result),
           .element = r.args[1]};
  for (const auto& item : v.array->items) {
    constant c{.is_null = item.null};
    if (!item.null)
      append_value(c.text, r.args[1], item.v, types_.enums());
    set.set.push_back(std::move(c));
  }
  auto found = set_of(std::move(set), {});
  return all ? negate(std::move(found)) : found;
}

node_ptr operators::quantified(std::string_view name, const operand& left, const operand& array,
                               bool all, std::int32_t location) {
  if (types_.failed())
    return nullptr;
  const auto t = types_.type_of(array);
  if (t == type::opaque)
    return types_.refuse_opaque(location);
  if (t != type::unknown && !is_array(t))
    return types_.refuse(location, "op ANY/ALL (array) requires array on right side");
  // The operator is chosen for the left side and an element; a literal stands for any element.
  const operand element =
      t == type::unknown ? array : operand{make_null(element_of(t)), nullptr, array.location};
  const auto found = choose(name, operators_named(name, 2), {left, element}, true, location);
  if (!found)
    return nullptr;
  if (found->result != type::boolean)
    return types_.refuse(location, "op ANY/ALL (array) requires operator to yield boolean");
  if (is_array(found->args[1]))
    return types_.refuse(location, "there are no arrays of arrays");
  auto x = types_.coerce(left, found->args[0]);
  auto list = types_.coerce(array, array_of(found->args[1]));
  if (x == nullptr || list == nullptr)
    return nullptr;
  node n{.op = operation::quantified,
         .args = {x, list},
         .location = location,
         .test = found->callee->test,
         .by = kernel_of(x->result),
         .all = all};
  if (found->callee->run == nullptr) {
    if (found->args[0] != found->args[1] && category_of(found->args[0]) == category::moment)
      return types_.refuse(location, "dates and timestamps are not compared with arrays of the "
                                     "other type; cast one of them");
    if (!is_comparable(n.test, n.by, x, list, location))
      return nullptr;
    const bool is_set = n.test == (all ? comparison::not_equal : comparison::equal);
    if (is_set && is_constant(list) && !list->literal.is_null && n.by != kernel::json)
      return constant_set(*found, all, x, list, location);
  } else {
    n.callee = found->callee;
    if (n.callee->about == letters::any)
      return types_.refuse(location, "this operator is not supported with ANY and ALL");
    n.cases = cases_of(n);
    node each{.args = {x, list}, .location = location, .callee = n.callee};
    if (!is_allowed(each))
      return nullptr;
  }
  return types_.build(std::move(n));
}

} // namespace busbar::sql
