#include "actors/snapshotter.hpp"

#include "actors/caf_error.hpp"
#include "actors/snapshot_writer.hpp"
#include "postgres/publication.hpp"
#include "postgres/snapshot_reader.hpp"
#include "shapes/entry.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <thread>

namespace busbar {

namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds connect_patience{10};
constexpr seconds publish_patience{30};
constexpr seconds announce_patience{30};
constexpr seconds first_row_patience{30};
constexpr seconds stall_patience{60};
/// A snapshot is taken anew if it came too early for the splice: a commit is streamed before its
/// backend has made it visible, which takes long if that waits for a standby or for the processor.
constexpr seconds visibility_patience{10};
constexpr std::chrono::milliseconds retry_pause_max{50};

/// From PostgreSQL's words to what clients are told (spec postgres-and-operations 1.8, last part).
error to_request_error(const postgres::pg_error& what) {
  if (what.sqlstate == "42P01" || what.sqlstate == "42703" || what.sqlstate == "42883")
    return {errc::must_refetch, what.message};
  if (what.sqlstate.empty() || what.sqlstate.starts_with("08") || what.sqlstate.starts_with("57P"))
    return {errc::unavailable, "the database is unreachable at the moment"}; // its words name hosts
  return {errc::unavailable, what.message};
}

struct snapshotter_state {
  static constexpr const char* name = "snapshotter";
  explicit snapshotter_state(snapshotter_actor::pointer self) : self{self} {}

  void create(const shape_ptr& shape) {
    const auto begin = steady_clock::now();
    if (auto made = make(shape); !made) {
      env.metrics->snapshot_failures.Increment();
      spdlog::warn("shape {} of {}.{} could not be made: {}", shape->handle(),
                   shape->definition().table->schema, shape->definition().table->name,
                   made.error().message);
      shape->update([&](shape_progress& p) {
        p.failure = std::make_shared<const error>(std::move(made).error());
      });
    } else {
      env.metrics->snapshot_seconds.Observe(
          std::chrono::duration<double>(steady_clock::now() - begin).count());
    }
    self->send(others->directory, finished_atom_v, shape, snapshotter_actor{self});
  }

  void mend(const shape_ptr& shape) {
    const auto& table = *shape->definition().table;
    const auto attempt = [&]() -> postgres::pg_result_of<void> {
      if (auto ready = connect(); !ready)
        return ready;
      return postgres::complete_identity(*admin, env.publication, table,
                                         steady_clock::now() + publish_patience);
    };
    const bool had_session = admin.has_value();
    auto done = attempt();
    if (!done && had_session) {
      disconnect(); // it may have died while it lay idle
      done = attempt();
    }
    if (!done) {
      disconnect();
      spdlog::warn("a partition of {}.{} has no REPLICA IDENTITY FULL: {}", table.schema,
                   table.name, done.error().message);
    }
    self->send(others->directory, mend_atom_v, shape, snapshotter_actor{self});
  }

  result<void> make(const shape_ptr& shape) {
    if (auto published = publish(shape); !published)
      return published;
    // From now on data may be stored for the shape; if we die, recover() finds this and clears it.
    if (auto noted = env.store->put_shape(shape->id(), record_of(*shape, {}, 0, false), false);
        !noted)
      return noted;
    if (auto announced = announce(shape); !announced)
      return announced;
    auto copied = copy(shape);
    if (!copied)
      disconnect(); // it may be in the middle of anything
    return copied;
  }

  result<void> publish(const shape_ptr& shape) {
    const bool had_session = admin.has_value();
    auto done = try_to_publish(shape);
    if (!done && done.error().kind == postgres::trouble::transient && had_session) {
      disconnect(); // it may have died while it lay idle: once more with a new one
      done = try_to_publish(shape);
    }
    if (!done) {
      disconnect();
      return fail(to_request_error(done.error()));
    }
    // Where only the identity was missing, the stream says itself which changes lack an old image.
    self->send(others->directory, publish_atom_v, shape,
               *done == postgres::publishing::added_table);
    return {};
  }

