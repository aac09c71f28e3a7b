// sql/comparing.hpp: builds the nodes that compare two values or look for one in a list.
#pragma once

#include "sql/tree.hpp"
#include "sql/typing.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace busbar::sql {

/// The comparison operator of that name; nullopt for any other name.
std::optional<comparison> comparison_named(std::string_view name);

/// Picks operators by PostgreSQL's rules (typeconv-oper) and refuses those whose answer depends on
/// a collation that we do not have. Borrows `types`, which also keeps the complaints.
class comparing {
public:
  explicit comparing(typing& types) : types_{types} {}

  /// left `test` right. A lone constant ends up on the right side.
  node_ptr compare(comparison test, const operand& left, const operand& right,
                   std::int32_t location);

  node_ptr like(const operand& left, const operand& right, std::int32_t location);

  /// left = ANY (elements), each element as type `common`.
  node_ptr one_of(const operand& left, const std::vector<operand>& elements, type common,
                  std::int32_t location);

private:
  struct operands {
    node_ptr left;
    node_ptr right;
    kernel by;
  };
  /// Both sides as the operator takes them; nullopt after a complaint.
  std::optional<operands> matched(comparison test, const operand& left, const operand& right,
                                  std::int32_t location);
  node_ptr instant(const node_ptr& n, std::int32_t location);
  bool is_collation_safe(comparison test, const operands& o, std::int32_t location);

  typing& types_;
};

} // namespace busbar::sql
