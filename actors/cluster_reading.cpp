#include "actors/cluster_reading.hpp"

#include <algorithm>

namespace busbar {

monitoring::cluster_reading reading_of(const std::vector<member_report>& members) {
  monitoring::cluster_reading out;
  bool leads = false; // with or without PostgreSQL
  for (const auto& [member, is_self, followed] : members) {
    const bool reachable = is_self || (member.heard && !member.away_for);
    ++(reachable ? out.reachable : out.away);
    if (!is_self)
      continue;
    out.is_leader = member.status.leads_stream();
    leads = member.status.role == cluster::member_role::leader;
    out.term = member.status.term;
    out.in_sync = member.status.in_sync;
    out.sequence = member.status.sequence;
  }
  if (!leads)
    return out;
  for (const auto& [member, is_self, followed] : members) {
    if (is_self || !member.heard)
      continue;
    const auto at =
        followed ? std::max(followed->applied, member.status.sequence) : member.status.sequence;
    out.behind.emplace_back(member.status.name, out.sequence > at ? out.sequence - at : 0);
  }
  return out;
}

} // namespace busbar
