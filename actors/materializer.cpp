#include "actors/materializer.hpp"

#include "actors/caf_error.hpp"
#include "actors/table_fanout.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <iterator>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace busbar {

namespace {

using storage::shape_id;

/// Commits remembered for the splice's check; at most so many sessions can be waiting, between
/// writing their commit record and becoming visible, for a synchronous standby.
constexpr std::size_t recent_commits_max = 32'768;
/// Frames kept aside for shapes whose snapshot has not been opened yet. Beyond this the oldest such
/// shape is given up: PostgreSQL does not get its snapshot open in time.
constexpr std::size_t aside_bytes_max = 64u << 20;
constexpr std::chrono::seconds disk_retry{1};
/// Messages of moves that a session may have unread; beyond it is told later, all at once.
constexpr std::size_t unread_moves_max = 8;

struct materializer_state {
  static constexpr const char* name = "materializer";

  explicit materializer_state(materializer_actor::pointer self) : self{self} {}
  ~materializer_state() {
    for (auto& [id, owned] : shapes)
      if (owned->expecting.pending())
        owned->expecting.deliver(to_caf(error{errc::unavailable, "the server is stopping"}));
  }
  materializer_state(const materializer_state&) = delete;
  materializer_state& operator=(const materializer_state&) = delete;

  /// A shape of ours.
  struct owned_shape {
    explicit owned_shape(shape_ptr shape, std::uint64_t chunk_bytes_max)
        : log{std::move(shape), chunk_bytes_max} {}
    shape_log_writer log;
    caf::typed_response_promise<lsn> expecting; ///< Pending until the creation message comes by.
    std::uint64_t created_lsn = 0;              ///< 0 until then.
    std::vector<session_actor> watchers;
  };
  using owned_ptr = std::unique_ptr<owned_shape>;

  materializer_actor::behavior_type make_behavior() {
    return {
        [this](apply_atom, const frame& next) { receive(next); },
        [this](idle_atom, lsn position) { idle(position); },
        [this](reset_atom) { return reset(); },
        [this](adopt_atom, const adoption_list& shapes) { return adopt(shapes); },
        [this](expect_atom, const shape_ptr& shape) { return expect(shape); },
        [this](splice_atom, shape_id id, const snapshot& sees) { return splice(id, sees); },
        [this](covers_atom, const snapshot& sees, lsn upto) {
          return sees_commits(sees, to_number(upto));
        },
        [this](forget_atom, const shape_ptr& shape) { forget(shape); },
        [this](check_atom, shape_id id) { tell_watchers(id); },
        [this](watch_atom, const shape_ptr& shape, const session_actor& session) {
          watch(shape, session);
        },
        [this](unwatch_atom, shape_id id, const session_actor& session) { unwatch(id, session); },
        [this](ready_atom, const session_actor& session) { ready(session); },
        [this](retry_atom) { drain_backlog(); },
    };
  }

  // -- the stream -------------------------------------------------------------------------------

  void receive(const frame& next) {
    backlog.push_back(next);
    if (!disk_refuses)
      drain_backlog();
  }

  /// Applies what waits; the replicator's credits bound how much that can be.
  void drain_backlog() {
    disk_refuses = false;
    while (!backlog.empty()) {
      if (!applied_front) {
        apply(backlog.front(), nullptr);
        applied_front = true;
      }
      if (!write_out()) {
        disk_refuses = true;
        self->delayed_send(self, disk_retry, retry_atom_v);
        return;
      }
      finish_frame(backlog.front());
      backlog.pop_front();
      applied_front = false;
      self->send(others->replicator, applied_atom_v);
    }
  }

  void idle(lsn position) {
    if (!backlog.empty())
      return; // another will come
    applied = std::max(applied, position);
    self->send(others->flusher, applied_atom_v, env.number, applied, wrote);
    wrote = false;
  }

