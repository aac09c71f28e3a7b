#include "actors/session.hpp"

#include "actors/caf_error.hpp"
#include "actors/commit_clock.hpp"
#include "actors/deletion_desk.hpp"
#include "actors/entity_tag.hpp"
#include "actors/io_execution_unit.hpp"
#include "actors/log_pieces.hpp"
#include "actors/log_slices.hpp"
#include "actors/resolver.hpp"
#include "actors/shape_words.hpp"
#include "actors/subset_desk.hpp"
#include "actors/waiting_room.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

namespace busbar {

namespace {

using clock = std::chrono::steady_clock;

/// In bytes of WAL. No node of a cluster is farther behind another.
constexpr std::uint64_t behind_max = std::uint64_t{1} << 40;

} // namespace

/// The CLIENT SESSION itself. Everything happens on its I/O thread.
class session_core : public session_actor::base {
  struct waiting_request {
    shape_reader* reader;
    shape_query query;
  };
  using waiting_list = std::vector<waiting_request>;
  /// The readers that waited for a definition; cancel() can still reach them while they are served.
  class taken_list {
  public:
    taken_list(session_core& owner, waiting_list items)
        : owner_{owner}, items_{std::move(items)}, outer_{owner.taken_} {
      owner_.taken_ = &items_;
    }
    ~taken_list() { owner_.taken_ = outer_; }
    taken_list(const taken_list&) = delete;
    taken_list& operator=(const taken_list&) = delete;
    waiting_list::iterator begin() { return items_.begin(); }
    waiting_list::iterator end() { return items_.end(); }

  private:
    session_core& owner_;
    waiting_list items_;
    waiting_list* outer_;
  };

public:
  session_core(caf::actor_config& config, session_environment environment,
               std::shared_ptr<io_execution_unit> unit)
      : session_actor::base{config}, env_{std::move(environment)}, unit_{std::move(unit)},
        words_{*env_.index}, deletions_{*env_.index, words_, errands()},
        subsets_{env_.others->subset_readers.size(), question()}, room_{bell(), env_.long_poll} {}

  void enqueue(caf::mailbox_element_ptr letter, caf::execution_unit*) override {
    session_actor::base::enqueue(std::move(letter), unit_.get());
  }
  using session_actor::base::enqueue;

  behavior_type make_behavior() override {
    return {
        [this](moved_atom, const move_list& moves, std::uint32_t materializer) {
          for (const auto& move : moves)
            moved(move);
          shown_.hand_to(env_.metrics->commit_to_shown);
          send(env_.others->materializers[materializer], ready_atom_v, session_actor{this});
        },
        [this](check_atom, const id_list& ids) {
          for (const auto id : ids)
            check(id);
        },
        [this](tick_atom) { room_.expired([this](shape_reader& reader) { time_out(reader); }); },
    };
  }

  // -- requests -----------------------------------------------------------------------------------

  void read(shape_reader& reader, shape_query query) {
    auto key = query.shape.cache_key();
    // A node that does not lead may know the shape by the handle that it had before: the client
    // must not be sent back to that one.
    const bool may_be_behind = env_.others->line && !env_.status->streaming() &&
                               is_positioned(query) && !env_.index->find(query.handle);
    if (may_be_behind)
      key += query.handle;
    else if (const auto shape = words_.recall(key, query)) {
      begin(reader, query, shape);
      return;
    }
    if (!env_.status->serving()) {
      // Nothing new can be made, so PostgreSQL, which may be away, is not asked either.
      if (const auto kept = may_be_behind ? nullptr : words_.defined_by(key, query.shape))
        begin(reader, query, kept);
      else
        refuse(reader, {errc::unavailable, env_.status->why_not().text}, cause::not_ready);
      return;
    }
    const auto [entry, unasked] = resolving_.try_emplace(key);
    auto& waiting = entry->second;
    reader.resolving_ = true;
    reader.resolving_key_ = &entry->first;
    waiting.push_back({&reader, std::move(query)});
    if (!unasked)
      return;
    request(env_.others->directory, caf::infinite, find_atom_v, waiting.front().query.shape,
            may_be_behind ? waiting.front().query.handle : std::string{})
        .then(
            [this, key](const shape_ptr& shape) {
              words_.remember(key, shape);
              for (auto& [reader, query] : take(key))
                if (reader) {
                  reader->resolving_ = false;
                  begin(*reader, query, shape);
                }
            },
            [this, key, may_be_behind](const caf::error& why) {
              const auto what = from_caf(why);
              auto waiting = take(key);
              // Shapes that are there are served without PostgreSQL.
              const bool is_awaited = waiting.begin() != waiting.end();
              const auto kept = what.code == errc::unavailable && is_awaited && !may_be_behind
                                    ? words_.defined_by(key, waiting.begin()->query.shape)
                                    : nullptr;
              for (auto& [reader, query] : waiting) {
                if (!reader)
                  continue;
                reader->resolving_ = false;
                if (kept)
                  begin(*reader, query, kept);
                else
                  refuse(*reader, what,
                         env_.status->serving() ? cause::creation : cause::not_ready);
              }
            });
  }

