// sql/atoms_of.hpp: finds the atoms of a checked tree. Private to sql/; what they mean: atoms.hpp.
#pragma once

#include "sql/atoms.hpp"
#include "sql/tree.hpp"

#include <vector>

namespace busbar::sql {

std::vector<conjunction> atoms_of(const node& tree);

} // namespace busbar::sql
