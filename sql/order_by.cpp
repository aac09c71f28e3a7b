#include "sql/order_by.hpp"

#include "sql/lexical_check.hpp"
#include "sql/only_select.hpp"
#include "sql/parse.hpp"
#include "sql/parser_tree.hpp"

#include <algorithm>
#include <exception>

namespace busbar::sql {
namespace {

constexpr std::string_view order_prefix = "SELECT 1 ORDER BY ";

error complaint(std::int32_t location, std::string_view why) {
  const auto shown = std::max<std::int32_t>(0, location - static_cast<int>(order_prefix.size()));
  return {errc::invalid_argument, "At location " + std::to_string(shown) + ": " + std::string{why},
          "order_by"};
}

/// A complaint of the lexical check or the parser, whose positions count from the statement's
/// beginning.
error shifted(const error& why) {
  constexpr std::string_view lead = "At location ";
  const auto colon = why.message.find(": ");
  if (!why.message.starts_with(lead) || colon == std::string::npos)
    return {why.code, why.message, "order_by"};
  std::int32_t location = 0;
  for (const char digit : std::string_view{why.message}.substr(lead.size(), colon - lead.size()))
    location = location * 10 + (digit - '0');
  return complaint(location, std::string_view{why.message}.substr(colon + 2));
}

constexpr auto only_one = "only an ORDER BY list is allowed, and no other clause behind it";

/// Appends one key as SQL.
result<void> append_key(std::string& out, std::string_view bytes, std::span<const column> columns) {
  constexpr auto only_columns =
      "only column names with ASC or DESC and NULLS FIRST or NULLS LAST are supported";
  const auto node = open_node(bytes);
  if (node.field != parser_node::sort_by)
    return fail(complaint(0, only_columns));
  std::string_view target;
  std::int32_t direction = 0;
  std::int32_t nulls = 0;
  for (wire_reader reader{node.body}; reader.next();) {
    if (reader.field() == 1)
      target = reader.bytes();
    else if (reader.field() == 2)
      direction = reader.integer();
    else if (reader.field() == 3)
      nulls = reader.integer();
    else if (reader.field() == 4)
      return fail(complaint(0, "USING is not supported"));
  }
  const auto named = open_node(target);
  if (named.field != parser_node::column_ref)
    return fail(complaint(0, only_columns));
  std::optional<std::string> name;
  std::int32_t location = -1;
  int parts = 0;
  for (wire_reader reader{named.body}; reader.next();) {
    if (reader.field() == 1) {
      ++parts;
      name = string_node(reader.bytes());
    } else if (reader.field() == 2) {
      location = reader.integer();
    }
  }
  if (parts != 1 || !name)
    return fail(complaint(location, "a column is named without its table"));
  if (std::none_of(columns.begin(), columns.end(),
                   [&](const column& candidate) { return candidate.name == *name; }))
    return fail(complaint(location, "unknown column \"" + *name + '"'));
  out += '"';
  for (const char c : *name) {
    if (c == '"')
      out += c;
    out += c;
  }
  out += '"';
  // 1 is the default of both enumerations.
  if (direction > 3 || nulls > 3)
    return fail(complaint(location, "this order is not supported"));
  if (direction == 3)
    out += " DESC";
  if (nulls == 2)
    out += " NULLS FIRST";
  else if (nulls == 3)
    out += " NULLS LAST";
  return {};
}

} // namespace

result<std::string> rewrite_order_by(std::string_view order_by,
                                     std::span<const column> columns) try {
  if (order_by.size() + order_prefix.size() > clause_bytes_max)
    return fail(
        complaint(0, "the order is longer than " + std::to_string(clause_bytes_max) + " bytes"));
  if (!is_storable_text(order_by))
    return fail(complaint(0, "the order is not valid UTF-8"));
  std::string statement{order_prefix};
  statement += order_by;
  if (const auto lexical = check_tokens(statement); !lexical)
    return fail(shifted(lexical.error()));
  const parser_result parsed{statement.c_str()};
  if (const auto* why = parsed.result.error)
    return fail(shifted(syntax_error(statement, why->cursorpos, why->message)));
  const auto keys = only_select({parsed.result.parse_tree.data, parsed.result.parse_tree.len},
                                select_clause::sort);
  if (!keys)
    return fail(complaint(0, only_one));
  if (keys->empty() || keys->size() > sort_keys_max)
    return fail(complaint(0, "an order has 1 to " + std::to_string(sort_keys_max) + " columns"));
  std::string out;
  for (const auto key : *keys) {
    if (!out.empty())
      out += ", ";
    if (auto appended = append_key(out, key, columns); !appended)
      return fail(std::move(appended).error());
  }
  return out;
} catch (const std::exception& e) { // only memory can run out here
  return fail(errc::unavailable, std::string{"check an order: "} + e.what(), "order_by");
}

} // namespace busbar::sql
