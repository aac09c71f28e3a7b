#include "actors/continuity.hpp"

#include <algorithm>

namespace busbar {

namespace {

/// Why changes may be missing or may be others than ours; empty if neither can be.
std::string gap_between(const our_past& before, const postgres::leadership& now) {
  // `shown` is where a commit record starts, the others are where records end.
  const auto lacks = [&](lsn end) { return end < before.durable || end <= before.shown; };
  if (now.slot_created)
    return "the replication slot had to be created anew, so changes may be missing";
  if (before.identity && before.identity->timeline != now.timeline) {
    const auto left = std::find_if(now.history.begin(), now.history.end(), [&](const auto& forked) {
      return forked.timeline == before.identity->timeline;
    });
    if (left == now.history.end())
      return "the database is on another timeline: it was restored or failed over";
    if (lacks(left->at))
      return "the database has failed over to a server that lacks changes that were seen here";
  }
  if (lacks(now.wal_end) || now.term <= before.newest_xid)
    return "the database was restored to an earlier state";
  if (now.confirmed_flush > before.durable)
    return "the replication slot is ahead of the storage directory, which must be an older copy";
  return {};
}

} // namespace

continuity judge(const our_past& before, const postgres::leadership& now) {
  if (before.durable == lsn{0} && !before.has_shapes)
    return {};
  auto gap = gap_between(before, now);
  const bool goes_on = gap.empty(); // without shapes nothing is lost, but positions may fall
  return {goes_on, before.has_shapes ? std::move(gap) : std::string{}};
}

std::uint64_t widen_xid(std::uint32_t xid, std::uint64_t term) noexcept {
  const auto distance = static_cast<std::int32_t>(xid - static_cast<std::uint32_t>(term));
  return term + static_cast<std::uint64_t>(static_cast<std::int64_t>(distance));
}

} // namespace busbar
