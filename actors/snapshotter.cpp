#include "actors/snapshotter.hpp"

#include "actors/caf_error.hpp"
#include "actors/fence_maker.hpp"
#include "actors/joining.hpp"
#include "actors/kept_session.hpp"
#include "actors/set_reader.hpp"
#include "actors/slow_queries.hpp"
#include "actors/snapshot_writer.hpp"
#include "monitoring/seconds_tally.hpp"
#include "postgres/catalog.hpp"
#include "postgres/publication.hpp"
#include "postgres/snapshot_reader.hpp"
#include "shapes/entry.hpp"
#include "shapes/tagged_rows.hpp"
#include "shapes/upkeep.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <set>
#include <shared_mutex>
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
constexpr const char* commits_invisible =
    "transactions that have committed stay invisible to new snapshots; is a synchronous standby "
    "missing?";
/// Values of sets that are held until all that goes with them has been read, about.
constexpr std::size_t values_together_max = 100'000;
constexpr std::chrono::milliseconds first_pause{1};
constexpr std::chrono::milliseconds longest_pause{50};

struct snapshotter_state {
  static constexpr const char* name = "snapshotter";
  explicit snapshotter_state(snapshotter_actor::pointer self) : self{self} {}

  void create(const shape_list& list) {
    note_wait(list);
    const auto begin = steady_clock::now();
    const auto done = make(list);
    const auto took = std::chrono::duration<double>(steady_clock::now() - begin).count();
    for (const auto& shape : list) {
      if (!done)
        give_up(shape, done.error());
      if (!shape->progress().failure)
        env.metrics->snapshot_seconds.Observe(took);
    }
    self->send(others->directory, finished_atom_v, list, snapshotter_actor{self});
  }

  void note_wait(const shape_list& list) const {
    const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
    monitoring::seconds_tally waits;
    for (const auto& shape : list)
      waits.add(static_cast<double>(now - static_cast<std::int64_t>(made_at(shape->handle()))) /
                1e6);
    waits.hand_to(env.metrics->snapshot_wait);
  }

  void note_slow(const shape_ptr& shape, steady_clock::time_point begin, std::uint64_t rows) const {
    const auto& definition = shape->definition();
    const auto where = definition.filter ? definition.filter->to_sql() : std::string_view{};
    const std::string_view tenant =
        shape->tenant() ? std::string_view{shape->tenant()->name} : std::string_view{};
    slow_queries{env.metrics, env.slow_query}.note(
        "snapshot", *definition.table, where, steady_clock::now() - begin, rows,
        {.request_id = {}, .trace_id = {}, .handle = shape->handle(), .tenant = tenant});
  }

  /// The first reason counts.
  void give_up(const shape_ptr& shape, const error& why) {
    if (const auto p = shape->progress(); p.failure || p.complete)
      return;
    env.metrics->snapshot_failures.Increment();
    spdlog::warn("shape {} of {}.{} could not be made: {}", shape->handle(),
                 shape->definition().table->schema, shape->definition().table->name, why.message);
    shape->update([&](shape_progress& p) { p.failure = std::make_shared<const error>(why); });
  }

  static bool is_wanted(const shape_ptr& shape) {
    const auto p = shape->progress();
    return !p.failure && !p.gone;
  }

  void mend(const shape_ptr& shape) {
    const auto& table = *shape->definition().table;
    postgres::published_marks marks;
    const auto complete = [&](auto& session, auto until) {
      return postgres::complete_identity(session, env.publication, table, until, env.by_hand,
                                         &marks);
    };
    const auto done = admin->use(steady_clock::now() + publish_patience, complete);
    note_marks(table, marks);
    (done ? env.metrics->publications_done : env.metrics->publications_failed).Increment();
    if (!done)
      spdlog::warn("{}.{} or a partition of it has no REPLICA IDENTITY FULL: {}", table.schema,
                   table.name, done.error().message);
    self->send(others->directory, mend_atom_v, shape, snapshotter_actor{self});
  }

  /// What we have changed, so that it can be taken back; what cannot be noted stays as it is.
  void note_marks(const table_info& table, const postgres::published_marks& marks) const {
    if (marks.membership > 0)
      if (auto noted = env.store->note_added_table({table.oid, marks.membership}); !noted)
        spdlog::warn("{}", noted.error().message);
    if (!marks.full.empty())
      if (auto noted = env.store->note_full_tables(marks.full); !noted)
        spdlog::warn("{}", noted.error().message);
  }

