// sql/typing.hpp: gives every name and every literal of a clause its type, as PostgreSQL would.
#pragma once

#include "sql/expression.hpp"
#include "sql/predicate.hpp"
#include "sql/tree.hpp"

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::sql {

/// Of all literals and parameter values of one clause, each counted as often as it is read, beyond
/// four times what the parameters have in bytes: who calls limits those.
inline constexpr std::size_t literal_bytes_max = 256 * 1024;

/// A part of the clause: a tree, or a literal that still waits for its type.
struct operand {
  node_ptr tree = nullptr;
  const expression* literal = nullptr; ///< Set if `tree` is not: a string, NULL or a parameter.
  std::int32_t location = -1;
};

/// A type as a cast names it.
struct named_type {
  type is = type::unknown;
  std::int32_t modifier = -1; ///< pg_attribute.atttypmod; for an interval, its fields.
};

/// `text` in quotes for a message, cut to a length that a human reads.
std::string quoted(std::string_view text);

/// Types of one clause. Keeps the first complaint: once there is one, all trees are nullptr and
/// nothing that follows matters. Borrows the parameters and columns.
class typing {
public:
  typing(std::span<const std::string> parameters, std::span<const column> columns,
         const collation& database);

  bool failed() const noexcept { return error_.has_value(); }
  error take_error() { return std::move(*error_); }
  /// Takes over the complaint of a subquery. There must be none so far.
  void fail_with(error why) { error_ = std::move(why); }
  const std::vector<std::shared_ptr<const enum_type>>& enums() const noexcept { return enums_; }
  std::string display(type t) const { return display_name(t, enums_); }

  /// Complains, and returns nullptr for the caller to pass on.
  node_ptr refuse(std::int32_t location, const std::string& why, const char* field = "where");
  node_ptr refuse_opaque(std::int32_t location);

  operand column_named(const expression& e);
  operand number(const expression& e);
  operand boolean(const expression& e);
  operand parameter(const expression& e);
  std::optional<named_type> type_of_cast(const expression& e);

  type type_of(const operand& o) const;

  /// The operand as `target`: reads a literal, or converts as PostgreSQL does without being asked.
  node_ptr coerce(const operand& o, type target);

  /// x::target.
  node_ptr cast(const operand& o, const named_type& target, std::int32_t location);

  /// A conversion without questions, folded. `silent`: see node::silent.
  node_ptr convert(const node_ptr& from, type target, conversion how, std::int32_t location,
                   bool silent = false);

  /// The node, or the constant that it comes to if all its operands are constants. Where computing
  /// that fails, the node stays: it may never be reached.
  node_ptr build(node n);
  node_ptr build(operation op, std::vector<node_ptr> args);

  /// The collation of strings that come from no column.
  const collation& database() const noexcept { return database_; }

private:
  node_ptr literal(const named_type& t, std::string_view text, std::int32_t location,
                   const char* field = "where");
  node_ptr bind(const expression& e, const named_type& target);
  node_ptr fit(const node_ptr& n, const named_type& target, std::int32_t location);
  type type_of_column(const column& c) const;
  std::optional<type> enum_named(const expression& e) const;

  std::span<const std::string> values_;
  std::span<const column> columns_;
  collation database_;
  std::vector<std::shared_ptr<const enum_type>> enums_;
  std::map<std::size_t, node_ptr> known_columns_; ///< One node a column, however often it is named.
  std::map<std::int32_t, node_ptr> parameters_;   ///< $n takes the type of its first use, for good.
  std::size_t literal_bytes_ = 0;
  std::size_t literal_bytes_max_ = literal_bytes_max;
  std::optional<error> error_;
};

} // namespace busbar::sql
