// How sets, and shapes that ask them, begin, come back from storage and end. How they live is told
// in materializer_moves.cpp.
#include "actors/materializer_state.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace busbar {

namespace {

// Why a snapshot cannot be used; clients may read it.
constexpr const char* commits_invisible =
    "transactions that have committed stay invisible to new snapshots; is a synchronous standby "
    "missing?";
constexpr const char* below_lags =
    "a subquery within a subquery changes so often that it never comes to rest";

} // namespace

void materializer_state::set_count(owned_shape& owned, const digest& value, std::uint32_t count) {
  auto& set = *owned.set;
  const bool was_there = set.counts.contains(value);
  set.counts.set(value, count);
  if (was_there == (count > 0))
    return;
  if (count == 0)
    set.stale.insert(value);
  else if (set.stale.erase(value) == 0)
    values_held.add(value, set_number_of(owned.log.shape()->id()));
}

void materializer_state::forget_stale(owned_shape& owned) {
  for (const auto& value : std::exchange(owned.set->stale, {}))
    values_held.remove(value, set_number_of(owned.log.shape()->id()));
}

void materializer_state::forget_values(owned_shape& owned) {
  forget_stale(owned);
  owned.set->counts.for_each([&](const digest& value, std::uint32_t) {
    values_held.remove(value, set_number_of(owned.log.shape()->id()));
  });
}

caf::result<lsn> materializer_state::fence(const std::string& slot, const std::string& token) {
  auto& waiting = fences[slot];
  if (waiting.second.pending())
    waiting.second.deliver(
        to_caf(error{errc::unavailable, "nobody waits for this fence any more"}));
  waiting = {token, self->make_response_promise<lsn>()};
  return waiting.second;
}

void materializer_state::pass_fence(const std::string& token, std::uint64_t tx) {
  for (auto& [slot, waiting] : fences)
    if (waiting.first == token && waiting.second.pending())
      waiting.second.deliver(lsn{tx});
}

caf::result<std::string> materializer_state::join(shape_id id, const snapshot& sees,
                                                  const facts_ptr& facts,
                                                  const set_contents_ptr& contents) {
  const auto found = shapes.find(id);
  if (found == shapes.end() || found->second->log.shape()->progress().gone)
    return to_caf(error{errc::must_refetch, "the shape was removed"});
  auto& owned = *found->second;
  if (owned.log.accepting() || (!owned.asks && !owned.log.shape()->definition().inner.empty()))
    return to_caf(error{errc::must_refetch, "what its subquery selects was removed"});
  const bool is_late = applied_front || last_commit < reached;
  const auto upto = is_late ? std::nullopt : boundary(view_of(sees), owned.created_lsn);
  if (!upto)
    return std::string{commits_invisible};
  if (owned.asks) {
    for (const auto set_id : owned.asks->sets) {
      const auto set = shapes.find(set_id);
      if (set == shapes.end() || !set->second->log.accepting())
        return to_caf(error{errc::must_refetch, "what its subquery selects was removed"});
      // The snapshot tells what the subquery selects in truth; a set that lags is not there yet.
      if (const auto* below = set->second->asks.get();
          below &&
          (below->parked || below->lags() || below->behind <= *upto || below->steady_since > *upto))
        return std::string{below_lags};
    }
  }
  owned.log.accept(std::make_shared<const snapshot>(sees));
  owned.log.begin_after(*upto);
  writes.mark_splice_passed(id, *upto);
  auto* const one = &owned;
  keep_facts({&one, 1}, facts, sees);
  awaiting.erase(id);
  if (contents) {
    owned.set->counts.reserve(contents->values.size());
    values_held.reserve_more(contents->values.size());
    contents->values.for_each(
        [&](const digest& value, std::uint32_t count) { set_count(owned, value, count); });
  }
  if (owned.asks)
    for (const auto* set :
         std::set<const inner_set*>(owned.asks->views.begin(), owned.asks->views.end()))
      for (const auto& move : set->journal)
        if (move.tx > *upto)
          lag_behind(*owned.asks, *set, move);
  for (const auto& [oid, relation] : relations_seen)
    if (relation.feeds(owned.log.shape()->definition().table->oid))
      check_attached(owned.log, relation);
  if (owned.log.accepting())
    go_on(owned, *upto);
  trim_used_journals();
  trim_aside();
  if (disk_refuses || !write_out()) {
    give_up(owned.log, "storage refuses writes");
    return to_caf(error{errc::unavailable, "storage refuses writes"});
  }
  report();
  owned.log.shape()->update([](shape_progress& p) { p.started = true; });
  tell_watchers({id});
  return std::string{};
}

