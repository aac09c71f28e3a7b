// sql/order_by.hpp: an ORDER BY list, checked and written anew (spec shape-protocol 5.4).
#pragma once

#include "base/result.hpp"
#include "sql/predicate.hpp"

#include <span>
#include <string>
#include <string_view>

namespace busbar::sql {

inline constexpr std::size_t sort_keys_max = 100;

/// Parses `order_by` by PostgreSQL's own grammar and writes the same order from the parsed tree:
/// `"b" DESC NULLS LAST, "a"`. Nothing else of the text can reach PostgreSQL. Only names of
/// `columns`, ASC, DESC and NULLS FIRST or LAST are understood: no numbers, expressions, casts,
/// functions or parameters. Errors: errc::invalid_argument with field "order_by" and a text
/// `At location <n>: …`, n counted in bytes from the beginning of `order_by`.
result<std::string> rewrite_order_by(std::string_view order_by, std::span<const column> columns);

} // namespace busbar::sql
