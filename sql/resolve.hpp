// sql/resolve.hpp: which of several operators or functions of one name PostgreSQL means
// (typeconv-oper, typeconv-func).
#pragma once

#include "sql/functions.hpp"

#include <array>
#include <optional>
#include <span>

namespace busbar::sql {

/// A function with the types that its operands must have, and that of its result: what any_array
/// and its like stand for here.
struct resolved {
  const function* callee = nullptr;
  std::array<type, 3> args{};
  type result = type::unknown;
};

/// `types` are those of the operands, type::unknown for a literal without one. nullopt if there is
/// none, or no best one. `is_operator`: a literal is first taken for what the other side is.
std::optional<resolved> resolve(std::span<const function* const> candidates,
                                std::span<const type> types, bool is_operator);

} // namespace busbar::sql