  void cancel(shape_reader& reader) noexcept {
    waiting_room::unlink(reader);
    subsets_.cancel(reader);
    deletions_.cancel(reader);
    reader.shape_.reset();
    if (!reader.resolving_)
      return;
    reader.resolving_ = false;
    const auto is_it = [&reader](const waiting_request& item) { return item.reader == &reader; };
    if (const auto* key = std::exchange(reader.resolving_key_, nullptr))
      std::erase_if(resolving_.find(*key)->second, is_it);
    else if (taken_)
      for (auto& item : *taken_)
        if (is_it(item))
          item.reader = nullptr;
  }

  result<body_piece> next_piece(log_cursor& cursor) {
    const auto p = cursor.shape->progress();
    if (p.gone)
      return fail(errc::must_refetch, "the shape was removed");
    const bool is_open =
        cursor.end.in_snapshot() && static_cast<std::uint64_t>(cursor.end.op) >= p.chunks;
    if (is_open && cursor.piece >= p.pieces)
      return body_piece{};
    auto piece = read_piece(*env_.store, *env_.cache, cursor);
    if (!piece)
      return fail(give_up_damaged(env_.index->find(cursor.shape->handle()), piece.error()));
    if (auto* tenant = cursor.shape->tenant(); tenant && piece->bytes)
      tenant->note_sent(piece->in == coding::identity ? piece->bytes->size()
                                                      : piece->sum.text_bytes);
    return piece;
  }

  result<log_slice> slice_again(const log_slice& slice, bool live) {
    const auto last_seen = env_.status->last_seen_lsn();
    const auto shape = env_.index->find(slice.handle);
    const auto p = shape ? shape->progress() : shape_progress{};
    if (!shape || p.gone)
      return fail(errc::must_refetch, "the shape was removed");
    auto found = slice_at(*env_.store, shape, {slice.requested, false, live, false}, p, last_seen);
    if (!found)
      return fail(give_up_damaged(shape, found.error()));
    if (!*found)
      return fail(errc::unavailable, "the log is being compacted");
    return **std::move(found);
  }

  void await_more(shape_reader& reader, const log_cursor& cursor) {
    reader.shape_ = env_.index->find(cursor.shape->handle());
    if (reader.shape_)
      room_.park(reader, shape_reader::wait::more);
    else
      refuse(reader, {errc::must_refetch, "the shape was removed"});
  }

  void drop(shape_reader& reader, const std::string& handle,
            const std::optional<shape_request>& definition) {
    deletions_.remove(reader, handle, definition);
  }

  void drain() {
    for (auto& readers : room_.take_all())
      while (!readers.empty()) {
        auto& reader = readers.front();
        waiting_room::unlink(reader);
        if (reader.open_)
          reader.on_gone(std::nullopt);
        else if (reader.waits_for_ == shape_reader::wait::live)
          time_out(reader);
        else
          refuse(reader, {errc::unavailable, "the server is stopping"});
      }
    for (auto* reader : subsets_.abandon_all())
      refuse(*reader, {errc::unavailable, "the server is stopping"});
    for (auto& [key, waiting] : resolving_)
      for (auto& [reader, query] : std::exchange(waiting, {})) {
        reader->resolving_ = false;
        reader->resolving_key_ = nullptr;
        refuse(*reader, {errc::unavailable, "the server is stopping"});
      }
  }

