// IN (SELECT …): each subquery is checked against its own table, with a typing of its own.
#include "sql/checker.hpp"

#include <algorithm>
#include <utility>

namespace busbar::sql {
namespace {

/// Those whose values have keys: see append_key().
bool has_keys(type t) {
  return !is_array(t) && t != type::opaque && kernel_of(t) != kernel::json;
}

} // namespace

/// The type of a column, also where the language does not know it.
std::string checker::display(const node& column) const {
  const auto& declared = columns_[column.column];
  if (column.result != type::opaque)
    return types_.display(column.result);
  return declared.type_name + (declared.dimensions > 0 ? "[]" : "");
}

/// False after a complaint.
bool checker::is_same_type(const node& left, const checker& inside, const node& selected,
                           std::int32_t location) {
  const auto is = display(left);
  const auto other = inside.display(selected);
  bool same = left.result == selected.result && is == other;
  if (is_enum(left.result) && is_enum(selected.result)) { // whose numbers are each clause's own
    const auto& a = *types_.enums()[enum_index(left.result)];
    const auto& b = *inside.types_.enums()[enum_index(selected.result)];
    same = a.schema == b.schema && a.name == b.name;
  }
  if (!same)
    types_.refuse(location, "IN (SELECT …) needs equal types, and " + quoted(left.name) +
                                " is of type " + is + ", " + quoted(selected.name) + " of type " +
                                other);
  else if (!has_keys(left.result))
    types_.refuse(location, "IN (SELECT …) is not supported for type " + is);
  return !types_.failed();
}

node_ptr checker::in_select(const expression& e) {
  const auto& left = e.args[0];
  const auto& select = e.args[1];
  const auto table = std::find_if(inner_.begin(), inner_.end(), [&](const inner_table& candidate) {
    return candidate.schema == select.qualifier && candidate.name == select.text;
  });
  if (table == inner_.end())
    return types_.refuse(e.location, "a subquery cannot use table " +
                                         quoted(select.qualifier + "." + select.text));
  checker inside{parameters_, table->columns, table->database, inner_};
  selection from{.schema = table->schema, .table = table->name};
  node made{.op = operation::member, .location = e.location};
  const auto pass_on = [&]() -> node_ptr {
    if (!types_.failed())
      types_.fail_with(inside.types_.take_error());
    return nullptr;
  };
  for (std::size_t i = 0; i < left.args.size(); ++i) {
    auto column = types_.column_named(left.args[i]).tree;
    auto selected = inside.types_.column_named(select.args[0].args[i]).tree;
    if (column == nullptr || selected == nullptr)
      return pass_on();
    if (!is_same_type(*column, inside, *selected, left.args[i].location))
      return nullptr;
    // PostgreSQL must be able to compare the two, by rules that we know: so let them be columns of
    // one table.
    auto neighbour = *selected;
    neighbour.result = column->result;
    if (operators_.apply("=",
                         {{column, nullptr, e.location}, {make(neighbour), nullptr, e.location}},
                         e.location) == nullptr)
      return nullptr;
    if (!columns_[column->column].not_null)
      made.nullable = column->name;
    else if (!table->columns[selected->column].not_null)
      made.nullable = selected->name;
    made.args.push_back(std::move(column));
    from.columns.push_back(std::move(selected));
  }
  if (select.args.size() > 1) {
    from.where = inside.run(select.args[1]);
    if (from.where == nullptr)
      return pass_on();
    if (is_constant(from.where) && from.where->literal.text == "t")
      from.where = nullptr;
  }
  from.enums = inside.types_.enums();
  made.from = std::make_shared<const selection>(std::move(from));
  return make(std::move(made));
}

} // namespace busbar::sql
