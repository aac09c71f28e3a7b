// sql/emit.hpp: writes a checked tree as SQL that means the same in every session.
#pragma once

#include "base/result.hpp"
#include "sql/tree.hpp"

#include <cstddef>
#include <string>

namespace busbar::sql {

/// A short clause can mean a long tree (see node); what gets longer than this is refused, beyond
/// four times what its parameters have in bytes.
inline constexpr std::size_t emitted_bytes_max = 1024 * 1024;

/// Fully parenthesised, every constant typed, every operator and type in pg_catalog, nothing left
/// to search_path. Read again by parse() and check(), it gives the same tree. Within a subquery all
/// columns are qualified, so that none can ever turn out to be one of the table around it.
result<std::string> to_sql(const node& tree, enum_types enums,
                           std::size_t bytes_max = emitted_bytes_max);
result<std::string> to_sql(const selection& subquery);

/// As to_sql(), but the operands of AND, OR and lists are in an order of their own and none is
/// there twice. Only for trees that to_sql() could write.
std::string to_canonical(const node& tree, enum_types enums);
std::string to_canonical(const selection& subquery);

} // namespace busbar::sql
