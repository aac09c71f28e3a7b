// sql/packed_atoms.hpp: conjunctions in a few bytes, for clauses of which there may be a hundred
// thousand. Private to sql/; in memory only.
#pragma once

#include "sql/atoms.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::sql {

std::string pack(std::span<const conjunction> all);
/// `packed` is what pack() returned.
std::vector<conjunction> unpack(std::string_view packed);

} // namespace busbar::sql
