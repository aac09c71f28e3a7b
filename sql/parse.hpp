// sql/parse.hpp: from the text of a clause to its expression, by PostgreSQL's own grammar.
#pragma once

#include "sql/expression.hpp"

#include <cstddef>
#include <string_view>

namespace busbar::sql {

inline constexpr std::size_t clause_bytes_max = 65536; ///< Of statement_prefix and clause together.
inline constexpr std::size_t nesting_max = 500;        ///< Tokens on the way to the deepest node.
inline constexpr std::size_t nodes_max = 20000;

/// Parses `where`. Refuses whatever is not exactly one expression, and every construct for which
/// `expression` has no kind. Limits are checked on the tokens, before anything recursive runs.
result<expression> parse(std::string_view where);

} // namespace busbar::sql
