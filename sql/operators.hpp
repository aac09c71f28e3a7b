// sql/operators.hpp: builds the nodes of operators and functions: picks what PostgreSQL would pick,
// and refuses what depends on something that we do not have.
#pragma once

#include "sql/resolve.hpp"
#include "sql/tree.hpp"
#include "sql/typing.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::sql {

/// Borrows `types`, which also keeps the complaints.
class operators {
public:
  explicit operators(typing& types) : types_{types} {}

  /// args[0] `name` args[1], or `name` args[0]. A lone constant ends up on the right side of a
  /// comparison.
  node_ptr apply(std::string_view name, const std::vector<operand>& args, std::int32_t location);
  node_ptr call(std::string_view name, const std::vector<operand>& args, std::int32_t location);

  /// Both sides as the operator = takes them; nullopt after a complaint.
  struct sides {
    node_ptr left;
    node_ptr right;
  };
  std::optional<sides> equal_sides(const operand& left, const operand& right,
                                   std::int32_t location);

  /// left = ANY (elements), each element as type `common`.
  node_ptr one_of(const operand& left, const std::vector<operand>& elements, type common,
                  std::int32_t location);

  /// left `name` ANY (array), or ALL.
  node_ptr quantified(std::string_view name, const operand& left, const operand& array, bool all,
                      std::int32_t location);

  /// GREATEST or LEAST of args, all of them of one type already.
  node_ptr extreme(comparison test, std::vector<node_ptr> args, std::int32_t location);

private:
  std::optional<resolved> choose(std::string_view name, std::span<const function* const> candidates,
                                 const std::vector<operand>& args, bool is_operator,
                                 std::int32_t location);
  node_ptr build(const resolved& r, const std::vector<operand>& args, bool is_operator,
                 std::int32_t location);
  node_ptr compare(const resolved& r, node_ptr left, node_ptr right, std::int32_t location);
  bool is_comparable(comparison test, kernel by, const node_ptr& left, const node_ptr& right,
                     std::int32_t location);
  node_ptr as_argument(const operand& o, type target, type declared);
  node_ptr instant(const node_ptr& n, std::int32_t location);
  case_rule cases_of(const node& n) const;
  bool is_allowed(const node& n);
  bool is_literal_argument_valid(const node& n);
  node_ptr set_of(node set, std::vector<node_ptr> others);
  node_ptr constant_set(const resolved& r, bool all, const node_ptr& left, const node_ptr& array,
                        std::int32_t location);

  typing& types_;
};

} // namespace busbar::sql
