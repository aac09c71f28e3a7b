// postgres/catalog.hpp: looks tables up in PostgreSQL's catalog.
#pragma once

#include "base/snapshot.hpp"
#include "postgres/connection.hpp"
#include "shapes/table.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace busbar::postgres {

/// The table of that exact name, or nullopt if there is none that a shape can be built on. Views,
/// foreign tables, unlogged and temporary tables, system catalogs do not count as found
/// (spec 1.15).
pg_result_of<std::optional<table_info>> find_table(connection& session, std::string_view schema,
                                                   std::string_view name, deadline until);

/// Why find_table() has found none, as the end of a sentence that begins with the table's name.
pg_result_of<std::string> why_not_found(connection& session, std::string_view schema,
                                        std::string_view name, deadline until);

struct found_facts {
  catalog_facts catalog; ///< Of those tables that exist and that a shape can be built on.
  /// Those of them that have REPLICA IDENTITY FULL not on every table that holds rows.
  std::vector<std::uint32_t> without_identity;
};

/// What `oids` depend on now, in one query and so as of one snapshot: that of the transaction, if
/// `session` is in one. Without any table found `catalog.seen` is empty.
pg_result_of<found_facts> find_facts(connection& session, std::string_view publication,
                                     std::span<const std::uint32_t> oids, deadline until);

/// By oid: a text that changes with what find_facts() would say, except for the values of types and
/// for what lies more than one step below a partitioned table. It costs a fraction of that.
using table_versions = std::unordered_map<std::uint32_t, std::string>;
pg_result_of<table_versions> find_versions(connection& session, std::string_view publication,
                                           std::span<const std::uint32_t> oids, deadline until);

/// One step up in a tree of partitions.
struct partition_ancestor {
  std::uint32_t oid = 0;
  /// The transaction that attached what stands below, if that was a table of its own before and the
  /// transaction is not ancient; otherwise 0.
  std::uint32_t attached_xid = 0;

  friend bool operator==(const partition_ancestor&, const partition_ancestor&) = default;
};

struct partition_place {
  std::uint32_t oid = 0;
  std::vector<partition_ancestor> above; ///< Nearest first; empty if it is no partition.
  /// A transaction that is not visible yet (or was rolled back) changes it, a column of it or a
  /// table above.
  bool in_change = false;
};

struct partition_places {
  std::vector<partition_place> found; ///< Of those that exist.
  snapshot seen;                      ///< The catalog is shown as of this.
};

/// Where `oids` stand now.
pg_result_of<partition_places>
find_partition_places(connection& session, std::span<const std::uint32_t> oids, deadline until);

} // namespace busbar::postgres