  postgres::pg_result_of<postgres::publishing> try_to_publish(const shape_ptr& shape) {
    if (auto ready = connect(); !ready)
      return tl::unexpected{ready.error()};
    // Whether an earlier barrier on the table was finished is only known if it was ours, and under
    // the present leader.
    if (const auto term = env.status->term.load(); term != barriers_term) {
      barriers.clear();
      barriers_term = term;
    }
    const auto& table = *shape->definition().table;
    auto published =
        postgres::ensure_published(*admin, env.publication, table, !barriers.contains(table.oid),
                                   steady_clock::now() + publish_patience);
    if (published)
      barriers.insert(table.oid);
    return published;
  }

  void disconnect() {
    admin.reset();
    reader.reset();
  }

  postgres::pg_result_of<void> connect() {
    const auto until = steady_clock::now() + connect_patience;
    if (!admin || !admin->usable()) {
      auto opened = postgres::connection::open(*env.url, "snapshotter", until);
      if (!opened)
        return tl::unexpected{opened.error()};
      admin.emplace(std::move(*opened));
    }
    if (env.snapshot_url->conninfo() == env.url->conninfo())
      return {};
    if (!reader || !reader->usable()) {
      auto opened = postgres::connection::open(*env.snapshot_url, "snapshot", until);
      if (!opened)
        return tl::unexpected{opened.error()};
      reader.emplace(std::move(*opened));
    }
    return {};
  }

  /// Writes the creation message and waits until it has come back through the slot.
  result<void> announce(const shape_ptr& shape) {
    caf::scoped_actor waiting{self->system()};
    const auto& materializer = others->materializer_of(shape->id());
    auto pending = waiting->request(materializer, announce_patience, expect_atom_v, shape);
    const auto message = env.control->encode(
        {.term = env.status->term.load(),
         .what = cluster::create_shape{shape->handle(), shape->definition().identity()}});
    auto written = postgres::emit_message(*admin, message, steady_clock::now() + announce_patience);
    if (!written) {
      disconnect();
      return fail(to_request_error(written.error()));
    }
    result<void> outcome;
    pending.receive([&](lsn position) { created_lsn = to_number(position); },
                    [&](const caf::error& why) { outcome = fail(from_caf(why)); });
    return outcome;
  }

  result<void> copy(const shape_ptr& shape) {
    auto& session = reader ? *reader : *admin;
    const auto& definition = shape->definition();
    const auto give_up = steady_clock::now() + visibility_patience;
    for (std::chrono::milliseconds pause{1};; pause = std::min(2 * pause, retry_pause_max)) {
      auto snap =
          postgres::snapshot_reader::begin(session, steady_clock::now() + first_row_patience);
      if (!snap)
        return fail(to_request_error(snap.error()));
      auto exact = splice(shape, snap->visibility());
      if (!exact)
        return fail(std::move(exact).error());
      if (*exact)
        return copy_rows(shape, definition, *snap);
      if (auto ended = snap->finish(steady_clock::now() + first_row_patience); !ended)
        return fail(to_request_error(ended.error()));
      if (steady_clock::now() >= give_up)
        return fail(errc::unavailable,
                    "transactions that have committed stay invisible to new snapshots; "
                    "is a synchronous standby missing?");
      std::this_thread::sleep_for(pause);
    }
  }

  result<bool> splice(const shape_ptr& shape, const snapshot& visibility) {
    caf::scoped_actor waiting{self->system()};
    result<bool> outcome = false;
    waiting
        ->request(others->materializer_of(shape->id()), announce_patience, splice_atom_v,
                  shape->id(), visibility)
        .receive([&](bool exact) { outcome = exact; },
                 [&](const caf::error& why) { outcome = fail(from_caf(why)); });
    return outcome;
  }

