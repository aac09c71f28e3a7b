#include "actors/snapshotter.hpp"

#include "actors/caf_error.hpp"
#include "actors/kept_session.hpp"
#include "actors/snapshot_writer.hpp"
#include "postgres/catalog.hpp"
#include "postgres/publication.hpp"
#include "postgres/snapshot_reader.hpp"
#include "shapes/entry.hpp"
#include "shapes/upkeep.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <thread>

namespace busbar {

namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds publish_patience{30};
constexpr seconds announce_patience{30};
constexpr seconds first_row_patience{30};
constexpr seconds stall_patience{60};
/// A snapshot that came too early for the splice is taken anew. The pause grows: on a busy machine
/// the session whose commit is to become visible needs the processor that we would spin on.
constexpr seconds visibility_patience{30};
constexpr std::chrono::milliseconds first_pause{1};
constexpr std::chrono::milliseconds longest_pause{50};

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
    const auto done =
        admin->use(steady_clock::now() + publish_patience, [&](auto& session, auto until) {
          return postgres::complete_identity(session, env.publication, table, until);
        });
    if (!done)
      spdlog::warn("{}.{} or a partition of it has no REPLICA IDENTITY FULL: {}", table.schema,
                   table.name, done.error().message);
    self->send(others->directory, mend_atom_v, shape, snapshotter_actor{self});
  }

  /// For our log PostgreSQL's own words, for clients the name of the trouble.
  static tl::unexpected<error> failed(const char* doing, const postgres::pg_error& why) {
    spdlog::warn("{}: {}", doing, why.to_error().message);
    return fail(why.for_clients());
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
    return copy(shape);
  }

  result<void> publish(const shape_ptr& shape) {
    // Whether an earlier barrier on the table was finished is only known if it was ours, and under
    // the present leader.
    if (const auto term = env.status->term.load(); term != barriers_term) {
      barriers.clear();
      barriers_term = term;
    }
    const auto& table = *shape->definition().table;
    const auto done =
        admin->use(steady_clock::now() + publish_patience, [&](auto& session, auto until) {
          return postgres::ensure_published(session, env.publication, table,
                                            !barriers.contains(table.oid), until);
        });
    if (!done)
      return failed("publish", done.error());
    barriers.insert(table.oid);
    // Where only the identity was missing, the stream says itself which changes lack an old image.
    self->send(others->directory, publish_atom_v, shape,
               *done == postgres::publishing::added_table);
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
    const auto written =
        admin->use(steady_clock::now() + announce_patience, [&](auto& session, auto until) {
          return postgres::emit_message(session, message, until);
        });
    if (!written)
      return failed("announce", written.error());
    result<void> outcome;
    pending.receive([&](lsn position) { created_lsn = to_number(position); },
                    [&](const caf::error& why) { outcome = fail(from_caf(why)); });
    return outcome;
  }

  result<void> copy(const shape_ptr& shape) {
    auto& session = reader ? *reader : *admin;
    const auto give_up = steady_clock::now() + visibility_patience;
    for (auto pause = first_pause; steady_clock::now() < give_up;
         pause = std::min(2 * pause, longest_pause)) {
      auto snap = session.use(steady_clock::now() + first_row_patience, [](auto& open, auto until) {
        return postgres::snapshot_reader::begin(open, until);
      });
      if (!snap)
        return failed("begin a snapshot", snap.error());
      auto exact = splice(shape, session.current(), snap->visibility());
      if (exact && *exact == splice_outcome::exact) {
        auto copied = copy_rows(shape, *snap);
        if (!copied)
          session.drop();
        return copied;
      }
      if (auto ended = snap->finish(steady_clock::now() + first_row_patience); !ended)
        session.drop();
      if (!exact)
        return fail(std::move(exact).error());
      // Somebody has taken the table out of the publication since. Once it is back, a snapshot sees
      // all that was missed.
      if (*exact == splice_outcome::unpublished) {
        if (auto again = publish(shape); !again)
          return again;
      } else {
        std::this_thread::sleep_for(pause);
      }
    }
    return fail({errc::unavailable,
                 "transactions that have committed stay invisible to new snapshots; "
                 "is a synchronous standby missing?",
                 {},
                 true});
  }

  /// What the shape depends on, as of the snapshot; the table must still be what it was when the
  /// shape was defined.
  result<facts_ptr> look_up(postgres::connection& session, const shape_definition& definition) {
    const auto oid = definition.table->oid;
    auto found = postgres::find_facts(session, env.publication, {&oid, 1},
                                      steady_clock::now() + first_row_patience);
    if (!found)
      return failed("look up a table", found.error());
    if (found->catalog.tables.empty())
      return fail(errc::must_refetch, "the table was dropped, or has no stream any more");
    auto& facts = found->catalog.tables.front();
    if (auto fault = fault_of(definition, facts->table); !fault.empty())
      return fail(errc::must_refetch, std::move(fault));
    return std::move(facts);
  }

  enum class splice_outcome : std::uint8_t { exact, too_early, unpublished };

  result<splice_outcome> splice(const shape_ptr& shape, postgres::connection& session,
                                const snapshot& visibility) {
    auto facts = look_up(session, shape->definition());
    if (!facts)
      return fail(std::move(facts).error());
    if ((*facts)->published_by.empty() && (*facts)->published_above.empty())
      return splice_outcome::unpublished;
    caf::scoped_actor waiting{self->system()};
    result<splice_outcome> outcome;
    waiting
        ->request(others->materializer_of(shape->id()), announce_patience, splice_atom_v,
                  shape->id(), visibility, *facts)
        .receive(
            [&](bool exact) {
              outcome = exact ? splice_outcome::exact : splice_outcome::too_early;
            },
            [&](const caf::error& why) { outcome = fail(from_caf(why)); });
    return outcome;
  }

  result<void> copy_rows(const shape_ptr& shape, postgres::snapshot_reader& snap) {
    const auto& definition = shape->definition();
    const auto& materializer = others->materializer_of(shape->id());
    snapshot_writer writer{*env.store, shape->id(), env.chunk_bytes_max,
                           [&](std::uint64_t chunks, std::uint32_t pieces) {
                             shape->update([&](shape_progress& p) {
                               p.chunks = chunks;
                               p.pieces = pieces;
                             });
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
      if (!copied && copied.error().sqlstate == postgres::lost_rows)
        return fail(errc::must_refetch, copied.error().message); // readers may have some already
      if (auto why = copied ? std::nullopt : copied.error().of_clause("where");
          why && definition.filter) {
        spdlog::info("copy a table's rows: {}", copied.error().to_error().message);
        return fail(*std::move(why));
      }
      if (!copied)
        return failed("copy a table's rows", copied.error());
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
  std::optional<kept_session> admin;  ///< Never empty.
  std::optional<kept_session> reader; ///< Only if rows are read through another URL.
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
        self->state.admin.emplace(*environment.url, "snapshotter");
        if (environment.snapshot_url->conninfo() != environment.url->conninfo())
          self->state.reader.emplace(*environment.snapshot_url, "snapshot");
        self->state.others = others;
        return {[self](create_atom, const shape_ptr& shape) { self->state.create(shape); },
                [self](mend_atom, const shape_ptr& shape) { self->state.mend(shape); }};
      });
}

} // namespace busbar