  const session_environment& environment() const noexcept { return env_; }
  void count_waiting(audience::by_shape& readers) const { room_.count(readers); }

private:
  waiting_room::bell bell() {
    return {
        .watch =
            [this](const shape_ptr& shape) {
              send(env_.others->materializer_of(shape->id()), watch_atom_v, shape,
                   session_actor{this});
            },
        .unwatch =
            [this](storage::shape_id id) {
              send(env_.others->materializer_of(id), unwatch_atom_v, id, session_actor{this});
            },
        .wake_after =
            [this](std::chrono::milliseconds time) { delayed_send(this, time, tick_atom_v); },
    };
  }

  subset_desk::ask question() {
    return [this](std::size_t who, const subset_task_ptr& task, const subset_desk::answer& then) {
      request(env_.others->subset_readers[who], subset_desk::subset_patience, subset_atom_v, task)
          .then([then](const subset_outcome& outcome) { then(outcome); },
                [then](const caf::error& why) {
                  then({nullptr, coding::identity, from_caf(why), false, false});
                });
    };
  }

  deletion_desk::errands errands() {
    return {
        .resolve =
            [this](const shape_request& words, const deletion_desk::answer& then) {
              request(env_.others->resolver, caf::infinite, resolve_atom_v,
                      resolve_list{{words, steady_ticks()}})
                  .then(
                      [then](const resolution_list& found) {
                        if (const auto& only = found.front())
                          then(only->definition);
                        else
                          then(fail(only.error()));
                      },
                      [then](const caf::error& why) { then(fail(from_caf(why))); });
            },
        .drop =
            [this](const shape_ptr& shape) { send(env_.others->directory, drop_atom_v, shape); },
    };
  }

  taken_list take(const std::string& key) {
    auto node = resolving_.extract(key);
    waiting_list waiting;
    if (!node.empty())
      waiting = std::move(node.mapped());
    for (auto& item : waiting)
      item.reader->resolving_key_ = nullptr;
    return {*this, std::move(waiting)};
  }

  static bool is_positioned(const shape_query& query) {
    return !query.now && query.offset != log_offset::start();
  }

  void begin(shape_reader& reader, const shape_query& query, const shape_ptr& shape) {
    std::optional<subset_definition> subset;
    if (query.subset) {
      auto defined = define_subset(*query.subset, query.shape, *shape->definition().table);
      if (!defined) {
        refuse(reader, defined.error());
        return;
      }
      subset = std::move(*defined);
    }
    if (is_positioned(query) && query.handle != shape->handle()) {
      reader.on_gone(shape->handle());
      return;
    }
    shape->note_read();
    if (auto* tenant = shape->tenant())
      tenant->note_request();
    reader.shape_ = shape;
    reader.requested_ = query.offset;
    reader.now_ = query.now;
    reader.live_ = query.live;
    reader.sse_ = query.live && query.sse;
    reader.open_ = false;
    reader.waits_for_ = shape_reader::wait::snapshot;
    reader.subset_.reset();
    if (subset) {
      reader.sse_ = false;
      reader.subset_ = std::make_shared<subset_task>();
      reader.subset_->shape = shape;
      reader.subset_->what = *std::move(subset);
      reader.subset_->accepts = query.accepts;
      reader.subset_->name = query.name;
      answer_or_wait(reader);
      return;
    }
    if (!query.if_none_match.empty() && !query.now && !reader.sse_) {
      const auto p = shape->progress();
      auto same = p.gone ? result<std::optional<log_slice>>{} : slice(reader, p, 0);
      const auto match =
          same && *same ? matching_tag(query.if_none_match, entity_tag(**same)) : tag_match::none;
      if (match != tag_match::none) {
        reader.shape_.reset();
        (*same)->weak_tag = match == tag_match::weak;
        reader.on_not_modified(**same);
        return;
      }
    }
    answer_or_wait(reader);
  }

  result<std::optional<log_slice>> slice(const shape_reader& reader, const shape_progress& p,
                                         std::uint64_t last_seen) const {
    return slice_at(*env_.store, reader.shape_,
                    {reader.requested_, reader.now_, reader.live_, reader.sse_}, p, last_seen);
  }

