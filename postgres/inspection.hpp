// postgres/inspection.hpp: read-only questions about a server and what is ours there, for `busbar
// doctor` and `busbar cleanup`. What the answers mean is judged in app/diagnosis.hpp.
#pragma once

#include "base/lsn.hpp"
#include "postgres/connection.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace busbar::postgres {

/// The server as any session sees it.
struct server_inspection {
  int version = 0;          ///< 150004 for 15.4
  std::string version_text; ///< As the server writes it.
  bool in_recovery = false; ///< A standby.
  std::string wal_level;
  int slots_max = 0;
  int slots_used = 0;
  int senders_max = 0;
  int senders_used = 0;
  std::int64_t sender_timeout_ms = 0;      ///< wal_sender_timeout; 0 = none.
  std::int64_t slot_wal_keep_mb = -1;      ///< max_slot_wal_keep_size; -1 = without limit.
  std::int64_t idle_slot_timeout = 0;      ///< idle_replication_slot_timeout (18); 0 = none.
  std::chrono::milliseconds clock_ahead{}; ///< The server's clock less ours.
  std::chrono::milliseconds round_trip{};  ///< As unsure as that is.
};

/// What the role of the connection URL may do.
struct role_inspection {
  std::string name;
  std::string database;
  bool superuser = false;
  bool replication = false;             ///< By attribute, as superuser, or as RDS grants it.
  bool creates_in_database = false;     ///< CREATE PUBLICATION needs it.
  bool has_managed_replication = false; ///< There is RDS' role rds_replication.
};

/// The slot of that name, whoever made it.
struct slot_inspection {
  std::string plugin;
  std::string type;
  std::string database;
  bool is_here = false; ///< In the database of the connection.
  bool temporary = false;
  std::optional<int> active_pid;
  std::string wal_status;                     ///< reserved, extended, unreserved, lost
  std::optional<std::int64_t> safe_wal_bytes; ///< Until it is lost; nullopt = without limit.
  std::int64_t retained_bytes = 0;            ///< WAL that the server keeps for it.
  std::int64_t unconfirmed_bytes = 0;         ///< WAL that we have not confirmed yet.
  std::optional<lsn> confirmed;               ///< Nullopt while it is being made.
  std::string invalidated;                    ///< Why (16 and newer); empty if it is not.
};

struct publication_inspection {
  std::string owner;
  bool owned = false; ///< Our role is its owner, or a member of it.
  bool has_all_operations = false;
  bool via_root = false;
  bool all_tables = false;
  bool without_generated = false; ///< 18 and newer: stored generated columns are left out.
  std::string schemas;            ///< Published as a whole (15 and newer), as SQL writes them.
};

/// A published table whose rows are written: one without partitions, or a leaf.
struct leaf_inspection {
  std::string name; ///< Qualified and quoted, to be put into SQL; the same of `root`.
  std::string root; ///< The table that is in the publication: itself, or one above.
  std::string owner;
  char identity = 'd'; ///< pg_class.relreplident
  bool has_key = false;
  bool owned = false;
  bool readable = false;     ///< SELECT on the root, USAGE on its schema.
  bool row_security = false; ///< Policies apply to our role.
  bool partial = false;      ///< The publication has a row filter or a column list for it.
};

// The questions, in the words that a server of `version` understands.
std::string server_question(int version);
std::string role_question();
std::string slot_question(int version, std::string_view slot);
std::string publication_question(int version, std::string_view publication);
/// Of the tables that were added by name or by schema, at most `inspected_leaves_max` leaves. FOR
/// ALL TABLES names none: what is not followed is nobody's concern.
std::string leaves_question(int version, std::string_view publication);
inline constexpr int inspected_leaves_max = 10'000;

pg_result_of<server_inspection> inspect_server(connection& session, deadline until);
pg_result_of<role_inspection> inspect_role(connection& session, deadline until);
pg_result_of<std::optional<slot_inspection>> inspect_slot(connection& session,
                                                          std::string_view slot, deadline until);
pg_result_of<std::optional<publication_inspection>>
inspect_publication(connection& session, std::string_view publication, deadline until);
pg_result_of<std::vector<leaf_inspection>>
inspect_leaves(connection& session, std::string_view publication, deadline until);

/// Who answers IDENTIFY_SYSTEM on a session that open_replication() made.
struct system_inspection {
  std::string system_id;
  std::uint32_t timeline = 0;
  std::string database;
};
pg_result_of<system_inspection> inspect_system(connection& walsender, deadline until);

/// Whether both sessions are in one database of one running server: the second is asked for a lock
/// that the first holds. Needs no privilege, and tells a standby or a copy from the original.
pg_result_of<bool> is_same_database(connection& direct, connection& pooled, deadline until);

/// The advisory lock that the leader of a stream holds, by stream_settings::lock_name(). Derived
/// here, because hashtext() may change from one major version to the next.
std::int64_t leader_lock(std::string_view name);

} // namespace busbar::postgres