  result<void> copy_rows(const shape_ptr& shape, const shape_definition& definition,
                         postgres::snapshot_reader& snap) {
    const auto& materializer = others->materializer_of(shape->id());
    snapshot_writer writer{*env.store, shape->id(), env.chunk_bytes_max, [&](std::uint64_t chunks) {
                             shape->update([&](shape_progress& p) { p.chunks = chunks; });
                             self->send(materializer, check_atom_v, shape->id());
                           }};
    result<void> stored;
    if (!definition.changes_only) {
      entry_encoder encoder{*definition.table, definition.selected, definition.replica_full};
      const postgres::snapshot_query query{.table = definition.table.get(),
                                           .columns = definition.selected,
                                           .where = definition.filter ? definition.filter->to_sql()
                                                                      : std::string_view{}};
      auto copied = snap.copy(query, steady_clock::now() + first_row_patience, stall_patience,
                              [&](std::span<const sql::cell> cells) {
                                stored = writer.add_row([&](std::string& json) {
                                  encoder.append_snapshot_row(json, cells);
                                });
                                return stored.has_value() && !shape->progress().gone;
                              });
      if (!stored)
        return stored;
      if (shape->progress().gone)
        return fail(errc::must_refetch, "the shape was removed while its snapshot was read");
      if (!copied)
        return fail(to_request_error(copied.error()));
      env.metrics->snapshot_rows.Increment(static_cast<double>(*copied));
    }
    const auto& sees = snap.visibility();
    if (stored = writer.end(snapshot_end_json(sees.xmin, sees.xmax, sees.xip)); !stored)
      return stored;
    if (auto ended = snap.finish(steady_clock::now() + first_row_patience); !ended)
      spdlog::debug("snapshot session: {}", ended.error().message);
    const auto done = env.store->finish_snapshot(
        shape->id(), record_of(*shape, sees, writer.chunks(), true), writer.needs_flush());
    if (!done)
      return done;
    shape->update([&](shape_progress& p) {
      p.complete = true;
      p.chunks = writer.chunks();
    });
    self->send(materializer, check_atom_v, shape->id());
    return {};
  }

  storage::shape_record record_of(const shape_state& shape, const snapshot& sees,
                                  std::uint64_t chunks, bool complete) const {
    const auto& d = shape.definition();
    return {.handle = shape.handle(),
            .created_lsn = created_lsn,
            .table = *d.table,
            .selected = d.selected,
            .selects_all = d.selects_all,
            .where = d.where,
            .parameters = d.parameters,
            .canonical_where = d.filter ? d.filter->canonical() : std::string{},
            .replica_full = d.replica_full,
            .changes_only = d.changes_only,
            .snapshot_complete = complete,
            .snapshot_chunks = chunks,
            .visibility = sees};
  }

  snapshotter_actor::pointer self;
  snapshotter_environment env;
  cast_ptr others;
  std::optional<postgres::connection> admin;
  std::optional<postgres::connection> reader; ///< Only if rows are read through another URL.
  std::set<std::uint32_t>
      barriers; ///< Tables whose writer barrier this snapshotter has seen through
  std::uint64_t barriers_term = 0; ///< under this leader.
  std::uint64_t created_lsn = 0;
};

} // namespace

snapshotter_actor spawn_snapshotter(caf::actor_system& system, snapshotter_environment environment,
                                    cast_ptr others) {
  return system.spawn<caf::detached>(
      [environment = std::move(environment),
       others = std::move(others)](snapshotter_actor::stateful_pointer<snapshotter_state> self)
          -> snapshotter_actor::behavior_type {
        self->state.env = environment;
        self->state.others = others;
        return {[self](create_atom, const shape_ptr& shape) { self->state.create(shape); },
                [self](mend_atom, const shape_ptr& shape) { self->state.mend(shape); }};
      });
}

} // namespace busbar
