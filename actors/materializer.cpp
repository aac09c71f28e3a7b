#include "actors/materializer_state.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace busbar {

namespace {

constexpr std::chrono::seconds disk_retry{1};

double seconds(std::chrono::steady_clock::duration took) {
  return std::chrono::duration<double>(took).count();
}

/// 0 if nothing of the frame has committed.
std::int64_t first_commit(const frame& whole) {
  for (const auto transaction : whole.read().getTransactions())
    if (transaction.getEnds())
      return transaction.getCommitMicros();
  return 0;
}

} // namespace

materializer_state::~materializer_state() {
  for (auto& [slot, waiting] : fences)
    if (waiting.second.pending())
      waiting.second.deliver(to_caf(error{errc::unavailable, "the server is stopping"}));
  for (auto& [handle, one] : expected)
    if (one.waiting->pending())
      one.waiting->deliver(to_caf(error{errc::unavailable, "the server is stopping"}));
}

materializer_actor::behavior_type materializer_state::make_behavior() {
  return {
      [this](apply_atom, const frame& next) { receive(next); },
      [this](idle_atom, lsn position) { idle(position); },
      [this](reset_atom) { return reset(); },
      [this](adopt_atom, const adoption_list& shapes) { return adopt(shapes); },
      [this](follow_atom, const move_list& moves) { follow(moves); },
      [this](expect_atom, const shape_list& list) { return expect(list); },
      [this](splice_atom, const shape_list& list, const snapshot& sees, const facts_ptr& facts) {
        return splice(list, sees, facts);
      },
      [this](fence_atom, const std::string& slot, const std::string& token) {
        return fence(slot, token);
      },
      [this](join_atom, shape_id id, const snapshot& sees, const facts_ptr& facts,
             const set_contents_ptr& contents) { return join(id, sees, facts, contents); },
      [this](move_atom) { plan_again(); },
      [this](covers_atom, const snapshot& sees, lsn upto) {
        return sees_commits(sees, to_number(upto));
      },
      [this](covers_atom, const snapshot& sees, lsn upto, shape_id subset_of) {
        return subset_may_be_read(subset_of, sees, to_number(upto));
      },
      [this](note_atom, const catalog_ptr& found) {
        if (leads)
          note(*found);
      },
      [this](forget_atom, const shape_ptr& shape) { forget(shape); },
      [this](check_atom, const id_list& ids) { tell_watchers(ids); },
      [this](watch_atom, const shape_ptr& shape, const session_actor& session) {
        watch(shape, session);
      },
      [this](unwatch_atom, shape_id id, const session_actor& session) { unwatch(id, session); },
      [this](ready_atom, const session_actor& session) { ready(session); },
      [this](retry_atom) { drain_backlog(); },
  };
}

void materializer_state::receive(const frame& next) {
  backlog.push_back(next);
  if (!disk_refuses)
    drain_backlog();
}

void materializer_state::drain_backlog() {
  disk_refuses = false;
  if (backlog.empty() && write_out())
    report(); // what came of a splice, of moves or of the catalog
  while (!disk_refuses && !backlog.empty()) {
    const auto begin = std::chrono::steady_clock::now();
    const bool is_new = !applied_front;
    if (is_new) {
      spool_front();
      committing = first_commit(backlog.front());
      apply(backlog.front(), nullptr);
      applied_front = true;
    }
    const auto applied_at = std::chrono::steady_clock::now();
    if (!write_out())
      return;
    if (is_new)
      env.metrics->frame_apply_seconds.Observe(seconds(applied_at - begin));
    env.metrics->frame_write_seconds.Observe(
        seconds(std::chrono::steady_clock::now() - applied_at));
    committing = 0;
    finish_frame(backlog.front());
    const std::uint64_t bytes = backlog.front().size_bytes();
    backlog.pop_front();
    is_front_spooled = false;
    applied_front = false;
    self->send(others->replicator, applied_atom_v, env.number, bytes);
  }
}