  /// For our log PostgreSQL's own words, for clients the name of the trouble.
  static tl::unexpected<error> failed(const char* doing, const postgres::pg_error& why) {
    spdlog::warn("{}: {}", doing, why.to_error().message);
    return fail(why.for_clients());
  }

  /// What goes wrong with one of them is its own failure(); an error is one of all.
  result<void> make(const shape_list& list) {
    if (auto published = publish(list.front()); !published)
      return published;
    // From now on data may be stored for the shapes; if we die, recover() finds this and clears it.
    std::vector<storage::shape_id> ids;
    for (const auto& shape : list)
      ids.push_back(shape->id());
    if (auto noted = env.store->begin_shapes(ids); !noted)
      return noted;
    if (auto announced = announce(list); !announced)
      return announced;
    return copy(list);
  }

  result<void> publish(const shape_ptr& shape) {
    // Whether an earlier barrier on the table was finished is only known if it was ours, and under
    // the present leader. No table is taken out while the lock is held.
    const std::shared_lock kept_in{env.gate->mutex};
    if (const std::pair known{env.status->term.load(), env.gate->withdrawals};
        known != barriers_known) {
      barriers.clear();
      barriers_known = known;
    }
    const auto& table = *shape->definition().table;
    postgres::published_marks marks;
    const auto done = admin->use(steady_clock::now() + publish_patience, [&](auto& session,
                                                                             auto until) {
      return postgres::ensure_published(session, env.publication, table,
                                        !barriers.contains(table.oid), until, env.by_hand, &marks);
    });
    (done ? env.metrics->publications_done : env.metrics->publications_failed).Increment();
    note_marks(table, marks);
    if (!done) {
      if (done.error().sqlstate == "42704" || done.error().sqlstate == "55000")
        self->send(others->reconciler, renew_atom_v);
      return failed("publish", done.error());
    }
    barriers.insert(table.oid);
    // Where only the identity was missing, the stream says itself which changes lack an old image.
    self->send(others->directory, publish_atom_v, shape,
               *done == postgres::publishing::added_table);
    return {};
  }

  /// Writes the creation message and waits until it has come back through the slot.
  result<void> announce(const shape_list& list) {
    caf::scoped_actor waiting{self->system()};
    cluster::create_shapes created;
    for (const auto& shape : list)
      created.push_back({shape->handle(), shape->definition().identity()});
    auto parts = by_materializer(list);
    const auto expect = [&](const shape_list& part) {
      return waiting->request(others->materializer_of(part.front()->id()), announce_patience,
                              expect_atom_v, part);
    };
    std::vector<decltype(expect(list))> pending;
    for (const auto& part : parts)
      pending.push_back(expect(part));
    const auto message =
        env.control->encode({.term = env.status->term.load(), .what = std::move(created)});
    const auto written =
        admin->use(steady_clock::now() + announce_patience, [&](auto& session, auto until) {
          return postgres::emit_message(session, message, until);
        });
    if (!written)
      return failed("announce", written.error());
    for (std::size_t i = 0; i < parts.size(); ++i)
      pending[i].receive([&](lsn position) { created_lsn = to_number(position); },
                         [&](const caf::error& why) {
                           for (const auto& shape : parts[i])
                             give_up(shape, from_caf(why));
                         });
    return {};
  }

  /// Those of the shapes that are still wanted, by who writes their logs; no part is empty.
  std::vector<shape_list> by_materializer(const shape_list& list) const {
    std::vector<shape_list> parts(others->materializers.size());
    for (const auto& shape : list)
      if (is_wanted(shape))
        parts[others->number_of(shape->id())].push_back(shape);
    std::erase_if(parts, [](const shape_list& part) { return part.empty(); });
    return parts;
  }

  result<void> copy(const shape_list& list) {
    auto& session = reader ? *reader : *admin;
    auto give_up = steady_clock::now() + visibility_patience;
    obstacle = commits_invisible;
    auto left = list;
    for (auto pause = first_pause; steady_clock::now() < give_up;
         pause = std::min(2 * pause, longest_pause)) {
      const bool joining = joins(*left.front());
      auto snap =
          session.use(steady_clock::now() + first_row_patience, [&](auto& open, auto until) {
            return postgres::snapshot_reader::begin(open, until, {}, joining);
          });
      if (!snap)
        return failed("begin a snapshot", snap.error());
      auto begun = joining ? join(left, session.current(), *snap)
                           : splice(left, session.current(), snap->visibility());
      if (begun && !begun->of.empty()) {
        if (auto copied = copy_rows(begun->of, session.current(), *snap); !copied) {
          session.drop();
          return copied;
        }
        give_up = steady_clock::now() + visibility_patience; // it may have taken long
      } else if (auto ended = snap->finish(steady_clock::now() + first_row_patience); !ended) {
        session.drop();
      }
      if (!begun)
        return fail(std::move(begun).error());
      std::erase_if(left, [&](const shape_ptr& shape) {
        return !is_wanted(shape) || shape->progress().complete;
      });
      if (left.empty())
        return {};
      // Somebody has taken the table out of the publication since. Once it is back, a snapshot sees
      // all that was missed.
      if (begun->is_unpublished) {
        if (auto again = publish(left.front()); !again)
          return again;
      } else {
        std::this_thread::sleep_for(pause);
      }
    }
    return fail({errc::unavailable, obstacle, {}, true});
  }

