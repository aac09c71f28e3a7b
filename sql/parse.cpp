#include "sql/parse.hpp"

#include "sql/lexical_check.hpp"
#include "sql/only_select.hpp"
#include "sql/parser_tree.hpp"

#include <optional>
#include <string>
#include <utility>

namespace busbar::sql {
namespace {

using kind_type = expression::kind_type;

/// Field numbers of message Node in libpg_query's pg_query.proto, for grammar version 15.
namespace node_field {
enum : std::uint32_t {
  bool_expr = 16,
  null_test = 37,
  boolean_test = 38,
  a_expr = 171,
  param_ref = 173,
  a_array_expr = 178,
  type_cast = 181,
  list = 235,
  a_const = 238,
};
}

/// What the language lacks, in the words of its reader. `location` is the field number of the
/// node's position, 0 if it has none.
struct unsupported_node {
  std::uint32_t field;
  std::uint32_t location;
  const char* what;
};
constexpr unsupported_node unsupported_nodes[] = {
    {11, 5, "named arguments are"},
    {17, 7, "this kind of subquery is"},
    {27, 7, "CASE is"},
    {31, 6, "row expressions are"},
    {33, 5, "COALESCE is"},
    {34, 7, "GREATEST and LEAST are"},
    {35, 5, "CURRENT_DATE, CURRENT_USER and the like depend on more than the row; they are"},
    {36, 10, "XML is"},
    {41, 5, "DEFAULT is"},
    {174, 11, "function calls are"},
    {175, 0, "* is"},
    {177, 0, "subscripts and field selections are"},
    {178, 2, "arrays elsewhere than in ANY (ARRAY[…]) and ALL (ARRAY[…]) are"},
    {182, 3, "COLLATE is"},
    {210, 4, "XML is"},
};

/// Turns libpg_query's tree into ours. The first complaint is kept; afterwards nothing matters.
class decoder {
public:
  result<expression> run(std::string_view parse_result) {
    auto clause = statement(parse_result);
    if (error_)
      return fail(std::move(*error_));
    return clause;
  }

private:
  expression refuse(std::int32_t location, const std::string& why) {
    if (!error_)
      error_ = refusal(location, why);
    return {};
  }

  expression statement(std::string_view parse_result) {
    constexpr auto only_one = "only one expression is allowed, and no other clause behind it";
    const auto clause = only_select(parse_result, select_clause::where);
    if (!clause || clause->size() > 1)
      return refuse(0, only_one);
    return node(clause->empty() ? std::string_view{} : clause->front());
  }

