#include "actors/replication_gate.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>

namespace busbar {

namespace {
/// Steps that wait are joined beyond this: who comes on passes many at once.
constexpr std::size_t steps_max = 10'000;
} // namespace

void replication_gate::lead(const std::vector<std::string>& members, clock::time_point now) {
  const std::lock_guard guard{mutex_};
  members_.clear();
  waiting_.clear();
  for (const auto& name : members)
    members_[name] = {.counts = true, .moved = now};
}

void replication_gate::flushed(lsn position, std::uint64_t epoch, std::uint64_t sequence) {
  const std::lock_guard guard{mutex_};
  if (waiting_.size() >= steps_max)
    waiting_.pop_back();
  waiting_.push_back({position, epoch, sequence});
  pass();
}

std::uint64_t replication_gate::joined(const std::string& member, std::uint64_t sequence,
                                       std::uint64_t target, clock::time_point now) {
  const std::lock_guard guard{mutex_};
  auto& one = members_[member];
  one.applied = one.synced = sequence;
  one.target = target;
  one.link = ++last_link_;
  one.moved = now;
  one.excused = false;
  one.counts |= sequence >= target;
  pass();
  return one.link;
}

void replication_gate::heard(const std::string& name, std::uint64_t link, std::uint64_t applied,
                             std::uint64_t synced, clock::time_point now) {
  {
    const std::lock_guard guard{mutex_};
    const auto found = members_.find(name);
    if (found == members_.end() || found->second.link != link)
      return;
    auto& one = found->second;
    const bool has_all = waiting_.empty() || synced >= waiting_.back().sequence;
    if (synced > one.synced || has_all)
      one.moved = now;
    one.applied = applied;
    one.synced = synced;
    if (!one.counts && !one.excused && synced >= one.target) {
      one.counts = true;
      spdlog::info("{} is in sync", name);
    }
    pass();
  }
  moved_.notify_all();
}

void replication_gate::left(const std::string& member, std::uint64_t link) {
  const std::lock_guard guard{mutex_};
  const auto found = members_.find(member);
  if (found != members_.end() && found->second.link == link)
    found->second.link = 0;
}

void replication_gate::excuse(const std::string& member) {
  {
    const std::lock_guard guard{mutex_};
    if (const auto found = members_.find(member); found != members_.end())
      found->second.counts = !(found->second.excused = true);
    pass();
  }
  moved_.notify_all();
}

void replication_gate::tick(clock::time_point now) {
  {
    const std::lock_guard guard{mutex_};
    for (auto& [name, one] : members_)
      if (one.counts && now - one.moved > grace_) {
        one.counts = false;
        // Once it has come back to where the others are, it counts again.
        one.target = waiting_.empty() ? one.synced + 1 : waiting_.back().sequence;
        spdlog::warn("{} has not come on for {} ms, and does not hold the WAL back any more", name,
                     grace_.count());
      }
    pass();
  }
  moved_.notify_all();
}

bool replication_gate::counts(const std::string& member) const {
  const std::lock_guard guard{mutex_};
  const auto found = members_.find(member);
  return found != members_.end() && found->second.counts;
}

bool replication_gate::wait_applied(std::uint64_t sequence, clock::time_point until) {
  std::unique_lock guard{mutex_};
  return moved_.wait_until(guard, until, [&] {
    return std::all_of(members_.begin(), members_.end(), [&](const auto& entry) {
      const auto& one = entry.second;
      return !one.counts || one.link == 0 || one.applied >= sequence;
    });
  });
}

std::vector<replication_gate::view> replication_gate::members() const {
  const std::lock_guard guard{mutex_};
  std::vector<view> all;
  for (const auto& [name, one] : members_)
    all.push_back({name, one.applied, one.synced, one.link != 0, one.counts});
  return all;
}

void replication_gate::pass() {
  auto least = ~std::uint64_t{0};
  for (const auto& [name, one] : members_)
    if (one.counts)
      least = std::min(least, one.synced);
  std::optional<step> last;
  while (!waiting_.empty() && waiting_.front().sequence <= least) {
    last = waiting_.front();
    waiting_.pop_front();
  }
  if (last)
    confirm_(last->position, last->epoch);
}

} // namespace busbar