  /// What the shapes depend on, as of the snapshot; the table must still be what it was when they
  /// were defined.
  result<facts_ptr> look_up(postgres::connection& session, const shape_list& list) {
    const auto oid = list.front()->definition().table->oid;
    auto found = postgres::find_facts(session, env.publication, {&oid, 1},
                                      steady_clock::now() + first_row_patience);
    if (!found)
      return failed("look up a table", found.error());
    if (found->catalog.tables.empty())
      return fail(errc::must_refetch, "the table was dropped, or has no stream any more");
    auto& facts = found->catalog.tables.front();
    for (const auto& shape : list)
      if (auto fault = fault_of(shape->definition(), facts->table); !fault.empty())
        give_up(shape, {errc::must_refetch, std::move(fault)});
    return std::move(facts);
  }

  /// Whose stream begins at this snapshot; the others need another one.
  struct beginning {
    shape_list of = {};
    bool is_unpublished = false; ///< The table is.
  };

  result<beginning> splice(const shape_list& list, postgres::connection& session,
                           const snapshot& visibility) {
    auto facts = look_up(session, list);
    if (!facts)
      return fail(std::move(facts).error());
    if ((*facts)->published_by.empty() && (*facts)->published_above.empty())
      return beginning{.is_unpublished = true};
    const auto parts = by_materializer(list);
    bool exact = true;
    // A part must not begin with a snapshot that another cannot use.
    for (const auto& part : parts)
      if (parts.size() > 1 && exact)
        exact = agrees(part, exact, covers_atom_v, visibility, lsn{created_lsn});
    for (const auto& part : parts)
      if (exact)
        exact = agrees(part, exact, splice_atom_v, part, visibility, *facts);
    return exact ? beginning{.of = list} : beginning{};
  }

  /// The same for sets, whose values are read first, and for shapes with subqueries: all that the
  /// snapshot sees has been streamed before the materializers hear of it. Each begins by itself,
  /// because what it asks may be late.
  result<beginning> join(const shape_list& list, postgres::connection& session,
                         postgres::snapshot_reader& snap) {
    auto facts = look_up(session, list);
    if (!facts)
      return fail(std::move(facts).error());
    if ((*facts)->published_by.empty() && (*facts)->published_above.empty())
      return beginning{.is_unpublished = true};
    std::vector<materializer_actor> concerned;
    for (const auto& part : by_materializer(list))
      concerned.push_back(others->materializer_of(part.front()->id()));
    if (auto fenced = fence->pass(concerned, env.status->term.load(),
                                  steady_clock::now() + announce_patience);
        !fenced)
      return fail(std::move(fenced).error());
    beginning begun;
    std::vector<joiner> ready;
    std::size_t values = 0; // of those
    for (const auto& shape : list) {
      if (!is_wanted(shape))
        continue;
      set_contents_ptr contents;
      if (shape->definition().is_set()) {
        auto read =
            read_set(*shape, snap, *env.store, env.secret, first_row_patience, stall_patience);
        if (!read && !session.usable())
          return fail(std::move(read).error()); // and nothing else can be read
        if (!read) {
          give_up(shape, read.error());
          continue;
        }
        contents = std::move(*read);
        values += contents->values.size();
      }
      ready.push_back({shape, std::move(contents)});
      if (values < values_together_max)
        continue;
      if (auto done = join_ready(std::exchange(ready, {}), snap, *facts, begun); !done)
        return fail(std::move(done).error());
      values = 0;
    }
    if (auto done = join_ready(ready, snap, *facts, begun); !done)
      return fail(std::move(done).error());
    return begun;
  }

  struct joiner {
    shape_ptr shape;
    set_contents_ptr contents; ///< Of a set.
  };

