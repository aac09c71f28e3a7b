// sql/typing.hpp: gives every name and every literal of a clause its type, as PostgreSQL would.
#pragma once

#include "sql/expression.hpp"
#include "sql/predicate.hpp"
#include "sql/tree.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace busbar::sql {

/// Of all literals and parameter values of one clause, each counted as often as it is read.
inline constexpr std::size_t literal_bytes_max = 256 * 1024;

/// A part of the clause: a tree, or a literal that still waits for its type.
struct operand {
  node_ptr tree = nullptr;
  const expression* literal = nullptr; ///< Set if `tree` is not: a string, NULL or a parameter.
  std::int32_t location = -1;
};

/// `text` in quotes for a message, cut to a length that a human reads.
std::string quoted(std::string_view text);

/// Types of one clause. Keeps the first complaint: once there is one, all trees are nullptr and
/// nothing that follows matters. Borrows the parameters and columns.
class typing {
public:
  typing(std::span<const std::string> parameters, std::span<const column> columns)
      : values_{parameters}, columns_{columns} {}

  bool failed() const noexcept { return error_.has_value(); }
  error take_error() { return std::move(*error_); }

  /// Complains, and returns nullptr for the caller to pass on.
  node_ptr refuse(std::int32_t location, const std::string& why, const char* field = "where");
  node_ptr refuse_opaque(std::int32_t location);

  operand column_named(const expression& e);
  operand number(const expression& e);
  operand boolean(const expression& e);
  operand parameter(const expression& e);

  type type_of(const operand& o) const;

  /// The operand as `target`: reads a literal, or converts as PostgreSQL does without being asked.
  node_ptr coerce(const operand& o, type target);

  /// x::target.
  node_ptr cast(const operand& o, type target, std::int32_t location);

  /// Applies a conversion: at once to a constant, else by a node. `silent`: see node::silent.
  node_ptr convert(const node_ptr& from, type target, conversion how, bool silent,
                   std::int32_t location);

  /// The column that `n` is, below conversions; nullptr if it is something else.
  const column* column_of(const node_ptr& n) const;

private:
  node_ptr literal(type t, std::string_view text, std::int32_t location,
                   const char* field = "where");
  node_ptr bind(const expression& e, type target);

  std::span<const std::string> values_;
  std::span<const column> columns_;
  std::map<std::int32_t, node_ptr> parameters_; ///< $n takes the type of its first use, for good.
  std::size_t literal_bytes_ = 0;
  std::optional<error> error_;
};

} // namespace busbar::sql
