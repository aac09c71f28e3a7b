#include "sql/decoder.hpp"

#include "sql/only_select.hpp"
#include "sql/parse.hpp"

#include <utility>

namespace busbar::sql {
namespace {

using kind_type = expression::kind_type;

/// What the language lacks, in the words of its reader. `location` is the field number of the
/// node's position, 0 if it has none.
struct unsupported_node {
  std::uint32_t field;
  std::uint32_t location;
  const char* what;
};
constexpr unsupported_node unsupported_nodes[] = {
    {11, 5, "named arguments are"},
    {35, 5, "CURRENT_DATE, CURRENT_USER and the like depend on more than the row; they are"},
    {36, 10, "XML is"},
    {41, 5, "DEFAULT is"},
    {175, 0, "* is"},
    {182, 3, "COLLATE is"},
    {210, 4, "XML is"},
};

} // namespace

result<expression> decoder::run(std::string_view parse_result) {
  auto clause = statement(parse_result);
  if (error_)
    return fail(std::move(*error_));
  return clause;
}

expression decoder::refuse(std::int32_t location, const std::string& why) {
  if (!error_)
    error_ = refusal(location, why);
  return {};
}

expression decoder::statement(std::string_view parse_result) {
  constexpr auto only_one = "only one expression is allowed, and no other clause behind it";
  const auto clause = only_select(parse_result, select_clause::where);
  if (!clause || clause->size() > 1)
    return refuse(0, only_one);
  return node(clause->empty() ? std::string_view{} : clause->front());
}

expression decoder::node(std::string_view bytes) {
  if (error_)
    return {};
  if (++nodes_ > nodes_max)
    return refuse(0, "the clause has too many parts");
  if (depth_ > 2 * nesting_max)
    return refuse(0, "the clause is nested too deeply");
  ++depth_;
  auto decoded = dispatch(open_node(bytes));
  --depth_;
  return decoded;
}

expression decoder::dispatch(const node_view& n) {
  switch (n.field) {
  case parser_node::a_const:
    return constant(n.body);
  case parser_node::column_ref:
    return column(n.body);
  case parser_node::param_ref:
    return parameter(n.body);
  case parser_node::a_expr:
    return operation(n.body);
  case parser_node::bool_expr:
    return logic(n.body);
  case parser_node::null_test:
    return null_test(n.body);
  case parser_node::boolean_test:
    return boolean_test(n.body);
  case parser_node::type_cast:
    return cast(n.body);
  case parser_node::func_call:
    return function(n.body);
  case parser_node::case_expr:
    return case_of(n.body);
  case parser_node::coalesce_expr:
    return list({.kind = kind_type::coalesce}, n.body, 4, 5);
  case parser_node::min_max_expr:
    return min_max(n.body);
  case parser_node::row_expr:
    return list({.kind = kind_type::row}, n.body, 2, 6);
  case parser_node::a_array_expr:
    return list({.kind = kind_type::array}, n.body, 1, 2);
  case parser_node::a_indirection:
    return indirection(n.body);
  case parser_node::sub_link:
    return subquery(n.body);
  default:
    return unsupported(n);
  }
}

expression decoder::unsupported(const node_view& n) {
  for (const auto& candidate : unsupported_nodes) {
    if (candidate.field != n.field)
      continue;
    std::int32_t location = -1;
    for (wire_reader reader{n.body}; reader.next();)
      if (reader.field() == candidate.location)
        location = reader.integer();
    return refuse(location, std::string{candidate.what} + " not supported");
  }
  return refuse(0, "this construct is not supported");
}

expression decoder::constant(std::string_view body) {
  expression out{.kind = kind_type::null};
  bool bits = false;
  for (wire_reader reader{body}; reader.next();) {
    wire_reader value{reader.bytes()};
    switch (reader.field()) {
    case 1:
      out.kind = kind_type::number;
      out.text = std::to_string(value.next() ? value.integer() : 0);
      break;
    case 2:
      out.kind = kind_type::number;
      out.text = value.next() ? std::string{value.bytes()} : std::string{};
      break;
    case 3:
      out.kind = kind_type::boolean;
      out.number = value.next() ? value.integer() : 0;
      break;
    case 4:
      out.kind = kind_type::string;
      out.text = value.next() ? std::string{value.bytes()} : std::string{};
      break;
    case 5:
      bits = true;
      break;
    case 11:
      out.location = reader.integer();
      break;
    default:
      break;
    }
  }
  return bits ? refuse(out.location, "bit strings are not supported") : out;
}

expression decoder::column(std::string_view body) {
  expression out{.kind = kind_type::column};
  std::vector<std::string> qualifiers;
  bool plain = true;
  for (wire_reader reader{body}; reader.next();) {
    if (reader.field() == 1) {
      if (!out.text.empty())
        qualifiers.push_back(std::move(out.text));
      auto name = string_node(reader.bytes());
      plain = plain && name;
      out.text = name.value_or("*");
    } else if (reader.field() == 2) {
      out.location = reader.integer();
    }
  }
  if (!plain)
    return refuse(out.location, "* is not supported");
  if (qualifiers.empty() || (scope_ && qualifiers == std::vector{*scope_}))
    return out;
  return refuse(out.location, scope_ ? "a subquery can only name columns of its own table"
                                     : "a column is named without its table");
}

expression decoder::parameter(std::string_view body) {
  expression out{.kind = kind_type::parameter};
  for (wire_reader reader{body}; reader.next();)
    (reader.field() == 1 ? out.number : out.location) = reader.integer();
  return out;
}

expression decoder::logic(std::string_view body) {
  expression out;
  for (wire_reader reader{body}; reader.next();) {
    if (reader.field() == 2)
      out.kind = reader.integer() == 1   ? kind_type::conjunction
                 : reader.integer() == 2 ? kind_type::disjunction
                                         : kind_type::negation;
    else if (reader.field() == 3)
      out.args.push_back(node(reader.bytes()));
    else if (reader.field() == 4)
      out.location = reader.integer();
  }
  return out;
}

expression decoder::null_test(std::string_view body) {
  expression out;
  for (wire_reader reader{body}; reader.next();) {
    if (reader.field() == 2)
      out.args.push_back(node(reader.bytes()));
    else if (reader.field() == 3)
      out.kind = reader.integer() == 1 ? kind_type::is_null : kind_type::is_not_null;
    else if (reader.field() == 5)
      out.location = reader.integer();
  }
  return out;
}

expression decoder::boolean_test(std::string_view body) {
  constexpr kind_type kinds[] = {kind_type::is_true,    kind_type::is_not_true,
                                 kind_type::is_false,   kind_type::is_not_false,
                                 kind_type::is_unknown, kind_type::is_not_unknown};
  expression out;
  for (wire_reader reader{body}; reader.next();) {
    if (reader.field() == 2)
      out.args.push_back(node(reader.bytes()));
    else if (reader.field() == 3 && reader.integer() >= 1 && reader.integer() <= 6)
      out.kind = kinds[reader.integer() - 1];
    else if (reader.field() == 4)
      out.location = reader.integer();
  }
  return out;
}

expression decoder::operation(std::string_view body) {
  operation_parts parts;
  for (wire_reader reader{body}; reader.next();) {
    switch (reader.field()) {
    case 1:
      parts.kind = reader.integer();
      break;
    case 2:
      parts.name.push_back(string_node(reader.bytes()).value_or(""));
      break;
    case 3:
      parts.left = reader.bytes();
      break;
    case 4:
      parts.right = reader.bytes();
      break;
    case 5:
      parts.location = reader.integer();
      break;
    default:
      break;
    }
  }
  if (parts.name.size() == 2 && parts.name.front() == "pg_catalog")
    parts.name.erase(parts.name.begin());
  if (parts.name.size() != 1)
    return refuse(parts.location, "only built-in operators are supported");
  return operation(parts);
}

expression decoder::operation(const operation_parts& parts) {
  expression out{.location = parts.location, .text = parts.name.front()};
  switch (parts.kind) {
  case 1: // AEXPR_OP
  case 8: // AEXPR_LIKE: operator ~~ or !~~
  case 9: // AEXPR_ILIKE: operator ~~* or !~~*
    if (parts.left.empty()) {
      out.kind = kind_type::prefix;
      out.args.push_back(node(parts.right));
      return out;
    }
    out.kind = kind_type::binary;
    return with_both(std::move(out), parts);
  case 4:
    out.kind = kind_type::distinct;
    return with_both(std::move(out), parts);
  case 5:
    out.kind = kind_type::not_distinct;
    return with_both(std::move(out), parts);
  case 6:
    out.kind = kind_type::null_if;
    return with_both(std::move(out), parts);
  case 2:
  case 3:
    out.kind = parts.kind == 2 ? kind_type::any : kind_type::all;
    return with_both(std::move(out), parts);
  case 7:
    out.kind = out.text == "=" ? kind_type::in : kind_type::not_in;
    return with_elements(std::move(out), parts, "IN needs a list on its right side");
  case 11:
  case 12:
  case 13:
  case 14:
    out.kind = parts.kind == 11   ? kind_type::between
               : parts.kind == 12 ? kind_type::not_between
               : parts.kind == 13 ? kind_type::between_symmetric
                                  : kind_type::not_between_symmetric;
    return with_elements(std::move(out), parts, "BETWEEN needs two bounds");
  case 10:
    return refuse(parts.location, "SIMILAR TO is not supported");
  default:
    return refuse(parts.location, "this operator is not supported");
  }
}

expression decoder::with_both(expression out, const operation_parts& parts) {
  out.args.push_back(node(parts.left));
  out.args.push_back(node(parts.right));
  return out;
}

/// Appends the left side, then what the list on the right side holds.
expression decoder::with_elements(expression out, const operation_parts& parts,
                                  const char* otherwise) {
  out.args.push_back(node(parts.left));
  const auto right = open_node(parts.right);
  if (right.field != parser_node::list)
    return refuse(parts.location, otherwise);
  for (wire_reader reader{right.body}; reader.next();)
    if (reader.field() == 1 && !reader.bytes().empty())
      out.args.push_back(node(reader.bytes()));
  return out;
}

} // namespace busbar::sql
