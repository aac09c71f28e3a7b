#include "shapes/upkeep.hpp"

#include "shapes/column_type.hpp"

#include <algorithm>

namespace busbar {

namespace {

/// The same column of the table, as it is now; null if there is none. One that was dropped and made
/// anew is another, though it has the name.
const table_column* find_same(const table_info& now, const table_column& before) {
  const auto same = [&](const table_column& c) {
    return before.number != 0 && c.number != 0 ? c.number == before.number : c.name == before.name;
  };
  const auto found = std::find_if(now.columns.begin(), now.columns.end(), same);
  return found == now.columns.end() ? nullptr : &*found;
}

/// Whether values keep their text when the column's modifier or the labels of its enum change. No
/// change tells of it where they do not.
bool keeps_text(const table_column& before, const table_column& now) {
  // A label that is there no more has been renamed, in every row.
  const auto stays = [&](const std::string& label) {
    return std::find(now.labels.begin(), now.labels.end(), label) != now.labels.end();
  };
  if (!std::all_of(before.labels.begin(), before.labels.end(), stays))
    return false;
  const auto old = before.type_modifier;
  const auto next = now.type_modifier;
  if (old == next)
    return true;
  if (old < 0)
    return false; // narrowed
  const auto& type = now.type_name;
  if (type == "varchar" || type == "varbit" || type == "time" || type == "timetz" ||
      type == "timestamp" || type == "timestamptz")
    return next < 0 || next >= old;
  if (type == "numeric") // digits in the high half; those after the point are written out
    return next < 0 || ((next ^ old) & 0xffff) == 0;
  if (type == "interval")
    return next < 0 || (next >> 16 == old >> 16 && (next & 0xffff) >= (old & 0xffff));
  return false;
}

bool is_same_type(const table_column& before, const table_column& now) {
  return before.type_oid == now.type_oid && before.type_class == now.type_class &&
         before.dimensions == now.dimensions && before.generated == now.generated;
}

/// Whether a clause means the same on both.
bool reads_the_same(const table_column& before, const table_column& now) {
  return before.type_modifier == now.type_modifier &&
         before.ordered_bytewise == now.ordered_bytewise &&
         before.deterministic == now.deterministic && before.ctype == now.ctype &&
         before.labels == now.labels && before.base == now.base;
}

/// The columns that must not become nullable, because NOT IN (SELECT …) asks for them.
std::vector<std::uint16_t> columns_without_null(const shape_definition& shape) {
  std::vector<std::uint16_t> columns;
  if (shape.without_null)
    for (const auto& form : shape.values)
      columns.push_back(form.column);
  if (const auto* plan = shape.filter ? shape.filter->subqueries() : nullptr)
    for (const auto& position : plan->positions)
      if (position.negated)
        for (const auto& form : position.left)
          columns.push_back(form.column);
  return columns;
}

/// Whether rows that lay in `before` may have been given other values on their way to `now`.
bool may_differ(const row_files& before, const row_files& now) {
  const bool moved = before.heap != 0 && now.heap != 0 && before.heap != now.heap;
  return moved && (now.toast == 0 || now.toast != before.toast);
}
bool may_differ(const table_facts& before, const table_facts& now) {
  if (may_differ(before.files, now.files))
    return true;
  return std::any_of(now.partitions.begin(), now.partitions.end(), [&](const auto& next) {
    const auto old = std::find_if(before.partitions.begin(), before.partitions.end(),
                                  [&](const auto& p) { return p.oid == next.oid; });
    return old != before.partitions.end() && may_differ(old->files, next.files);
  });
}

/// The transaction that last wrote the catalog's row of the column; 0 = not known.
std::uint32_t xid_of(const table_facts& facts, const table_column& column) {
  const auto* same = find_same(facts.table, column);
  if (same == nullptr || facts.column_xids.size() != facts.table.columns.size())
    return 0;
  return facts.column_xids[static_cast<std::size_t>(same - facts.table.columns.data())];
}

/// The name of a column that the shape uses and whose values may have been replaced, with no change
/// to tell of it (ALTER COLUMN … TYPE … USING): the column was altered and the rows were rewritten.
/// Either of them alone replaces nothing. Since 15.20 and its sisters PostgreSQL also writes all
/// columns behind an altered one anew, so these cannot be told from it. Null if there is none.
const std::string* find_rewritten(const shape_definition& shape, const table_facts& before,
                                  const table_facts& now) {
  if (!may_differ(before, now))
    return nullptr;
  auto used = shape.selected;
  if (shape.filter)
    for (const auto index : shape.filter->columns_used())
      used.push_back(static_cast<std::uint16_t>(index));
  for (const auto index : used) {
    const auto& column = shape.table->columns[index];
    const auto old = xid_of(before, column);
    const auto next = xid_of(now, column);
    if (old != 0 && next != 0 && old != next)
      return &column.name;
  }
  return nullptr;
}

/// Whether one stands in both, which are in order.
bool has_common(const std::vector<std::uint32_t>& some, const std::vector<std::uint32_t>& others) {
  return std::any_of(some.begin(), some.end(), [&](std::uint32_t one) {
    return std::binary_search(others.begin(), others.end(), one);
  });
}

/// The names of the columns that make up a row's key, in order.
std::vector<std::string> key_names(const table_info& table) {
  std::vector<std::string> names;
  for (const auto index : key_columns(table))
    names.push_back(table.columns[index].name);
  return names;
}

} // namespace

std::string fault_of(const shape_definition& shape, const table_info& now) {
  const auto& table = *shape.table;
  if (table.schema != now.schema || table.name != now.name)
    return "the table was renamed";
  const auto altered = [&](std::uint16_t index, bool in_clause) {
    const auto& before = table.columns[index];
    const auto* column = find_same(now, before);
    return column == nullptr || column->name != before.name || !is_same_type(before, *column) ||
           !(in_clause ? reads_the_same(before, *column) : keeps_text(before, *column));
  };
  const auto fault = [&](std::uint16_t index) {
    return "column \"" + table.columns[index].name + "\" was dropped, renamed or retyped";
  };
  for (const auto index : shape.selected)
    if (altered(index, false))
      return fault(index);
  if (shape.filter)
    for (const auto index : shape.filter->columns_used())
      if (altered(index, true))
        return fault(index);
  for (const auto index : columns_without_null(shape))
    if (const auto* column = find_same(now, table.columns[index]); column && !column->not_null)
      return "column \"" + table.columns[index].name + "\" became nullable";
  if (shape.selects_all && shape.selected.size() == table.columns.size() &&
      now.columns.size() > table.columns.size())
    return "a column was added to the table";
  if (key_names(table) != key_names(now))
    return "the columns that make up its key have changed";
  return {};
}

std::string fault_of(const shape_definition& shape, const table_facts& before, const snapshot& seen,
                     const table_facts& now) {
  if (auto fault = fault_of(shape, now.table); !fault.empty())
    return fault;
  // What was widened before may have been narrowed since.
  for (const auto index : shape.selected) {
    const auto& column = shape.table->columns[index];
    const auto* old = find_same(before.table, column);
    const auto* next = find_same(now.table, column);
    if (old != nullptr && next != nullptr && !keeps_text(*old, *next))
      return "column \"" + column.name + "\" was retyped";
  }
  if (const auto* column = find_rewritten(shape, before, now))
    return "the rows were rewritten, perhaps with other values of column \"" + *column + "\"";
  if (now.published_by.empty() && now.published_above.empty())
    return "the table has left the publication";
  const bool stood_below = std::all_of(now.placed_by.begin(), now.placed_by.end(),
                                       [&](std::uint32_t xid) { return seen.sees(xid); });
  if (!has_common(before.published_by, now.published_by) &&
      !(stood_below && has_common(before.published_above, now.published_above)))
    return "the table was out of the publication for a time";
  if (before.publication_xid != now.publication_xid)
    return "the publication was altered";
  for (const auto& partition : before.partitions)
    if (std::none_of(now.partitions.begin(), now.partitions.end(),
                     [&](const auto& p) { return p.oid == partition.oid; }))
      return "a partition was detached or dropped";
  for (const auto& partition : now.partitions)
    if (partition.attached_xid != 0 && !seen.sees(partition.attached_xid))
      return "a table was attached to it as a partition";
  return {};
}

std::string schema_json(const shape_definition& shape, const table_info& now) {
  std::string out = "{";
  for (const auto index : shape.selected) {
    const auto& before = shape.table->columns[index];
    const auto* column = find_same(now, before);
    if (out.size() > 1)
      out += ',';
    append_ascii_json(out, before.name);
    out += ":{";
    append_type_json(out, column == nullptr ? before : *column);
    out += '}';
  }
  out += '}';
  return out;
}

} // namespace busbar