  /// Goes over a frame: for all shapes, or only for one that catches up, and then without
  /// `void_tx`.
  void apply(const frame& whole, owned_shape* only, std::uint64_t void_tx = 0) {
    const auto root = whole.read();
    const auto changes = root.getChanges();
    const auto messages = root.getMessages();
    std::uint32_t next_message = 0;
    std::uint32_t next_relation = 0;
    const auto transactions = root.getTransactions();
    for (std::uint32_t t = 0; t < transactions.size(); ++t) {
      const auto transaction = transactions[t];
      const auto tx = transaction.getCommitLsn();
      if (void_tx > 0 && tx == void_tx)
        continue;
      const auto xid = transaction.getXid();
      change_position at{.commit_lsn = tx,
                         .xid = xid,
                         .op = static_cast<std::int64_t>(transaction.getFirstPosition())};
      const auto end = transaction.getFirstChange() + transaction.getChangeCount();
      for (auto i = transaction.getFirstChange(); i < end; ++i, at.op += 2) {
        if (!only)
          next_relation = take_relations(root, next_relation, i);
        route(root, changes[i], at, only);
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

  std::uint32_t take_relations(const schema::Frame::Reader& root, std::uint32_t next,
                               std::uint32_t before_change) {
    const auto relations = root.getRelations();
    for (; next < relations.size() && relations[next].getBeforeChange() <= before_change; ++next) {
      const auto from = relations[next];
      stream_relation relation{.oid = from.getOid(),
                               .schema = from.getSchema().cStr(),
                               .name = from.getName().cStr(),
                               .columns = {},
                               .identity_full = from.getIdentityFull()};
      for (const auto column : from.getColumns())
        relation.columns.push_back({column.getName().cStr(), column.getTypeOid()});
      for (const auto ancestor : from.getAncestors())
        relation.ancestors.push_back({ancestor.getOid(), ancestor.getAttachedXid()});
      if (const auto before = relations_seen.find(relation.oid);
          before != relations_seen.end() && (!before->second.has_same_rows(relation) ||
                                             before->second.ancestors != relation.ancestors)) {
        give_up_awaiting(before->second);
        give_up_awaiting(relation);
      }
      const auto& seen = relations_seen[relation.oid] = std::move(relation);
      routed_oid = 0;
      for (auto* table : fanouts_of(seen.oid)) {
        table->describe(seen);
        table->for_each([&](shape_log_writer& log) { check_attached(log, seen); });
        if (!table->empty() && !seen.identity_full && !seen.ancestors.empty())
          self->send(others->directory, mend_atom_v, table->any().shape());
      }
    }
    return next;
  }

  /// The fan-outs that a relation's changes concern: its own and those of the tables above it.
  const std::vector<table_fanout*>& fanouts_of(std::uint32_t oid) {
    if (routed_oid == oid)
      return routed;
    routed.clear();
    routed_oid = oid;
    const auto add = [&](std::uint32_t table) {
      if (const auto found = tables.find(table); found != tables.end())
        routed.push_back(&found->second);
    };
    add(oid);
    if (const auto seen = relations_seen.find(oid); seen != relations_seen.end())
      for (const auto& ancestor : seen->second.ancestors)
        add(ancestor.oid);
    return routed;
  }

  /// A table that became a partition may have brought rows with it, which no change has told.
  void check_attached(shape_log_writer& log, const stream_relation& relation) {
    const auto table = log.shape()->definition().table->oid;
    if (relation.oid == table)
      return;
    for (const auto& ancestor : relation.ancestors) {
      if (ancestor.attached_xid > 0 && log.misses(ancestor.attached_xid)) {
        give_up(log, "a table was attached to it as a partition");
        return;
      }
      if (ancestor.oid == table)
        return;
    }
  }

  void route(const schema::Frame::Reader& root, const schema::Change::Reader& change,
             const change_position& at, owned_shape* only) {
    // The copy for a table above has the same position: no shape is on both.
    for (auto* table : fanouts_of(change.getRelation()))
      route_to(*table, root, change, at, only);
  }

  void route_to(table_fanout& table, const schema::Frame::Reader& root,
                const schema::Change::Reader& change, const change_position& at,
                owned_shape* only) {
    if (change.getKind() == schema::Change::Kind::TRUNCATE) {
      table.for_each([&](shape_log_writer& log) {
        if ((!only || &only->log == &log) && log.wants(at.commit_lsn, at.xid))
          give_up(log, "the table was truncated");
      });
      return;
    }
    const table_fanout::sink to{
        .wanted =
            [&](const shape_log_writer& log) {
              return (!only || &only->log == &log) && log.wants(at.commit_lsn, at.xid);
            },
        .affected =
            [&](shape_log_writer& log, std::vector<encoded_entry>& entries, bool may_take) {
              for (auto& entry : entries) {
                ++entries_made;
                bytes_made += entry.json.size();
                const bool first = may_take
                                       ? log.append(at.commit_lsn, std::move(entry), writes)
                                       : log.append(at.commit_lsn, encoded_entry{entry}, writes);
                if (first)
                  touched.insert(&log);
              }
            },
        .broken =
            [&](shape_log_writer& log, const std::string& why) {
              give_up(log, why);
              table.remove(log);
            }};
    table.route(root, change, at, to);
  }

  void commit(std::uint64_t tx, std::uint32_t xid, owned_shape* only) {
    // While one shape catches up, `touched` may hold others that have an open transaction.
    if (only) {
      if (touched.erase(&only->log) > 0)
        commit_log(only->log, tx);
      note_passed(only->log, tx, xid);
      return;
    }
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
    last_commit = tx;
  }

  void commit_log(shape_log_writer& log, std::uint64_t tx) {
    log.commit(tx, writes);
    moved.insert(&log);
  }

  void note_passed(shape_log_writer& log, std::uint64_t tx, std::uint32_t xid) {
    if (log.passes(tx, xid))
      writes.mark_splice_passed(log.shape()->id(), tx);
  }

  /// Makes the batch visible, then shows it; false if the disk refused.
  bool write_out() {
    const auto unfinished = touched.empty() ? 0 : open_tx;
    if (unfinished != open_on_disk) { // one may end and another begin in the same frame
      const bool in_parts = unfinished > 0 && !writes.empty();
      if (in_parts)
        writes.open_transaction(env.number, unfinished);
      else if (open_on_disk > 0)
        writes.close_transaction(env.number);
      open_on_disk = in_parts ? unfinished : 0;
    }
    if (!writes.empty()) {
      auto done = env.store->commit(writes);
      if (!done) {
        spdlog::error("materializer: {}; trying again", done.error().message);
        return false;
      }
      wrote = true;
    }
    publish();
    return true;
  }

  void publish() {
    std::unordered_map<caf::actor_addr, std::pair<session_actor, move_list>> news;
    for (auto* log : moved) {
      auto move = log->publish();
      if (!move)
        continue;
      const auto owned = shapes.find(move->shape);
      if (owned == shapes.end())
        continue;
      for (const auto& session : owned->second->watchers) {
        auto& [handle, moves] = news[session.address()];
        handle = session;
        moves.push_back(*move);
      }
    }
    moved.clear();
    for (auto& [address, letter] : news) {
      auto& [session, moves] = letter;
      auto& pace = paces[address];
      if (pace.unread < unread_moves_max) {
        ++pace.unread;
        self->send(session, moved_atom_v, std::move(moves), env.number);
      } else {
        for (const auto& move : moves)
          pace.behind.insert(move.shape);
      }
    }
  }

  /// A session has dealt with one message of moves. What it was not told meanwhile it is told now,
  /// in one go: however slow it is, what waits for it stays small.
  void ready(const session_actor& session) {
    auto& pace = paces[session.address()];
    --pace.unread;
    if (pace.unread > 0)
      return;
    for (const auto id : pace.behind)
      self->send(session, check_atom_v, id);
    pace.behind.clear();
  }

  void finish_frame(const frame& done) {
    const auto transactions = done.read().getTransactions();
    std::uint64_t end = 0;
    for (const auto transaction : transactions)
      if (transaction.getEnds())
        end = transaction.getEndLsn();
    env.metrics->log_entries.Increment(static_cast<double>(entries_made));
    env.metrics->log_bytes.Increment(static_cast<double>(bytes_made));
    entries_made = bytes_made = 0;
    if (last_commit > 0)
      env.status->processed(env.number, last_commit);
    if (end > 0) {
      applied = lsn{std::max(to_number(applied), end)};
      self->send(others->flusher, applied_atom_v, env.number, applied, wrote);
      wrote = false;
    }
    keep_aside(done);
  }

  /// Frames that shapes between creation message and snapshot will want.
  void keep_aside(const frame& done) {
    if (awaiting.empty()) {
      aside.clear();
      aside_bytes = 0;
      return;
    }
    aside.push_back({done});
    aside_bytes += done.size_bytes();
    while (aside_bytes > aside_bytes_max && !awaiting.empty()) {
      const auto id = *awaiting.begin(); // ids rise, so this is the oldest
      if (const auto owned = shapes.find(id); owned != shapes.end())
        give_up(owned->second->log, "its snapshot could not be opened in time");
      awaiting.erase(id);
      trim_aside();
    }
  }

  /// Lets go of the frames that end before the first shape that still waits was created.
  void trim_aside() {
    auto needed_after = ~std::uint64_t{0};
    for (const auto id : awaiting)
      if (const auto owned = shapes.find(id); owned != shapes.end())
        needed_after = std::min(needed_after, owned->second->created_lsn);
    while (!aside.empty()) {
      const auto transactions = aside.front().whole.read().getTransactions();
      if (transactions.size() > 0 &&
          transactions[transactions.size() - 1].getCommitLsn() > needed_after)
        break;
      aside_bytes -= aside.front().whole.size_bytes();
      aside.pop_front();
    }
  }

  bool reset() {
    // The unfinished transaction will be sent again, perhaps cut into other frames.
    backlog.clear();
    applied_front = false;
    for (auto* log : touched) {
      writes.drop_transaction(log->shape()->id(), open_tx);
      log->abandon();
    }
    touched.clear();
    for (auto& kept : aside) {
      const auto transactions = kept.whole.read().getTransactions();
      if (open_tx > 0 && transactions.size() > 0 &&
          transactions[transactions.size() - 1].getCommitLsn() == open_tx)
        kept.void_tx = open_tx;
    }
    open_tx = 0;
    applied = {};
    last_commit = 0;
    disk_refuses = !write_out();
    return !disk_refuses;
  }

  // -- control ----------------------------------------------------------------------------------

  void control(capnp::Data::Reader content, const schema::Transaction::Reader& transaction) {
    const std::string_view bytes{reinterpret_cast<const char*>(content.begin()), content.size()};
    const auto message = env.control->decode(bytes);
    if (!message) {
      if (env.number == 0) {
        env.metrics->rejected_control_messages.Increment();
        spdlog::warn("ignored a control message: {}", message.error().message);
      }
      return;
    }
    const auto* create = std::get_if<cluster::create_shape>(&message->what);
    if (!create)
      return; // a drop has been carried out where it was asked for
    const auto found = expected.find(create->handle);
    if (found == expected.end())
      return; // a replay, or a creation that has failed meanwhile
    const auto owned = shapes.find(found->second);
    expected.erase(found);
    if (owned == shapes.end())
      return;
    auto& shape = *owned->second;
    shape.created_lsn = transaction.getCommitLsn();
    shape.log.created(shape.created_lsn);
    awaiting.insert(owned->first);
    shape.expecting.deliver(lsn{shape.created_lsn});
  }

  caf::result<lsn> expect(const shape_ptr& shape) {
    auto& owned = own(shape);
    owned.expecting = self->make_response_promise<lsn>();
    expected[shape->handle()] = shape->id();
    return owned.expecting;
  }

  owned_shape& own(const shape_ptr& shape) {
    auto& slot = shapes[shape->id()];
    if (!slot) {
      slot = std::make_unique<owned_shape>(shape, env.chunk_bytes_max);
      const auto oid = shape->definition().table->oid;
      auto& table = tables[oid];
      routed_oid = 0;
      if (table.empty())
        for (const auto& [source, relation] : relations_seen)
          if (relation.feeds(oid))
            table.describe(relation);
      table.add(slot->log);
    }
    return *slot;
  }

  /// Whether the snapshot sees all that has committed up to here, as far as we remember.
  bool sees_commits(const snapshot& sees, std::uint64_t upto) const {
    return std::none_of(recent_commits.begin(), recent_commits.end(), [&](const auto& one) {
      return one.second <= upto && !sees.sees(one.first);
    });
  }

  caf::result<bool> splice(shape_id id, const snapshot& sees) {
    const auto found = shapes.find(id);
    if (found == shapes.end() || found->second->log.shape()->progress().gone)
      return to_caf(error{errc::must_refetch, "the shape was removed"});
    auto& owned = *found->second;
    if (!sees_commits(sees, owned.created_lsn))
      return false;
    owned.log.accept(sees);
    splicing.insert(id);
    awaiting.erase(id);
    for (const auto& [oid, relation] : relations_seen)
      if (relation.feeds(owned.log.shape()->definition().table->oid))
        check_attached(owned.log, relation);
    for (const auto& kept : aside)
      apply(kept.whole, &owned, kept.void_tx);
    if (applied_front)
      apply(backlog.front(), &owned);
    trim_aside();
    if (disk_refuses || !write_out()) {
      // What was kept aside has been acknowledged, so it must be stored before anybody relies on
      // it.
      give_up(owned.log, "storage refuses writes");
      return to_caf(error{errc::unavailable, "storage refuses writes"});
    }
    owned.log.shape()->update([](shape_progress& p) { p.started = true; });
    tell_watchers(id);
    return true;
  }

  bool adopt(const adoption_list& adopted) {
    for (const auto& from : adopted) {
      auto& owned = own(from.shape);
      owned.created_lsn = from.created_lsn;
      owned.log.created(from.created_lsn);
      owned.log.accept(from.visibility);
      owned.log.resume(from.shape->progress().head, from.open_chunk_bytes, from.splice_passed);
      if (!from.splice_passed)
        splicing.insert(from.shape->id());
    }
    return true;
  }

  // -- removal ----------------------------------------------------------------------------------

  /// The shape is wrong from here on. Readers must not see more of it; the directory does the rest.
  void give_up(shape_log_writer& log, const std::string& why) {
    const auto shape = log.shape();
    shape->update([](shape_progress& p) { p.gone = true; });
    touched.erase(&log);
    log.stop();
    // In the same batch as the frame: once PostgreSQL is told of the frame, it will not tell us
    // again.
    writes.mark_removed(shape->id());
    self->send(others->directory, invalid_atom_v, shape, why);
  }

  /// The frames kept aside hold rows that the relation's new description does not fit.
  void give_up_awaiting(const stream_relation& relation) {
    for (auto id = awaiting.begin(); id != awaiting.end();) {
      const auto owned = shapes.find(*id);
      const bool concerned = owned != shapes.end() &&
                             relation.feeds(owned->second->log.shape()->definition().table->oid);
      if (concerned)
        give_up(owned->second->log, "the table was altered while its snapshot was being opened");
      id = concerned ? awaiting.erase(id) : std::next(id);
    }
  }

  void forget(const shape_ptr& shape) {
    shape->update([](shape_progress& p) { p.gone = true; });
    const auto id = shape->id();
    tell_watchers(id);
    if (const auto found = shapes.find(id); found != shapes.end()) {
      auto* log = &found->second->log;
      touched.erase(log);
      moved.erase(log);
      expected.erase(shape->handle());
      awaiting.erase(id);
      splicing.erase(id);
      if (found->second->expecting.pending())
        found->second->expecting.deliver(
            to_caf(error{errc::must_refetch, "the shape was removed"}));
      const auto oid = shape->definition().table->oid;
      if (const auto table = tables.find(oid); table != tables.end()) {
        table->second.remove(*log);
        if (table->second.empty()) {
          tables.erase(table);
          routed_oid = 0;
        }
      }
      shapes.erase(found);
    }
    const auto p = shape->progress();
    if (auto removed = env.store->remove_shape(id, p.complete || p.failure); !removed)
      spdlog::error("shape {}: {}", shape->handle(), removed.error().message);
  }

  // -- watchers ---------------------------------------------------------------------------------

  void watch(const shape_ptr& shape, const session_actor& session) {
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
    self->send(session, check_atom_v, shape->id());
  }

  void unwatch(shape_id id, const session_actor& session) {
    const auto found = shapes.find(id);
    if (found == shapes.end())
      return;
    auto& watchers = found->second->watchers;
    watchers.erase(std::remove(watchers.begin(), watchers.end(), session), watchers.end());
    found->second->log.watch(!watchers.empty());
  }

  void tell_watchers(shape_id id) {
    if (const auto found = shapes.find(id); found != shapes.end())
      for (const auto& session : found->second->watchers)
        self->send(session, check_atom_v, id);
  }

  materializer_actor::pointer self;
  materializer_environment env;
  cast_ptr others;

  std::unordered_map<shape_id, owned_ptr> shapes;
  std::unordered_map<std::uint32_t, table_fanout> tables;            ///< By oid.
  std::unordered_map<std::uint32_t, stream_relation> relations_seen; ///< By oid.
  std::unordered_map<std::string, shape_id> expected;                ///< By handle.
  std::set<shape_id> awaiting; ///< Creation message seen, snapshot not opened yet.
  std::set<shape_id> splicing; ///< Snapshot opened, not yet passed by the stream.
  struct kept_frame {
    frame whole;
    std::uint64_t void_tx = 0; ///< A piece of this transaction that has been sent again since.
  };
  std::deque<kept_frame> aside;
  std::size_t aside_bytes = 0;
  std::deque<std::pair<std::uint32_t, std::uint64_t>> recent_commits; ///< xid, commit LSN

  std::deque<frame> backlog; ///< The front one may be applied but not written.
  bool applied_front = false;
  bool disk_refuses = false;
  storage::batch writes;
  bool wrote = false;                ///< Since the flusher was last told.
  std::uint64_t open_on_disk = 0;    ///< The transaction that storage knows to be written in part.
  std::uint64_t open_tx = 0;         ///< Commit LSN of the stream's unfinished transaction, if any.
  std::vector<table_fanout*> routed; ///< See fanouts_of() …
  std::uint32_t routed_oid = 0;      ///< … which has them for this relation; 0 = none.
  std::unordered_set<shape_log_writer*> touched; ///< Logs with entries of the open transaction.
  std::unordered_set<shape_log_writer*> moved;   ///< Logs with unpublished commits.
  struct session_pace {
    std::size_t unread = 0;              ///< Messages of moves that it has not dealt with yet.
    std::unordered_set<shape_id> behind; ///< Moved since then.
  };
  std::unordered_map<caf::actor_addr, session_pace> paces; ///< As many as there are I/O threads.
  lsn applied{};
  std::uint64_t last_commit = 0;
  std::uint64_t entries_made = 0; ///< Since the metrics were last told.
  std::uint64_t bytes_made = 0;
};

} // namespace

materializer_actor spawn_materializer(caf::actor_system& system,
                                      materializer_environment environment, cast_ptr others) {
  return system.spawn([environment, others = std::move(others)](
                          materializer_actor::stateful_pointer<materializer_state> self) {
    self->state.env = environment;
    self->state.others = others;
    return self->state.make_behavior();
  });
}

} // namespace busbar