void materializer_state::idle(lsn position) {
  if (disk_refuses || !backlog.empty())
    return; // another will come
  applied = std::max(applied, position);
  report();
}

void materializer_state::report() {
  if (disk_refuses) // a shape may no longer wait for WAL that it has not stored its part of
    return;
  auto held = applied;
  for (const auto id : parked)
    held = std::min(held, lsn{shapes.at(id)->asks->position});
  if (last_commit > 0)
    env.status->processed(env.number, last_commit);
  self->send(others->flusher, applied_atom_v, env.number, held, wrote);
  wrote = false;
}

void materializer_state::apply(const frame& whole, const late_shapes* only, std::uint64_t void_tx,
                               std::uint64_t after, std::uint64_t upto) {
  const auto root = whole.read();
  const auto changes = root.getChanges();
  const auto messages = root.getMessages();
  std::uint32_t next_message = 0;
  std::uint32_t next_relation = 0;
  take_tables(root, only);
  const auto transactions = root.getTransactions();
  for (std::uint32_t t = 0; t < transactions.size(); ++t) {
    const auto transaction = transactions[t];
    const auto tx = transaction.getCommitLsn();
    if ((void_tx > 0 && tx == void_tx) || tx <= after || tx > upto)
      continue;
    const auto xid = transaction.getXid();
    change_position at{.commit_lsn = tx,
                       .xid = xid,
                       .op = static_cast<std::int64_t>(transaction.getFirstPosition())};
    const auto end = transaction.getFirstChange() + transaction.getChangeCount();
    if (!only)
      open_tx = tx;
    for (auto i = transaction.getFirstChange(); i < end; ++i, at.op += 2) {
      if (!only)
        next_relation = take_relations(root, next_relation, i);
      present = {.whole = &whole, .transaction = t, .index = i, .only = only};
      const auto before = entries_made;
      route(root, changes[i], at, only);
      if (!only) {
        gone_over.took(changes[i].getOldBytes() + changes[i].getNewBytes(), entries_made != before);
        write_early();
      }
    }
    if (!only)
      for (; next_message < messages.size() && messages[next_message].getTransaction() <= t;
           ++next_message)
        control(messages[next_message].getContent(), transaction);
    if (transaction.getEnds())
      commit(tx, xid, only);
  }
  if (only)
    return;
  take_relations(root, next_relation, ~std::uint32_t{0});
  if (transactions.size() > 0) {
    const auto last = transactions[transactions.size() - 1];
    open_tx = last.getEnds() ? 0 : last.getCommitLsn();
  }
}

void materializer_state::route(const schema::Frame::Reader& root,
                               const schema::Change::Reader& change, const change_position& at,
                               const late_shapes* only) {
  // The copy for a table above has the same position: no shape is on both.
  for (auto* table : fanouts_of(change.getRelation()))
    route_to(*table, root, change, at, only);
}

void materializer_state::route_to(table_fanout& table, const schema::Frame::Reader& root,
                                  const schema::Change::Reader& change, const change_position& at,
                                  const late_shapes* only) {
  const auto to = sink_of(table, at, only);
  if (change.getKind() == schema::Change::Kind::TRUNCATE) {
    table.for_each([&](shape_log_writer& log) {
      if (to.wanted(log))
        give_up(log, "the table was truncated");
      else
        to.passed(log, true, true);
    });
    return;
  }
  hasher->forget();
  table.route(root, change, at, to);
}