  /// Answers a reader, or parks it where the right event will find it.
  void answer_or_wait(shape_reader& reader) {
    // G first: it is only ever moved after the heads that it speaks of.
    const auto last_seen = env_.status->last_seen_lsn();
    const auto p = reader.shape_->progress();
    if (p.gone) {
      gone(reader, p);
      return;
    }
    if (reader.subset_) {
      // Rows read earlier could lack changes that the shape's log does not keep.
      if (p.started)
        read_subset(reader, p);
      else
        room_.park(reader, shape_reader::wait::snapshot);
      return;
    }
    auto found = slice(reader, p, last_seen);
    if (!found) {
      refuse(reader, give_up_damaged(reader.shape_, found.error()));
      return;
    }
    const bool nothing_new = *found && (*found)->rest.done() && !reader.now_;
    if (*found && !(reader.live_ && nothing_new)) {
      if (reader.sse_)
        stream(reader, **found);
      else
        finish(reader, **found);
      return;
    }
    if (reader.sse_ && !reader.open_ && *found && !open(reader))
      return;
    const auto kind = *found                                    ? shape_reader::wait::live
                      : p.started && reader.requested_ > p.head ? shape_reader::wait::out_of_bounds
                                                                : shape_reader::wait::snapshot;
    room_.park(reader, kind);
  }

  void read_subset(shape_reader& reader, const shape_progress& p) {
    waiting_room::unlink(reader);
    if (!subsets_.read(reader, p))
      refuse(reader, {errc::unavailable, "too many subsets are being read: try again"});
  }

  /// Sends an SSE head. False if the reader did not survive it.
  bool open(shape_reader& reader) {
    const auto head = empty_slice(*reader.shape_, reader.requested_);
    reader.open_ = true;
    // Parked while it is called, so that a cancel() shows.
    const auto shape = reader.shape_;
    room_.park(reader, shape_reader::wait::live);
    reader.on_stream_open(head);
    return room_.has_last(reader, shape->id());
  }

  /// Hands an open stream what there is, and parks it at the end of that.
  void stream(shape_reader& reader, const log_slice& slice) {
    if (!reader.open_ && !open(reader))
      return;
    reader.requested_ = slice.end;
    room_.park(reader, slice.up_to_date ? shape_reader::wait::live : shape_reader::wait::snapshot);
    if (!slice.up_to_date)
      send(session_actor{this}, check_atom_v,
           id_list{reader.shape_->id()}); // there may be more at once
    reader.on_slice(slice);
  }

  void finish(shape_reader& reader, const log_slice& slice) {
    waiting_room::unlink(reader);
    reader.shape_.reset();
    reader.on_slice(slice);
  }

  /// What is damaged on the disk does not heal: the shape goes, and its clients begin anew with
  /// another, instead of hearing 500 for ever. Returns what to tell them.
  error give_up_damaged(const shape_ptr& shape, const error& why) {
    if (why.code != errc::corrupt)
      return why;
    bool is_news = false;
    if (shape)
      shape->update([&](shape_progress& p) { is_news = !std::exchange(p.gone, true); });
    if (is_news) {
      spdlog::error("shape {} cannot be read: {}", shape->handle(), why.message);
      send(env_.others->directory, invalid_atom_v, shape,
           std::string{"what storage has of it is damaged"});
    }
    return {errc::must_refetch, "the shape was removed"};
  }

  void gone(shape_reader& reader, const shape_progress& p) {
    waiting_room::unlink(reader);
    reader.shape_.reset();
    reader.subset_.reset();
    if (reader.waits_for_ == shape_reader::wait::more)
      reader.on_refused({{errc::must_refetch, "the shape was removed"}});
    else if (p.failure && p.failure->code != errc::must_refetch && !reader.open_)
      reader.on_refused({*p.failure, cause::snapshot});
    else
      reader.on_gone(std::nullopt);
  }

  void refuse(shape_reader& reader, const error& why, cause because = cause::busy) {
    waiting_room::unlink(reader);
    reader.shape_.reset();
    reader.subset_.reset();
    reader.on_refused({why, because});
  }

