// postgres/publication.hpp: makes a table's changes arrive in the stream (spec 1.10, 1.11).
#pragma once

#include "postgres/connection.hpp"
#include "shapes/table.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::postgres {

/// Whether the publication is there with all four operations, and not by way of partition roots.
pg_result_of<bool> is_publication_whole(connection& session, std::string_view publication,
                                        deadline until);

/// What ensure_published() had to do.
enum class publishing : std::uint8_t {
  was_complete,
  set_identity, ///< Changes without full old images may have come; each of them says so itself.
  added_table,  ///< Changes may be missing.
};

/// A table in the publication by a row of its own.
struct membership {
  std::string name;                  ///< Qualified and quoted, as it is now.
  std::vector<std::uint32_t> tables; ///< That are in the stream by it: the table and those below.
};
/// nullopt if the table is not there any more by this row (its oid in pg_publication_rel).
pg_result_of<std::optional<membership>> find_membership(connection& session,
                                                        std::string_view publication,
                                                        std::uint32_t table, std::uint32_t row,
                                                        deadline until);
/// Takes the table (its name as membership has it) out of the publication. Does not wait long for
/// its lock.
pg_result_of<void> withdraw(connection& session, std::string_view publication,
                            const std::string& table, deadline until);

/// What a call has changed for a table.
struct published_marks {
  std::uint32_t membership = 0; ///< Oid of the new row in pg_publication_rel; 0 if there is none.
  /// Of those that have REPLICA IDENTITY FULL by it, and had the default.
  std::vector<std::uint32_t> full;
};

/// When this returns without error, every later commit that touches `table` is in the stream with
/// full old images: the table (and each leaf partition) is in the publication with REPLICA IDENTITY
/// FULL, and every writer that was open when it was added has ended (the barrier of spec 1.11).
/// Takes locks with a short lock_timeout and retries until the deadline; errors say which privilege
/// or setting is missing. Cheap (one catalog query) if all is in place already; the barrier runs
/// only if something had to be changed, or `force_barrier`: a caller that cannot know that an
/// earlier barrier finished must force it. There are two such callers: one whose predecessor died
/// between ADD TABLE and the end of its barrier, and one that runs while another caller, who made
/// the change, still waits in his; both find all in place. A node that begins to serve a table and
/// has not itself seen true or false come back for it since it started forces it. (The barrier is
/// two queries if nobody writes, so forcing is cheap.) A table that is gone or renamed is SQLSTATE
/// 42P01. `by_hand`: nothing is altered; an error (55000) says what is missing and what the owner
/// must run. `marks`, if given, gets what this very call has changed, as far as that can be known
/// (not where the answer to a statement was lost), also if it fails after that.
pg_result_of<publishing> ensure_published(connection& session, std::string_view publication,
                                          const table_info& table, bool force_barrier,
                                          deadline until, bool by_hand = false,
                                          published_marks* marks = nullptr);

/// Gives a published table, or what was added below it since (new partitions have the default),
/// REPLICA IDENTITY FULL. Does nothing if the table is not published: that is for
/// ensure_published(), with its barrier, to mend.
pg_result_of<void> complete_identity(connection& session, std::string_view publication,
                                     const table_info& table, deadline until, bool by_hand = false,
                                     published_marks* marks = nullptr);

/// Writes `content` into the WAL as a transactional logical message with prefix "busbar". It comes
/// back through the slot at its commit's place.
pg_result_of<void> emit_message(connection& session, std::string_view content, deadline until);

} // namespace busbar::postgres
