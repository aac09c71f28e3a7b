// sql/only_select.hpp: the gate that a client's clause passes first: libpg_query's tree must be one
// plain SELECT with the one clause that was asked for, so that no text can smuggle another in.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace busbar::sql {

/// Numbers of SelectStmt's fields in libpg_query's protobuf.
enum class select_clause : std::uint32_t { where = 5, sort = 11 };

/// The Nodes of that clause, borrowed from `parse_result`; nullopt unless there is exactly one
/// statement, a SELECT with nothing but its target list and this clause.
std::optional<std::vector<std::string_view>> only_select(std::string_view parse_result,
                                                         select_clause wanted);

} // namespace busbar::sql
