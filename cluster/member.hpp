// cluster/member.hpp: what the members of a cluster know of each other.
#pragma once

#include "base/lsn.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace busbar::cluster {

enum class member_role : std::uint8_t { starting, follower, leader };

/// "starting", "follower" or "leader".
const char* name_of(member_role role) noexcept;

/// What a member says of itself with every heartbeat.
struct member_status {
  std::string name;    ///< The address that it advertises; filled in by `peers`.
  std::string version; ///< Of its Busbar, e.g. "0.1.0"; filled in by `peers`.
  member_role role = member_role::starting;
  std::uint64_t term = 0;            ///< In which it leads or follows; 0 if neither yet.
  std::uint64_t sequence = 0;        ///< Its storage's newest sequence number …
  std::uint64_t synced_sequence = 0; ///< … and up to where that is on its disk.
  std::uint64_t lineage_term = 0;    ///< The newest term that its storage has something of.
  lsn last_seen{};                   ///< G of the Shape protocol.
  lsn durable{};
  std::uint64_t shapes = 0;
  std::uint64_t clients = 0;
  bool in_sync = false;  ///< It counts for what is confirmed to PostgreSQL, as far as it knows.
  std::string leader;    ///< Whom it follows, by name; empty if nobody.
  bool may_lead = false; ///< It waits for the stream's lock, or has it.
  bool draining = false; ///< It is about to stop.
  std::string system_id; ///< Of PostgreSQL; empty while unknown.
  /// Of a leader that has no stream from PostgreSQL: since when, in seconds of Unix time; else 0.
  std::uint64_t away_since = 0;

  /// Whether what is committed now comes to the cluster by this member.
  bool leads_stream() const noexcept { return role == member_role::leader && away_since == 0; }

  friend bool operator==(const member_status&, const member_status&) = default;
};

struct member_view {
  member_status status; ///< As last heard; only the name if nothing was heard yet.
  /// How long it has been silent, if that is long enough to count as away.
  std::optional<std::chrono::milliseconds> away_for;
  std::chrono::microseconds round_trip{0}; ///< Of the last heartbeat that was echoed; 0 = unknown.
  bool heard = false;                      ///< Since this process started.
};

} // namespace busbar::cluster