table_fanout::sink materializer_state::sink_of(table_fanout& table, const change_position& at,
                                               const late_shapes* only) {
  return {
      .wanted =
          [&at, only](const shape_log_writer& log) {
            return (!only || only->has(log)) && log.wants(at.commit_lsn, at.xid);
          },
      .affected =
          [this, &at](shape_log_writer& log, std::vector<encoded_entry>& entries, bool may_take) {
            for (auto& entry : entries) {
              ++entries_made;
              bytes_made += entry.json.size();
              const bool first = may_take ? log.append(at.commit_lsn, std::move(entry), writes)
                                          : log.append(at.commit_lsn, encoded_entry{entry}, writes);
              if (first)
                touched.insert(&log);
            }
          },
      .judge =
          [this, &at](shape_log_writer& log, row_cells old_row, row_cells new_row,
                      entry_encoder& encoder) {
            return judge_change(log, old_row, new_row, at, encoder);
          },
      .broken =
          [this, &table](shape_log_writer& log, const std::string& why) {
            give_up(log, why);
            table.remove(log);
          },
      .passed =
          [this, &at](shape_log_writer& log, bool old_row, bool new_row) {
            if (log.parked() && (!present.only || present.only->has(log)))
              note_passed_change(log, at, old_row, new_row);
          },
      .hasher = &*hasher,
      .sets = &values_held};
}

void materializer_state::commit(std::uint64_t tx, std::uint32_t xid, const late_shapes* only) {
  // While shapes catch up, `touched` may hold others that have an open transaction.
  if (only) {
    for (auto* late : only->all) {
      if (touched.erase(&late->log) > 0)
        commit_log(late->log, tx);
      if (late->set)
        late->log.skip_to(tx);
      note_passed(late->log, tx, xid);
    }
    return;
  }
  ++(touched.empty() ? gone_over.transactions_passed : gone_over.transactions_stored);
  last_commit = tx;
  open_tx = 0;
  end_sets(tx);
  for (auto* log : touched)
    commit_log(*log, tx);
  touched.clear();
  recent_commits.emplace_back(xid, tx);
  if (recent_commits.size() > recent_commits_max)
    recent_commits.pop_front();
  for (auto splicing_shape = splicing.begin(); splicing_shape != splicing.end();) {
    const auto owned = shapes.find(*splicing_shape);
    if (owned == shapes.end() || owned->second->log.splice_passed()) {
      splicing_shape = splicing.erase(splicing_shape);
      continue;
    }
    note_passed(owned->second->log, tx, xid);
    ++splicing_shape;
  }
}

void materializer_state::commit_log(shape_log_writer& log, std::uint64_t tx) {
  log.commit(tx, writes);
  moved.insert(&log);
}

void materializer_state::note_passed(shape_log_writer& log, std::uint64_t tx, std::uint32_t xid) {
  if (log.passes(tx, xid))
    writes.mark_splice_passed(log.shape()->id(), tx);
}

void materializer_state::write_early() {
  if (bytes_made - bytes_written < env.entry_bytes_max || refused_early)
    return;
  for (auto* log : touched)
    log->flush_open(open_tx, writes);
  refused_early = !write_out();
}

bool materializer_state::write_out() {
  const auto unfinished = touched.empty() ? 0 : open_tx;
  if (unfinished != open_on_disk) { // one may end and another begin in the same frame
    const bool in_parts = unfinished > 0 && !writes.empty();
    if (in_parts)
      writes.open_transaction(env.number, unfinished);
    else if (open_on_disk > 0)
      writes.close_transaction(env.number);
    open_on_disk = in_parts ? unfinished : 0;
  }
  if (env.has_followers)
    note_heads();
  if (!writes.empty()) {
    auto done = env.store->commit(writes);
    if (!done) {
      spdlog::error("materializer: {}; trying again", done.error().message);
      if (!std::exchange(disk_refuses, true))
        self->delayed_send(self, disk_retry, retry_atom_v);
      return false;
    }
    wrote = true;
  }
  bytes_written = bytes_made;
  refused_early = false;
  publish();
  show_behind();
  start_tasks();
  return true;
}

