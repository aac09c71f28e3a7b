// IN (SELECT …) and all that a subquery may not say.
#include "sql/decoder.hpp"

#include <utility>

namespace busbar::sql {
namespace {

using kind_type = expression::kind_type;

/// The fields of SelectStmt that a subquery may have, and how the others are called.
namespace select_field {
enum : std::uint32_t { columns = 3, tables = 4, where = 5, limit_option = 14, set_operation = 17 };
}
struct refused_clause {
  std::uint32_t field;
  const char* name;
};
constexpr refused_clause refused_clauses[] = {
    {1, "DISTINCT"}, {2, "INTO"},   {6, "GROUP BY"},    {7, "GROUP BY"},
    {8, "HAVING"},   {9, "WINDOW"}, {10, "VALUES"},     {11, "ORDER BY"},
    {12, "OFFSET"},  {13, "LIMIT"}, {15, "FOR UPDATE"}, {16, "WITH"},
};

/// What the field that was just read says, if that is not supported.
const char* refused(const wire_reader& reader) {
  switch (reader.field()) {
  case select_field::columns:
  case select_field::tables:
  case select_field::where:
    return nullptr;
  case select_field::limit_option:
    return reader.integer() == 1 ? nullptr : "LIMIT";
  case select_field::set_operation:
    return reader.integer() == 1 ? nullptr : "UNION, INTERSECT or EXCEPT";
  default:
    for (const auto& clause : refused_clauses)
      if (clause.field == reader.field())
        return clause.name;
    return "this clause";
  }
}

} // namespace

expression decoder::subquery(std::string_view body) {
  std::int32_t kind = 0;
  std::int32_t location = -1;
  std::vector<std::string> name;
  std::string_view left;
  std::string_view right;
  for (wire_reader reader{body}; reader.next();) {
    switch (reader.field()) {
    case 2:
      kind = reader.integer();
      break;
    case 4:
      left = reader.bytes();
      break;
    case 5:
      name.push_back(string_node(reader.bytes()).value_or(""));
      break;
    case 6:
      right = reader.bytes();
      break;
    case 7:
      location = reader.integer();
      break;
    default:
      break;
    }
  }
  if (name.size() == 2 && name.front() == "pg_catalog")
    name.erase(name.begin());
  constexpr std::int32_t any_sublink = 3;
  if (kind != any_sublink || (!name.empty() && name != std::vector<std::string>{"="}))
    return refuse(location, "of subqueries only IN (SELECT …) is supported");
  expression row{.kind = kind_type::row, .location = location};
  const auto tested = open_node(left);
  if (tested.field == parser_node::row_expr)
    row = list(std::move(row), tested.body, 2, 6);
  else
    row.args.push_back(node(left));
  expression out{.kind = kind_type::in_select, .location = location};
  out.args.push_back(std::move(row));
  out.args.push_back(select(right, location));
  return out;
}

expression decoder::select(std::string_view bytes, std::int32_t location) {
  const auto statement = open_node(bytes);
  for (wire_reader reader{statement.body}; reader.next();)
    if (const auto* clause = refused(reader))
      return refuse(location, std::string{clause} + " is not supported in a subquery");
  expression out{.kind = kind_type::select, .location = location};
  expression columns{.kind = kind_type::row, .location = location};
  std::string visible;
  int tables = 0;
  for (wire_reader reader{statement.body}; reader.next();)
    if (reader.field() == select_field::tables) {
      const auto from = open_node(reader.bytes());
      if (++tables > 1 || from.field != parser_node::range_var)
        tables = 2;
      else if (!table(from.body, out, visible))
        return {};
    }
  if (tables != 1)
    return refuse(location, "a subquery selects from exactly one table");
  auto outer = std::exchange(scope_, std::move(visible));
  std::string_view condition;
  for (wire_reader reader{statement.body}; reader.next();) {
    if (reader.field() == select_field::columns)
      columns.args.push_back(selected(reader.bytes()));
    else if (reader.field() == select_field::where)
      condition = reader.bytes();
  }
  out.args.push_back(std::move(columns));
  if (!condition.empty())
    out.args.push_back(node(condition));
  scope_ = std::move(outer);
  return out;
}

/// `visible` is what columns may be qualified with. False after a complaint.
bool decoder::table(std::string_view body, expression& out, std::string& visible) {
  const char* extra = nullptr;
  bool with_children = false;
  std::int32_t location = -1;
  for (wire_reader reader{body}; reader.next();) {
    switch (reader.field()) {
    case 1:
      extra = "a table is named without its database";
      break;
    case 2:
      out.qualifier = reader.bytes();
      break;
    case 3:
      out.text = reader.bytes();
      break;
    case 4:
      with_children = reader.integer() != 0;
      break;
    case 6:
      for (wire_reader alias{reader.bytes()}; alias.next();) {
        if (alias.field() == 1)
          visible = alias.bytes();
        else
          extra = "other names for columns are not supported";
      }
      break;
    case 7:
      location = reader.integer();
      break;
    default:
      break;
    }
  }
  if (extra == nullptr && !with_children)
    extra = "ONLY is not supported";
  if (out.qualifier.empty())
    out.qualifier = "public";
  if (visible.empty())
    visible = out.text;
  if (extra != nullptr)
    refuse(location, extra);
  return extra == nullptr;
}

/// One item of the select list. The name that it may be given means nothing here.
expression decoder::selected(std::string_view bytes) {
  const auto target = open_node(bytes);
  std::int32_t location = -1;
  node_view value;
  for (wire_reader reader{target.body}; reader.next();) {
    if (reader.field() == 3)
      value = open_node(reader.bytes());
    else if (reader.field() == 4)
      location = reader.integer();
  }
  if (target.field != parser_node::res_target || value.field != parser_node::column_ref)
    return refuse(location, "a subquery selects columns, and no expressions");
  return column(value.body);
}

} // namespace busbar::sql