  result<void> join_ready(const std::vector<joiner>& ready, postgres::snapshot_reader& snap,
                          const facts_ptr& facts, beginning& begun) {
    const bool read_rows =
        std::any_of(ready.begin(), ready.end(), [](const auto& one) { return one.contents; });
    if (read_rows)
      if (auto checked = check_rows(*ready.front().shape->definition().table, snap); !checked)
        return checked;
    caf::scoped_actor waiting{self->system()};
    const auto ask = [&](const joiner& one) {
      return waiting->request(others->materializer_of(one.shape->id()), announce_patience,
                              join_atom_v, one.shape->id(), snap.visibility(), facts, one.contents);
    };
    std::vector<decltype(ask(ready.front()))> pending;
    for (const auto& one : ready)
      pending.push_back(ask(one));
    for (std::size_t i = 0; i < ready.size(); ++i)
      pending[i].receive(
          [&](const std::string& trouble) {
            if (trouble.empty())
              begun.of.push_back(ready[i].shape);
            else
              obstacle = trouble;
          },
          [&](const caf::error& why) { give_up(ready[i].shape, from_caf(why)); });
    return {};
  }

  /// The answer of the part's materializer; `otherwise` if it has none for these shapes.
  template <class... Question>
  bool agrees(const shape_list& part, bool otherwise, const Question&... question) {
    caf::scoped_actor waiting{self->system()};
    waiting->request(others->materializer_of(part.front()->id()), announce_patience, question...)
        .receive([&](bool answer) { otherwise = answer; },
                 [&](const caf::error& why) {
                   for (const auto& shape : part)
                     give_up(shape, from_caf(why));
                 });
    return otherwise;
  }

  result<void> copy_rows(const shape_list& list, postgres::connection& session,
                         postgres::snapshot_reader& snap) {
    const auto& table = *list.front()->definition().table;
    shape_list copied;
    shape_list without_rows;                               // of those copied
    std::vector<std::unique_ptr<snapshot_writer>> writers; // of those copied; null if not needed
    bool reads_rows = false;
    for (const auto& shape : list) {
      if (!is_wanted(shape))
        continue;
      std::unique_ptr<snapshot_writer> writer;
      if (shape->definition().changes_only) {
        without_rows.push_back(shape);
      } else if (!shape->definition().is_set()) {
        writer = std::make_unique<snapshot_writer>(
            *env.store, shape->id(), env.chunk_bytes_max,
            [this, shape](std::uint64_t chunks, std::uint32_t pieces) {
              shape->update([&](shape_progress& p) {
                p.chunks = chunks;
                p.pieces = pieces;
              });
              tell_readers({shape});
            });
        reads_rows = true;
        if (auto read = copy_one(shape, list.size() == 1, *writer, snap); !read) {
          if (!session.usable())
            return read; // and no other shape's rows can be read either
          give_up(shape, read.error());
          continue;
        }
      }
      copied.push_back(shape);
      writers.push_back(std::move(writer));
    }
    if (reads_rows && !copied.empty())
      if (auto checked = check_rows(table, snap); !checked)
        return checked;
    if (auto ended = snap.finish(steady_clock::now() + first_row_patience); !ended)
      spdlog::debug("snapshot session: {}", ended.error().message);
    if (copied.empty())
      return {};
    // Only now, because who has a last chunk believes that the snapshot is whole.
    const auto& sees = snap.visibility();
    const auto end = snapshot_end_json(sees.xmin, sees.xmax, sees.xip);
    if (auto ended = end_without_rows(without_rows, end); !ended)
      return ended;
    std::vector<storage::store::finished_shape> finished;
    bool flush = false;
    for (std::size_t i = 0; i < copied.size(); ++i) {
      auto* writer = writers[i].get();
      if (writer)
        if (auto ended = writer->end(end); !ended)
          return ended;
      flush |= writer && writer->needs_flush();
      if (writer)
        copied[i]->add_bytes(writer->bytes());
      finished.emplace_back(copied[i]->id(),
                            record_of(*copied[i], sees, copied[i]->progress().chunks));
    }
    if (auto stored = env.store->finish_snapshots(finished, flush); !stored)
      return stored;
    if (env.wait_for_followers)
      env.wait_for_followers();
    for (const auto& shape : copied)
      shape->update([](shape_progress& p) { p.complete = true; });
    tell_readers(copied);
    return {};
  }

  /// Those of the snapshot must have been read; readers may have some already.
  static result<void> check_rows(const table_info& table, postgres::snapshot_reader& snap) {
    auto checked = snap.check_rows(table, steady_clock::now() + stall_patience);
    if (checked)
      return {};
    if (checked.error().sqlstate == postgres::lost_rows)
      return fail(errc::must_refetch, checked.error().message);
    return failed("copy a table's rows", checked.error());
  }

