#include "app/cluster_report.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <ctime>

namespace busbar::app {
namespace {

/// As "2026-01-31T12:00:00Z".
std::string utc_text(std::uint64_t unix_seconds) {
  const auto when = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  std::array<char, 32> text{};
  if (::gmtime_r(&when, &parts) == nullptr)
    return {};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

} // namespace

std::string cluster_json(const cluster_node& node) {
  nlohmann::ordered_json out;
  out["leader"] = nullptr;
  out["term"] = 0;
  auto& members = out["members"] = nlohmann::ordered_json::array();
  for (const auto& [member, is_self, followed] : node.report()) {
    const auto& status = member.status;
    nlohmann::ordered_json one;
    one["name"] = status.name;
    one["self"] = is_self;
    one["version"] = status.version;
    one["reachable"] = is_self || (member.heard && !member.away_for);
    if (member.away_for)
      one["away_ms"] = member.away_for->count();
    if (!is_self && member.round_trip.count() > 0)
      one["round_trip_us"] = member.round_trip.count();
    one["role"] = cluster::name_of(status.role);
    if (status.role == cluster::member_role::leader && !status.leads_stream())
      one["without_postgres_since"] = utc_text(status.away_since);
    one["term"] = status.term;
    one["follows"] = status.leader;
    one["in_sync"] = followed ? followed->counts : status.in_sync;
    one["draining"] = status.draining;
    one["sequence"] = status.sequence;
    one["synced_sequence"] = followed ? followed->synced : status.synced_sequence;
    if (followed)
      one["applied_sequence"] = followed->applied;
    one["last_seen_lsn"] = to_pg_string(status.last_seen);
    one["flushed_lsn"] = to_pg_string(status.durable);
    one["shapes"] = status.shapes;
    one["clients"] = status.clients;
    const bool leads = status.role == cluster::member_role::leader && one["reachable"];
    if (leads && status.term >= out["term"].get<std::uint64_t>()) {
      out["leader"] = status.name;
      out["term"] = status.term;
    }
    members.push_back(std::move(one));
  }
  std::uint64_t leads_at = 0;
  for (const auto& one : members)
    if (one["name"] == out["leader"])
      leads_at = one["sequence"];
  for (auto& one : members) {
    const auto at = one["sequence"].get<std::uint64_t>();
    one["behind"] = leads_at > at ? leads_at - at : 0;
  }
  return out.dump() + "\n";
}

} // namespace busbar::app