result<void> materializer_state::link(owned_shape& owned) {
  const auto& shape = owned.log.shape();
  if (shape->definition().is_set() && !owned.set)
    owned.set = std::make_unique<inner_set>();
  if (shape->definition().inner.empty() || owned.asks)
    return {};
  auto asks = std::make_unique<asker>(env.secret, *shape);
  for (const auto id : shape->inner()) {
    const auto set = shapes.find(id);
    if (set == shapes.end() || !set->second->set)
      return fail(errc::must_refetch, "what its subquery selects was removed");
    asks->sets.push_back(id);
    asks->views.push_back(set->second->set.get());
  }
  for (const auto id : std::set<shape_id>(asks->sets.begin(), asks->sets.end()))
    shapes.at(id)->set->dependents.push_back(shape->id());
  owned.asks = std::move(asks);
  return {};
}

void materializer_state::unlink(owned_shape& owned) {
  const auto id = owned.log.shape()->id();
  parked.erase(id);
  unsettled.erase(id);
  less_behind.erase(id);
  more_behind.erase(id);
  open_sets.erase(&owned);
  if (owned.asks) {
    for (const auto set : owned.asks->sets)
      if (const auto found = shapes.find(set); found != shapes.end())
        std::erase(found->second->set->dependents, id);
    trim_journals(*owned.asks);
  }
  if (!owned.set)
    return;
  forget_values(owned);
  for (const auto dependent : owned.set->dependents) {
    const auto found = shapes.find(dependent);
    if (found == shapes.end())
      continue;
    if (!found->second->log.shape()->progress().gone)
      give_up(found->second->log, "what its subquery selects was removed");
    found->second->asks.reset();
    parked.erase(dependent);
    unsettled.erase(dependent);
  }
}

result<void> materializer_state::adopt_sets(owned_shape& owned, std::uint64_t position) {
  auto stored = env.store->read_set(owned.log.shape()->id());
  if (!stored)
    return fail(std::move(stored).error());
  position = std::max(position, stored->position);
  if (owned.set) {
    owned.set->counts.reserve(stored->values.size());
    values_held.reserve_more(stored->values.size());
    for (const auto& [value, count] : stored->values)
      set_count(owned, value, count);
    owned.set->position = position;
  }
  owned.log.skip_to(position);
  if (!owned.asks)
    return {};
  auto& asks = *owned.asks;
  asks.steady_since = position;
  for (const auto* view : asks.views)
    asks.floor = std::max(asks.floor, view->position);
  for (auto& late : stored->lag) {
    if (late.subquery >= asks.lag.size())
      return fail(errc::corrupt, "a stored lag of a shape names a subquery that it lacks");
    asks.stored[late.subquery].emplace(late.value, late.xid == 0);
    asks.turned[late.subquery].emplace(late.value, 0);
    // Whoever has to bring its rows again looks there for what they have in their columns.
    auto& set = *shapes.at(asks.sets[late.subquery])->set;
    const bool is_in_set = set.counts.contains(late.value);
    set.journal.push_back({.tx = set.position,
                           .xid = late.xid,
                           .since = set.position,
                           .enters = is_in_set,
                           .value = late.value,
                           .texts = late.texts});
    if (late.xid == 0)
      continue;
    // It sees a value that is not in the set any more.
    if (!is_in_set && set.stale.insert(late.value).second)
      values_held.add(late.value, set_number_of(asks.sets[late.subquery]));
    asks.lag[late.subquery][late.value] = {late.xid, late.since, std::move(late.texts)};
  }
  if (std::any_of(asks.turned.begin(), asks.turned.end(),
                  [](const auto& values) { return !values.empty(); }))
    park(owned, position);
  refresh_behind(owned);
  show_behind();
  return {};
}

} // namespace busbar
