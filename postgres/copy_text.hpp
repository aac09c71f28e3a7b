// postgres/copy_text.hpp: reads the rows of COPY … TO STDOUT in text format. Private to postgres/.
#pragma once

#include "sql/predicate.hpp"

#include <cstddef>
#include <vector>

namespace busbar::postgres {

/// Splits the row in [line, line + bytes), with or without its newline, into `cells`, and replaces
/// escapes in place, so the cells point into the row. False if the row is malformed or does not
/// have `columns` columns.
bool split_copy_line(char* line, std::size_t bytes, std::size_t columns,
                     std::vector<sql::cell>& cells);

} // namespace busbar::postgres
