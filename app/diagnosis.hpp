// app/diagnosis.hpp: what the facts of a server, a storage directory and a disk mean for Busbar,
// and what mends what is wrong. Pure: the facts come in, findings go out.
#pragma once

#include "app/disk.hpp"
#include "app/finding.hpp"
#include "postgres/inspection.hpp"
#include "storage/inspection.hpp"

#include <optional>
#include <string>

namespace busbar::app {

/// What is ours in the database, by name.
struct our_names {
  std::string slot;
  std::string publication;
};

findings judge_server(const postgres::server_inspection& server);
/// `needs_slot`: there is none yet, so that one more of each must be free.
findings judge_capacity(const postgres::server_inspection& server, bool needs_slot);
findings judge_clock(const postgres::server_inspection& server);
/// `publication`: none yet if nullopt, and so the role must be able to create it.
findings judge_role(const postgres::role_inspection& role,
                    const std::optional<postgres::publication_inspection>& publication,
                    const our_names& names);
findings judge_slot(const std::optional<postgres::slot_inspection>& slot, const our_names& names);
findings judge_retention(const postgres::server_inspection& server);
findings judge_publication(const std::optional<postgres::publication_inspection>& publication,
                           const postgres::role_inspection& role, const our_names& names);
/// Replica identity, ownership, SELECT, row security, row filters: a finding for each table and
/// fault, at most ten of a kind.
findings judge_leaves(const std::vector<postgres::leaf_inspection>& leaves,
                      const postgres::role_inspection& role, const our_names& names);
/// Of the role that reads rows, if that is another: SELECT and row security, at most ten faults.
findings judge_pooled_reading(const std::vector<postgres::leaf_inspection>& leaves,
                              const postgres::role_inspection& role);

/// `server` and `slot` are nullopt if they could not be asked.
findings judge_storage(const std::string& directory, const storage::directory_inspection& storage,
                       const std::optional<postgres::system_inspection>& server,
                       const std::optional<postgres::slot_inspection>& slot,
                       const std::string& stream_id);
findings judge_disk(const disk_inspection& disk);

/// What a session that could not be opened means; `display` names the database without password.
finding judge_refusal(std::string check, const std::string& display, const postgres::pg_error& why);

} // namespace busbar::app
