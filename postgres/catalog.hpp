// postgres/catalog.hpp: looks tables up in PostgreSQL's catalog.
#pragma once

#include "postgres/connection.hpp"
#include "shapes/table.hpp"

namespace busbar::postgres {

/// The table of that exact name, or nullopt if there is none that a shape can be built on. Views,
/// foreign tables, unlogged and temporary tables, system catalogs do not count as found
/// (spec 1.15).
pg_result_of<std::optional<table_info>> find_table(connection& session, std::string_view schema,
                                                   std::string_view name, deadline until);

} // namespace busbar::postgres