void materializer_state::note_heads() {
  std::vector<cluster::replicated_head> heads;
  const auto behind_of = [](const owned_shape& owned) {
    return owned.asks && owned.asks->behind != ~std::uint64_t{0} ? owned.asks->behind : 0;
  };
  const auto add = [&](shape_id id) {
    if (const auto found = shapes.find(id); found != shapes.end()) {
      const auto& log = found->second->log;
      heads.push_back({.shape = id,
                       .head = log.next_head(),
                       .has_boundaries = log.next_has_boundaries(),
                       .behind = behind_of(*found->second)});
    }
  };
  for (const auto* log : moved)
    add(log->shape()->id());
  for (const auto id : less_behind)
    add(id);
  for (const auto id : more_behind)
    add(id);
  more_behind.clear();
  if (!heads.empty())
    writes.note(env.number, cluster::encode(heads));
}

void materializer_state::finish_frame(const frame& done) {
  const auto transactions = done.read().getTransactions();
  std::uint64_t end = 0;
  for (const auto transaction : transactions)
    if (transaction.getEnds())
      end = transaction.getEndLsn();
  tell_metrics();
  if (end > 0) {
    applied = lsn{std::max(to_number(applied), end)};
    report();
  }
  keep_aside(done);
}

void materializer_state::tell_metrics() {
  const auto tell = [](prometheus::Counter& counter, std::uint64_t& count) {
    if (count > 0)
      counter.Increment(static_cast<double>(std::exchange(count, 0)));
  };
  tell(env.metrics->log_entries, entries_made);
  tell(env.metrics->log_bytes, bytes_made);
  tell(env.metrics->transactions_stored, gone_over.transactions_stored);
  tell(env.metrics->transactions_passed, gone_over.transactions_passed);
  tell(env.metrics->changes_stored, gone_over.changes_stored);
  tell(env.metrics->changes_passed, gone_over.changes_passed);
  tell(env.metrics->bytes_stored, gone_over.bytes_stored);
  tell(env.metrics->bytes_passed, gone_over.bytes_passed);
  bytes_written = 0;
}

bool materializer_state::reset() {
  for (const auto id : parked)
    shapes.at(id)->asks->waits_since = std::chrono::steady_clock::now();
  // The unfinished transaction will be sent again, perhaps cut into other frames.
  backlog.clear();
  applied_front = is_front_spooled = false;
  for (auto* log : touched) {
    writes.drop_transaction(log->shape()->id(), open_tx);
    log->abandon();
  }
  touched.clear();
  for (auto* set : open_sets)
    set->set->open.clear();
  open_sets.clear();
  for (auto& kept : aside) {
    const auto transactions = kept.whole.read().getTransactions();
    if (open_tx > 0 && transactions.size() > 0 &&
        transactions[transactions.size() - 1].getCommitLsn() == open_tx)
      kept.void_tx = open_tx;
  }
  for (const auto id : parked)
    drop_passed(*shapes.at(id)->asks, open_tx);
  open_tx = 0;
  reached = std::max(reached, last_commit);
  for (const auto id : std::exchange(unsettled, {}))
    if (const auto found = shapes.find(id); found != shapes.end()) {
      settle(*found->second, reached);
      commit_open(*found->second, reached);
    }
  if (shapes.empty()) { // also after a purge: then nothing is known of what is to come
    recent_commits.clear();
    relations_seen.clear();
    routed_oid = 0;
    aside.clear();
    aside_bytes = 0;
    reached = 0;
  }
  applied = {};
  last_commit = 0;
  if (!write_out())
    return false;
  disk_refuses = false;
  return true;
}

materializer_actor spawn_materializer(caf::actor_system& system,
                                      materializer_environment environment, cast_ptr others) {
  return system.spawn([environment, others = std::move(others)](
                          materializer_actor::stateful_pointer<materializer_state> self) {
    self->state.env = environment;
    self->state.others = others;
    self->state.hasher.emplace(environment.secret);
    self->state.spool.emplace(
        frame_spool::settings{.directory = environment.spool_directory,
                              .bytes_max = environment.spool_bytes_max,
                              .has_room = [store = environment.store](std::size_t bytes) {
                                return store->can_spare(bytes);
                              }});
    return self->state.make_behavior();
  });
}

} // namespace busbar