  void time_out(shape_reader& reader) {
    const auto last_seen = env_.status->last_seen_lsn();
    const auto p = reader.shape_->progress();
    if (p.gone) {
      gone(reader, p);
      return;
    }
    switch (reader.waits_for_) {
    case shape_reader::wait::snapshot:
      refuse(reader, {errc::unavailable, "the snapshot takes too long to start"}, cause::snapshot);
      return;
    case shape_reader::wait::out_of_bounds:
      if (reader.requested_ > p.head && env_.others->line && reader.requested_.tx > last_seen &&
          reader.requested_.tx - last_seen < behind_max)
        // Another node may have shown it that; this one has not come so far.
        refuse(reader, {errc::unavailable, "this node is behind the one that was asked before"});
      else if (reader.requested_ > p.head)
        refuse(reader, {errc::invalid_argument, "out of bounds for this shape", "offset"});
      else
        answer_or_wait(reader);
      return;
    case shape_reader::wait::more:
      refuse(reader, {errc::unavailable, "the snapshot makes no progress"}, cause::snapshot);
      return;
    case shape_reader::wait::live:
      break;
    }
    auto found = slice(reader, p, last_seen);
    if (!found || !*found) {
      refuse(reader, found ? error{errc::unavailable, "the shape is not ready"}
                           : give_up_damaged(reader.shape_, found.error()));
      return;
    }
    (*found)->no_changes = (*found)->rest.done();
    finish(reader, **found);
  }

  // -- news ---------------------------------------------------------------------------------------

  void moved(const head_move& move) {
    auto readers = room_.take(move.shape);
    const auto whose = readers.empty() ? nullptr : readers.front().shape_;
    std::uint64_t told = 0;
    while (!readers.empty()) {
      auto& reader = readers.front();
      const bool was_at_head =
          reader.requested_ == move.from || (move.from.tx == 0 && reader.requested_.tx == 0 &&
                                             reader.waits_for_ == shape_reader::wait::live);
      if (!move.body || !was_at_head || reader.subset_ || (reader.sse_ && !reader.open_)) {
        look_again(reader);
        continue;
      }
      const auto& shape = *reader.shape_;
      auto slice = empty_slice(shape, reader.requested_);
      slice.end = move.to;
      slice.last_seen_lsn = move.seen;
      slice.ready = reader.sse_ ? move.body->sse_events() : move.body->json_elements();
      slice.news = reader.sse_ ? nullptr : move.body;
      if (reader.sse_)
        stream(reader, slice);
      else
        finish(reader, slice);
      if (++told == 1 && move.committed != 0)
        shown_.add(
            seconds_between(move.committed, postgres_micros(std::chrono::system_clock::now())));
    }
    if (told > 0)
      if (auto* tenant = whose->tenant())
        tenant->note_sent(told * move.body->json_elements()->size());
  }

  void check(storage::shape_id id) {
    const auto shape = room_.shape(id);
    if (!shape)
      return;
    if (shape->progress().gone)
      if (const auto later = env_.status->conflict_delay(storage::to_number(id));
          later.count() > 0) {
        delayed_send(this, later, check_atom_v, id_list{id});
        return;
      }
    auto readers = room_.take(id);
    if (!readers.empty())
      shape->note_read();
    while (!readers.empty())
      look_again(readers.front());
    if (shape->progress().gone)
      room_.forget_if_empty(id);
  }

  /// Answers a waiting reader if there is something for it.
  void look_again(shape_reader& reader) {
    if (reader.waits_for_ == shape_reader::wait::more && !reader.shape_->progress().gone) {
      waiting_room::unlink(reader);
      reader.shape_.reset();
      reader.on_more();
      return;
    }
    if (has_news(reader)) {
      waiting_room::unlink(reader);
      answer_or_wait(reader);
      return;
    }
    room_.put_back(reader);
  }

  bool has_news(const shape_reader& reader) const {
    const auto p = reader.shape_->progress();
    if (p.gone)
      return true;
    if (reader.subset_)
      return p.started;
    const auto found = slice(reader, p, 0);
    if (!found)
      return true;
    if (!*found)
      return false;
    return !(reader.live_ && (*found)->rest.done()) ||
           reader.waits_for_ != shape_reader::wait::live;
  }