  /// Their snapshots are alike, and written at once.
  result<void> end_without_rows(const shape_list& shapes, std::string_view snapshot_end) {
    if (shapes.empty())
      return {};
    block_builder piece;
    piece.add(0, snapshot_end);
    id_list ids;
    for (const auto& shape : shapes)
      ids.push_back(shape->id());
    if (auto written = env.store->put_snapshots(ids, piece.finish(0)); !written)
      return written;
    for (const auto& shape : shapes)
      shape->update([](shape_progress& p) { p.chunks = 1; });
    tell_readers(shapes);
    return {};
  }

  result<void> copy_one(const shape_ptr& shape, bool is_alone, snapshot_writer& writer,
                        postgres::snapshot_reader& snap) {
    const auto& definition = shape->definition();
    entry_encoder encoder{*definition.table, definition.selected, definition.replica_full};
    tagged_rows tagged{definition, env.secret, shape->handle()};
    std::string headers;
    const postgres::snapshot_query query{.table = definition.table.get(),
                                         .columns = tagged.columns(),
                                         .where = definition.filter ? definition.filter->to_sql()
                                                                    : std::string_view{},
                                         .expressions = tagged.expressions()};
    result<void> stored;
    const auto begin = steady_clock::now();
    auto copied = snap.copy_one(query, steady_clock::now() + first_row_patience, stall_patience,
                                [&](std::span<const sql::cell> cells) {
                                  if (shape->progress().gone)
                                    return !is_alone; // to cancel it would end the others, too
                                  stored = writer.add_row([&](std::string& json) {
                                    headers.clear();
                                    const auto shown = tagged.read(cells, headers);
                                    encoder.append_snapshot_row(json, shown, headers);
                                  });
                                  return stored.has_value();
                                });
    if (!stored)
      return stored;
    if (shape->progress().gone)
      return fail(errc::must_refetch, "the shape was removed while its snapshot was read");
    if (auto why = copied ? std::nullopt : copied.error().of_clause("where");
        why && definition.filter) {
      spdlog::info("copy a table's rows: {}", copied.error().to_error().message);
      return fail(*std::move(why));
    }
    if (!copied)
      return failed("copy a table's rows", copied.error());
    env.metrics->snapshot_rows.Increment(static_cast<double>(*copied));
    note_slow(shape, begin, *copied);
    return {};
  }

  void tell_readers(const shape_list& shapes) {
    std::vector<id_list> letters(others->materializers.size());
    for (const auto& shape : shapes)
      letters[others->number_of(shape->id())].push_back(shape->id());
    for (std::size_t i = 0; i < letters.size(); ++i)
      if (!letters[i].empty())
        self->send(others->materializers[i], check_atom_v, std::move(letters[i]));
  }

  storage::shape_record record_of(const shape_state& shape, const snapshot& sees,
                                  std::uint64_t chunks) const {
    const auto& d = shape.definition();
    std::vector<std::uint64_t> inner;
    for (const auto id : shape.inner())
      inner.push_back(storage::to_number(id));
    std::vector<std::uint16_t> values;
    for (const auto& form : d.values)
      values.push_back(form.column);
    return {.handle = shape.handle(),
            .created_lsn = created_lsn,
            .table = d.table,
            .selected = d.selected,
            .selects_all = d.selects_all,
            .where = d.where,
            .parameters = d.parameters,
            .replica_full = d.replica_full,
            .changes_only = d.changes_only,
            .snapshot_complete = true,
            .snapshot_chunks = chunks,
            .visibility = sees,
            .inner = std::move(inner),
            .values = std::move(values),
            .without_null = d.without_null};
  }

  snapshotter_actor::pointer self;
  snapshotter_environment env;
  cast_ptr others;
  std::optional<kept_session> admin;  ///< Never empty.
  std::optional<kept_session> reader; ///< Only if rows are read through another URL.
  std::optional<fence_maker> fence;   ///< Never empty.
  /// Tables whose writer barrier this snapshotter has seen through, in this term, and since so many
  /// tables were taken out of the publication.
  std::set<std::uint32_t> barriers;
  std::pair<std::uint64_t, std::uint64_t> barriers_known;
  std::uint64_t created_lsn = 0;
  std::string obstacle; ///< Why the last snapshot could not be used.
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
        self->state.fence.emplace(self->system(), *environment.url, *environment.control);
        return {[self](create_atom, const shape_list& list) { self->state.create(list); },
                [self](mend_atom, const shape_ptr& shape) { self->state.mend(shape); }};
      });
}

} // namespace busbar