  expression node(std::string_view bytes) {
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

  expression dispatch(const node_view& n) {
    switch (n.field) {
    case node_field::a_const:
      return constant(n.body);
    case parser_node::column_ref:
      return column(n.body);
    case node_field::param_ref:
      return parameter(n.body);
    case node_field::a_expr:
      return operation(n.body);
    case node_field::bool_expr:
      return logic(n.body);
    case node_field::null_test:
      return null_test(n.body);
    case node_field::boolean_test:
      return boolean_test(n.body);
    case node_field::type_cast:
      return cast(n.body);
    default:
      return unsupported(n);
    }
  }

  expression unsupported(const node_view& n) {
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

  expression constant(std::string_view body) {
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

  expression column(std::string_view body) {
    expression out{.kind = kind_type::column};
    int parts = 0;
    bool plain = true;
    for (wire_reader reader{body}; reader.next();) {
      if (reader.field() == 1) {
        ++parts;
        auto name = string_node(reader.bytes());
        plain = plain && name;
        out.text = name.value_or("*");
      } else if (reader.field() == 2) {
        out.location = reader.integer();
      }
    }
    if (!plain)
      return refuse(out.location, "* is not supported");
    if (parts != 1)
      return refuse(out.location, "a column is named without its table");
    return out;
  }

  expression parameter(std::string_view body) {
    expression out{.kind = kind_type::parameter};
    for (wire_reader reader{body}; reader.next();)
      (reader.field() == 1 ? out.number : out.location) = reader.integer();
    return out;
  }

  expression logic(std::string_view body) {
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

  expression null_test(std::string_view body) {
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

  expression boolean_test(std::string_view body) {
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

  expression cast(std::string_view body) {
    expression out{.kind = kind_type::cast};
    std::string_view type;
    for (wire_reader reader{body}; reader.next();) {
      if (reader.field() == 1)
        out.args.push_back(node(reader.bytes()));
      else if (reader.field() == 2)
        type = reader.bytes();
      else if (reader.field() == 3)
        out.location = reader.integer();
    }
    std::vector<std::string> names;
    std::int32_t location = -1;
    const char* extra = nullptr;
    for (wire_reader reader{type}; reader.next();) {
      if (reader.field() == 1)
        names.push_back(string_node(reader.bytes()).value_or(""));
      else if (reader.field() == 5)
        extra = "type modifiers such as (10) are not supported in casts";
      else if (reader.field() == 7)
        extra = "casts to arrays are not supported";
      else if (reader.field() == 3 || reader.field() == 4)
        extra = "this type name is not supported";
      else if (reader.field() == 8)
        location = reader.integer();
    }
    if (out.location < 0)
      out.location = location;
    if (extra != nullptr)
      return refuse(location, extra);
    if (names.size() == 2 && names.front() == "pg_catalog")
      names.erase(names.begin());
    if (names.size() != 1)
      return refuse(location, "only built-in types are supported");
    out.text = names.front();
    return out;
  }

  /// The parts of an A_Expr, whatever its kind.
  struct operation_parts {
    std::int32_t kind = 0;
    std::vector<std::string> name = {};
    std::string_view left = {};
    std::string_view right = {};
    std::int32_t location = -1;
  };

  expression operation(std::string_view body) {
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

  expression operation(const operation_parts& parts) {
    expression out{.location = parts.location, .text = parts.name.front()};
    if (parts.left.empty())
      return refuse(parts.location, "the prefix operator " + out.text + " is not supported");
    switch (parts.kind) {
    case 1: // AEXPR_OP
    case 8: // AEXPR_LIKE: operator ~~ or !~~
      out.kind = kind_type::binary;
      return with_both(std::move(out), parts);
    case 4:
      out.kind = kind_type::distinct;
      return with_both(std::move(out), parts);
    case 5:
      out.kind = kind_type::not_distinct;
      return with_both(std::move(out), parts);
    case 2:
    case 3:
      out.kind = parts.kind == 2 ? kind_type::any : kind_type::all;
      return with_elements(std::move(out), parts, node_field::a_array_expr,
                           "ANY and ALL need ARRAY[…] on their right side");
    case 7:
      out.kind = out.text == "=" ? kind_type::in : kind_type::not_in;
      return with_elements(std::move(out), parts, node_field::list,
                           "IN needs a list on its right side");
    case 11:
    case 12:
    case 13:
    case 14:
      out.kind = parts.kind == 11   ? kind_type::between
                 : parts.kind == 12 ? kind_type::not_between
                 : parts.kind == 13 ? kind_type::between_symmetric
                                    : kind_type::not_between_symmetric;
      return with_elements(std::move(out), parts, node_field::list, "BETWEEN needs two bounds");
    case 6:
      return refuse(parts.location, "NULLIF is not supported");
    case 9:
      return refuse(parts.location, "ILIKE is not supported");
    case 10:
      return refuse(parts.location, "SIMILAR TO is not supported");
    default:
      return refuse(parts.location, "this operator is not supported");
    }
  }

  expression with_both(expression out, const operation_parts& parts) {
    out.args.push_back(node(parts.left));
    out.args.push_back(node(parts.right));
    return out;
  }

  /// Appends the left side, then what the list or array on the right side holds.
  expression with_elements(expression out, const operation_parts& parts, std::uint32_t container,
                           const char* otherwise) {
    out.args.push_back(node(parts.left));
    const auto right = open_node(parts.right);
    if (right.field != container)
      return refuse(parts.location, otherwise);
    for (wire_reader reader{right.body}; reader.next();)
      if (reader.field() == 1 && !reader.bytes().empty())
        out.args.push_back(node(reader.bytes()));
    return out;
  }

  std::optional<error> error_;
  std::size_t nodes_ = 0;
  std::size_t depth_ = 0;
};

} // namespace

result<expression> parse(std::string_view where) {
  if (where.size() + statement_prefix.size() > clause_bytes_max)
    return fail(
        refusal(0, "the clause is longer than " + std::to_string(clause_bytes_max) + " bytes"));
  if (!is_storable_text(where))
    return fail(refusal(0, "the clause is not valid UTF-8"));
  std::string statement{statement_prefix};
  statement += where;
  if (auto lexical = check_tokens(statement); !lexical)
    return fail(std::move(lexical).error());

  const parser_result parsed{statement.c_str()};
  if (const auto* why = parsed.result.error)
    return fail(syntax_error(statement, why->cursorpos, why->message));
  return decoder{}.run({parsed.result.parse_tree.data, parsed.result.parse_tree.len});
}

} // namespace busbar::sql
