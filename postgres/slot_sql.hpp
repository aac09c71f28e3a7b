// postgres/slot_sql.hpp: what is said to PostgreSQL about slots and publications, by its version.
// Pure. Private to postgres/.
#pragma once

#include <string>
#include <string_view>

namespace busbar::postgres {

struct slot_kind {
  bool temporary = false; ///< It ends with its session.
  bool failover = false;  ///< Kept on standbys, too, from version 17 on; ignored before.
};

/// For the replication connection.
std::string create_slot_sql(int server_version, std::string_view name, slot_kind kind);

/// The fields of slot_sql(), one row if the slot is there.
enum class slot_field : int {
  is_ours, ///< Logical, by pgoutput.
  is_here, ///< Of this database.
  database,
  is_lost,   ///< Proof that it can never be used again.
  why_lost,  ///< In PostgreSQL's words, from version 16 on.
  confirmed, ///< NULL while it is being made.
  is_active,
};
std::string slot_sql(int server_version, std::string_view name);

/// Has the running transactions logged, which a slot that is being made waits for; "" where only
/// PostgreSQL itself can do that, before version 16.
std::string standby_snapshot_sql(int server_version);

/// The fields of publication_sql(), one row if it is there.
enum class publication_field : int {
  is_whole, ///< All four operations, and not by way of partition roots.
  is_ours,  ///< We may alter it.
};
std::string publication_sql(std::string_view name);
/// An empty one; `exists`: made as it must be.
std::string make_publication_sql(int server_version, std::string_view name, bool exists);

} // namespace busbar::postgres
