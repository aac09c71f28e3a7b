#include "sql/only_select.hpp"

#include "sql/parser_tree.hpp"

namespace busbar::sql {

std::optional<std::vector<std::string_view>> only_select(std::string_view parse_result,
                                                         select_clause wanted) {
  std::string_view select;
  int statements = 0;
  for (wire_reader reader{parse_result}; reader.next();) {
    if (reader.field() != 2)
      continue;
    ++statements;
    for (wire_reader raw{reader.bytes()}; raw.next();)
      if (raw.field() == 1)
        if (const auto node = open_node(raw.bytes()); node.field == parser_node::select_stmt)
          select = node.body;
  }
  if (statements != 1 || select.empty())
    return std::nullopt;
  std::vector<std::string_view> nodes;
  for (wire_reader reader{select}; reader.next();) {
    const bool is_wanted = reader.field() == static_cast<std::uint32_t>(wanted);
    // Beside it the target list, and the defaults that every SELECT has.
    const bool allowed = is_wanted || reader.field() == 3 ||
                         (reader.field() == 14 && reader.integer() == 1) ||
                         (reader.field() == 17 && reader.integer() == 1);
    if (!allowed)
      return std::nullopt;
    if (is_wanted)
      nodes.push_back(reader.bytes());
  }
  return nodes;
}

} // namespace busbar::sql