  session_environment env_;
  std::shared_ptr<io_execution_unit> unit_;
  shape_words words_;
  deletion_desk deletions_;
  std::unordered_map<std::string, waiting_list> resolving_;
  waiting_list* taken_ = nullptr;
  subset_desk subsets_;
  waiting_room room_;
  monitoring::seconds_tally shown_; ///< Of the message that is being dealt with.
};

namespace {

class session_door final : public client_session {
public:
  session_door(caf::actor_system& system, const session_environment& environment,
               io_execution_unit::post_function post)
      : unit_{std::make_shared<io_execution_unit>(system, post)} {
    caf::actor_config config{unit_.get()};
    handle_ = system.spawn_impl<session_core, caf::no_spawn_options>(config, environment, unit_);
    core_ = static_cast<session_core*>(caf::actor_cast<caf::abstract_actor*>(handle_));
    unit_->adopt(core_);
    if (environment.listeners != nullptr)
      seat_ = environment.listeners->join(
          {.post = std::move(post),
           .count = [core = core_](audience::by_shape& readers) { core->count_waiting(readers); }});
  }
  ~session_door() override {
    seat_.reset();
    caf::anon_send_exit(handle_, caf::exit_reason::user_shutdown);
    unit_->run_to_the_end(); // the I/O thread's loop may not turn any more
  }
  session_door(const session_door&) = delete;
  session_door& operator=(const session_door&) = delete;

  void read(shape_reader& reader, shape_query query) override {
    core_->read(reader, std::move(query));
  }
  void cancel(shape_reader& reader) noexcept override { core_->cancel(reader); }
  result<body_piece> next_piece(log_cursor& cursor) override { return core_->next_piece(cursor); }
  result<log_slice> slice_again(const log_slice& slice, bool live) override {
    return core_->slice_again(slice, live);
  }
  void await_more(shape_reader& reader, const log_cursor& cursor) override {
    core_->await_more(reader, cursor);
  }
  bool knows(const std::string& handle) const override {
    return core_->environment().index->find(handle) != nullptr;
  }
  void drop(shape_reader& reader, const std::string& handle,
            const std::optional<shape_request>& definition) override {
    core_->drop(reader, handle, definition);
  }
  service_state state(std::string& why_not) const override {
    const auto& status = *core_->environment().status;
    const auto phase = status.now();
    if (!core_->environment().store->accepts_writes()) {
      why_not = "storage does not accept writes";
      return service_state::starting;
    }
    if (status.serving())
      return service_state::active;
    why_not = status.why_not().text;
    return phase == node_status::phase::waiting ? service_state::waiting : service_state::starting;
  }
  std::vector<condition> conditions() const override {
    using phase = node_status::phase;
    const auto& status = *core_->environment().status;
    const auto now = status.now();
    const auto why = status.why_not();
    const bool streams = now == phase::streaming || now == phase::following;
    const auto unless = [](std::string_view name, bool met, std::string reason,
                           std::string message) -> condition {
      if (met)
        return {.name = name};
      return {name, false, std::move(reason), std::move(message)};
    };
    return {
        unless("storage", core_->environment().store->accepts_writes(), "refuses_writes",
               "storage does not accept writes"),
        unless("configuration", now != phase::misconfigured, why.name, why.text),
        unless("leadership", now != phase::waiting, why.name, why.text),
        unless("stream", streams, why.name, why.text),
    };
  }
  std::optional<outage> away() const override {
    const auto& status = *core_->environment().status;
    const auto since = status.away_since();
    if (!since)
      return std::nullopt;
    auto why = status.why_not();
    return outage{std::move(why.name), std::move(why.text), *since,
                  status.now() == node_status::phase::misconfigured};
  }
  std::optional<std::chrono::sys_seconds> stale_since() const noexcept override {
    return core_->environment().status->away_since();
  }
  void drain() override { core_->drain(); }

private:
  std::shared_ptr<io_execution_unit> unit_;
  session_actor handle_;
  session_core* core_ = nullptr; ///< Kept alive by handle_.
  audience::seat seat_;
};

} // namespace

std::unique_ptr<client_session> start_session(caf::actor_system& system,
                                              const session_environment& environment,
                                              std::function<void(std::function<void()>)> post) {
  return std::make_unique<session_door>(system, environment, std::move(post));
}

} // namespace busbar
