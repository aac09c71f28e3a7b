#include "sql/comparing.hpp"

#include "sql/text.hpp"

#include <string>
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

bool date_fits(std::int64_t days) {
  value v{.integer = days};
  return sql::convert(conversion::date_to_timestamp, v);
}

} // namespace

std::optional<comparison> comparison_named(std::string_view name) {
  constexpr std::pair<std::string_view, comparison> names[] = {
      {"=", comparison::equal},   {"<>", comparison::not_equal},
      {"<", comparison::less},    {"<=", comparison::less_equal},
      {">", comparison::greater}, {">=", comparison::greater_equal},
  };
  for (const auto& [known, test] : names)
    if (known == name)
      return test;
  return std::nullopt;
}

std::optional<comparing::operands> comparing::matched(comparison test, const operand& left,
                                                      const operand& right, std::int32_t location) {
  if (types_.failed())
    return std::nullopt;
  auto a = types_.type_of(left);
  auto b = types_.type_of(right);
  if (a == type::opaque || b == type::opaque) {
    types_.refuse_opaque(location);
    return std::nullopt;
  }
  // A literal takes the type of the other side; two literals are texts.
  if (a == type::unknown && b == type::unknown)
    a = b = type::text;
  else if (a == type::unknown)
    a = b;
  else if (b == type::unknown)
    b = a;
  const auto types = comparison_operands(a, b);
  if (!types) {
    types_.refuse(location, "operator does not exist: " + std::string{display_name(a)} + " and " +
                                std::string{display_name(b)} + " cannot be compared");
    return std::nullopt;
  }
  operands out{types_.coerce(left, types->left), types_.coerce(right, types->right), types->how};
  if (out.left == nullptr || out.right == nullptr)
    return std::nullopt;
  if (types->left != types->right) {
    out.left = instant(out.left, location);
    out.right = instant(out.right, location);
  }
  if (!is_collation_safe(test, out, location))
    return std::nullopt;
  return out;
}

/// Against a timestamp a date is its midnight, however far away it is.
node_ptr comparing::instant(const node_ptr& n, std::int32_t location) {
  if (n->result != type::date)
    return n;
  const bool far =
      n->op == operation::constant && !n->literal.is_null && !date_fits(n->literal.bits.integer);
  if (far) // as a timestamp it could not be printed, so it stays a date
    return make(node{.op = operation::convert,
                     .result = type::timestamp,
                     .args = {n},
                     .how = conversion::date_to_instant,
                     .silent = true});
  return types_.convert(n, type::timestamp, conversion::date_to_instant, true, location);
}

/// Columns decide about the collation of a comparison; literals follow.
bool comparing::is_collation_safe(comparison test, const operands& o, std::int32_t location) {
  if (o.by != kernel::text && o.by != kernel::blank_padded)
    return true;
  const bool order = test != comparison::equal && test != comparison::not_equal;
  const auto* a = types_.column_of(o.left);
  const auto* b = types_.column_of(o.right);
  for (const auto* c : {a, b}) {
    if (c == nullptr)
      continue;
    if (!c->deterministic) {
      types_.refuse(location, "column " + quoted(c->name) + " has a nondeterministic collation");
      return false;
    }
    if (order && !c->ordered_bytewise) {
      types_.refuse(location,
                    "the order of column " + quoted(c->name) +
                        " follows a collation other than C; <, > and BETWEEN are not supported");
      return false;
    }
  }
  if (!order || a != nullptr || b != nullptr || o.left->op != operation::constant ||
      o.right->op != operation::constant || o.left->literal.is_null || o.right->literal.is_null)
    return true;
  // Nobody told us the collation of the database; a prefix comes first in all of them.
  const auto x = trim_blanks(o.left->literal.text);
  const auto y = trim_blanks(o.right->literal.text);
  if (x.starts_with(y) || y.starts_with(x))
    return true;
  types_.refuse(location,
                "the order of two text literals depends on the collation of the database");
  return false;
}

node_ptr comparing::compare(comparison test, const operand& left, const operand& right,
                            std::int32_t location) {
  auto sides = matched(test, left, right, location);
  if (!sides)
    return nullptr;
  if (sides->left->op == operation::constant && sides->right->op != operation::constant) {
    std::swap(sides->left, sides->right);
    test = mirrored(test);
  }
  return make(node{.op = operation::compare,
                   .args = {std::move(sides->left), std::move(sides->right)},
                   .test = test,
                   .by = sides->by});
}

node_ptr comparing::like(const operand& left, const operand& right, std::int32_t location) {
  for (const auto* side : {&left, &right}) {
    const auto t = types_.type_of(*side);
    if (t == type::opaque)
      return types_.refuse_opaque(location);
    if (t != type::unknown && !is_string(t))
      return types_.refuse(location, "operator does not exist: " + std::string{display_name(t)} +
                                         " and LIKE");
  }
  // bpchar has a LIKE of its own, which sees the padding; everything else is text.
  auto subject =
      types_.coerce(left, types_.type_of(left) == type::bpchar ? type::bpchar : type::text);
  auto pattern = types_.coerce(right, type::text);
  if (subject == nullptr || pattern == nullptr)
    return nullptr;
  for (const auto* c : {types_.column_of(subject), types_.column_of(pattern)})
    if (c != nullptr && !c->deterministic)
      return types_.refuse(location,
                           "column " + quoted(c->name) + " has a nondeterministic collation");
  if (pattern->op == operation::constant && !pattern->literal.is_null &&
      ends_with_escape(pattern->literal.text))
    return types_.refuse(location, "LIKE pattern must not end with escape character");
  return make(operation::like, {std::move(subject), std::move(pattern)});
}

node_ptr comparing::one_of(const operand& left, const std::vector<operand>& elements, type common,
                           std::int32_t location) {
  node set{.op = operation::one_of};
  std::vector<node_ptr> others;
  for (const auto& element : elements) {
    const auto typed = types_.coerce(element, common);
    if (typed == nullptr)
      return nullptr;
    const auto sides =
        matched(comparison::equal, left, {typed, nullptr, element.location}, location);
    if (!sides)
      return nullptr;
    if (sides->right->op != operation::constant) {
      others.push_back(
          compare(comparison::equal, left, {typed, nullptr, element.location}, location));
      continue;
    }
    if (set.args.empty())
      set.args.push_back(sides->left);
    set.by = sides->by;
    set.set.push_back(sides->right->literal);
  }
  if (!set.set.empty())
    others.insert(others.begin(), make(std::move(set)));
  return join(operation::disjunction, others);
}

} // namespace busbar::sql
