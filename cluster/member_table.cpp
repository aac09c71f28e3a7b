#include "cluster/member_table.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace busbar::cluster {
namespace {

/// Twice as many as there may be members: those that went are remembered for a while.
constexpr std::size_t names_max = 128;

/// What others act by, beside coming and going.
auto gist(const member_status& s) {
  return std::tie(s.role, s.term, s.leader, s.in_sync, s.may_lead, s.draining, s.away_since);
}

} // namespace

bool member_table::is_away(const member& one, deadline now) const {
  return !one.heard || now - one.since >= away_after_;
}

void member_table::list(const std::vector<std::string>& names, deadline now) {
  for (const auto& name : names) {
    auto [at, added] = members_.try_emplace(name);
    at->second.listed = true;
    if (added) {
      at->second.status.name = name;
      at->second.since = now;
    }
  }
}

result<bool> member_table::heard(member_status status,
                                 std::optional<std::chrono::microseconds> round_trip,
                                 deadline now) {
  const auto known = members_.find(status.name);
  if (known == members_.end() && members_.size() >= names_max)
    return fail(errc::unavailable, "there are more than " + std::to_string(names_max) + " members");
  auto& one = known == members_.end() ? members_[status.name] : known->second;
  const bool changed = one.away || gist(one.status) != gist(status);
  one.status = std::move(status);
  one.since = now;
  one.heard = true;
  one.away = false;
  if (round_trip)
    one.round_trip = *round_trip;
  return changed;
}

bool member_table::look(deadline now) {
  bool changed = false;
  for (auto at = members_.begin(); at != members_.end();) {
    auto& one = at->second;
    if (!one.away && is_away(one, now))
      one.away = changed = true;
    if (one.away && !one.listed && now - one.since >= forget_after_) {
      at = members_.erase(at);
      changed = true;
    } else {
      ++at;
    }
  }
  return changed;
}

std::optional<deadline> member_table::next_look() const {
  std::optional<deadline> out;
  for (const auto& [name, one] : members_)
    if (!one.away || !one.listed) {
      const auto due = one.since + (one.away ? forget_after_ : away_after_);
      out = std::min(out.value_or(due), due);
    }
  return out;
}

std::vector<member_view> member_table::views(deadline now) const {
  std::vector<member_view> out;
  for (const auto& [name, one] : members_) {
    member_view view{one.status, {}, one.round_trip, one.heard};
    if (is_away(one, now))
      view.away_for = std::chrono::duration_cast<std::chrono::milliseconds>(now - one.since);
    out.push_back(std::move(view));
  }
  return out;
}

std::optional<std::string> member_table::leader(const member_status& self, deadline now) const {
  const member_status* best = self.role == member_role::leader ? &self : nullptr;
  for (const auto& [name, one] : members_)
    if (one.status.role == member_role::leader && !is_away(one, now) &&
        (best == nullptr || one.status.term > best->term))
      best = &one.status;
  if (best == nullptr)
    return std::nullopt;
  return best->name;
}

} // namespace busbar::cluster
