#include "actors/materializer_state.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace busbar {

namespace {

/// Messages of moves that a session may have unread; beyond it is told later, all at once.
constexpr std::size_t unread_moves_max = 8;

} // namespace

void materializer_state::publish() {
  session_news news;
  for (auto* log : moved) {
    auto move = log->publish();
    if (!move)
      continue;
    move->committed = committing;
    const auto owned = shapes.find(move->shape);
    if (owned == shapes.end())
      continue;
    add_news(news, *owned->second, *move);
  }
  moved.clear();
  tell(news);
}

void materializer_state::follow(const move_list& moves) {
  if (leads)
    return; // sent before the take-over: the watchers have looked since
  session_news news;
  for (const auto& move : moves)
    if (const auto owned = shapes.find(move.shape); owned != shapes.end())
      add_news(news, *owned->second, move);
  tell(news);
}

void materializer_state::add_news(session_news& news, const owned_shape& owned,
                                  const head_move& move) {
  for (const auto& session : owned.watchers) {
    auto& [handle, moves] = news[session.address()];
    handle = session;
    moves.push_back(move);
  }
}

void materializer_state::tell(session_news& news) {
  for (auto& [address, letter] : news) {
    auto& [session, moves] = letter;
    auto& pace = paces[address];
    // One that is behind hears of nothing before it has read all: what it was not told of would
    // wait for as long as it is kept busy.
    if (pace.behind.empty() && pace.unread < unread_moves_max) {
      ++pace.unread;
      self->send(session, moved_atom_v, std::move(moves), env.number);
    } else {
      for (const auto& move : moves)
        pace.behind.insert(move.shape);
    }
  }
}

void materializer_state::ready(const session_actor& session) {
  auto& pace = paces[session.address()];
  --pace.unread;
  if (pace.unread > 0)
    return;
  if (!pace.behind.empty())
    self->send(session, check_atom_v, id_list{pace.behind.begin(), pace.behind.end()});
  pace.behind.clear();
}

void materializer_state::watch(const shape_ptr& shape, const session_actor& session) {
  if (const auto found = shapes.find(shape->id()); found != shapes.end()) {
    auto& watchers = found->second->watchers;
    if (std::find(watchers.begin(), watchers.end(), session) == watchers.end())
      watchers.push_back(session);
    found->second->log.watch(true);
  } else if (!shape->progress().gone) {
    // The snapshotter has not announced it yet.
    auto& owned = own(shape);
    owned.watchers.push_back(session);
    owned.log.watch(true);
  }
  self->send(session, check_atom_v, id_list{shape->id()});
}

void materializer_state::unwatch(shape_id id, const session_actor& session) {
  const auto found = shapes.find(id);
  if (found == shapes.end())
    return;
  auto& watchers = found->second->watchers;
  watchers.erase(std::remove(watchers.begin(), watchers.end(), session), watchers.end());
  if (watchers.empty())
    watchers.shrink_to_fit(); // most shapes idle most of the time
  found->second->log.watch(!watchers.empty());
}

void materializer_state::tell_watchers(const id_list& ids) {
  std::unordered_map<caf::actor_addr, std::pair<session_actor, id_list>> letters;
  for (const auto id : ids)
    if (const auto found = shapes.find(id); found != shapes.end())
      for (const auto& session : found->second->watchers) {
        auto& [to, about] = letters[session.address()];
        to = session;
        about.push_back(id);
      }
  for (auto& [address, letter] : letters)
    self->send(letter.first, check_atom_v, std::move(letter.second));
}

void materializer_state::give_up(shape_log_writer& log, const std::string& why) {
  const auto shape = log.shape();
  shape->update([](shape_progress& p) { p.gone = true; });
  touched.erase(&log);
  log.stop();
  // In the same batch as the frame: once PostgreSQL is told of the frame, it will not tell us
  // again.
  writes.mark_removed(shape->id());
  self->send(others->directory, invalid_atom_v, shape, why);
  const auto found = shapes.find(shape->id());
  if (found == shapes.end())
    return;
  auto& owned = *found->second;
  parked.erase(shape->id());
  open_sets.erase(&owned);
  if (owned.asks)
    owned.asks->parked = false;
  if (owned.set)
    for (const auto id : owned.set->dependents)
      if (const auto dependent = shapes.find(id);
          dependent != shapes.end() && !dependent->second->log.shape()->progress().gone)
        give_up(dependent->second->log, "of its subquery: " + why);
}

void materializer_state::forget(const shape_ptr& shape) {
  shape->update([](shape_progress& p) { p.gone = true; });
  const auto id = shape->id();
  tell_watchers({id});
  if (const auto found = shapes.find(id); found != shapes.end()) {
    auto* log = &found->second->log;
    touched.erase(log);
    moved.erase(log);
    if (const auto was = expected.extract(shape->handle()); !was.empty())
      if (auto& waiting = was.mapped().waiting; waiting.use_count() == 1 && waiting->pending())
        waiting->deliver(to_caf(error{errc::must_refetch, "the shape was removed"}));
    awaiting.erase(id);
    splicing.erase(id);
    unlink(*found->second);
    const auto oid = shape->definition().table->oid;
    if (const auto table = tables.find(oid); table != tables.end()) {
      table->second.remove(*log);
      if (table->second.empty()) {
        tables.erase(table);
        facts_kept.erase(oid);
        routed_oid = 0;
      }
    }
    shapes.erase(found);
  }
  if (!leads)
    return; // the leader deletes what it had, here as there
  const auto p = shape->progress();
  self->send(others->janitor, forget_atom_v, id, p.complete || p.failure);
}

} // namespace busbar
