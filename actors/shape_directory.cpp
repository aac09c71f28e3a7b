#include "actors/shape_directory.hpp"

#include "actors/caf_error.hpp"
#include "actors/joining.hpp"
#include "actors/removal_reason.hpp"
#include "actors/resolver.hpp"
#include "actors/set_links.hpp"
#include "monitoring/logging.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <unordered_map>
#include <unordered_set>

namespace busbar {

namespace {

/// Questions that go to the resolver together: an answer waits for all of them. It has another
/// message to go on with while we read its answer.
constexpr std::size_t resolve_together_max = 32;
constexpr std::size_t questions_max = 2;
/// Creations that wait for a snapshotter; beyond this new ones are turned away.
constexpr std::size_t queue_max = 100'000;
/// Shapes that a snapshotter makes together: those that keep changes only cost it next to nothing;
/// of the others, one that has many rows holds up those that come after it.
constexpr std::size_t together_max_changes_only = 1'000;
constexpr std::size_t together_max = 16;
/// Their identities travel in one message.
constexpr std::size_t together_bytes_max = 1u << 20;

struct directory_state {
  static constexpr const char* name = "directory";
  explicit directory_state(directory_actor::pointer self) : self{self} {}

  /// Shapes of one table that wait to be made. Some at a time pass the publication and its wait for
  /// open writers; their snapshots are then taken side by side.
  struct table_queue {
    std::deque<shape_ptr> changes_only;
    std::deque<shape_ptr> whole;
    bool whole_next = false;   ///< They take turns.
    shape_ptr publishing = {}; ///< The first of those.
    bool empty() const { return changes_only.empty() && whole.empty(); }
  };

  directory_actor::behavior_type make_behavior() {
    return {
        [this](find_atom, const shape_request& request, const std::string& handle) {
          return find(request, handle);
        },
        [this](finished_atom, const shape_list& made, const snapshotter_actor& by) {
          finished(made, by);
        },
        [this](publish_atom, const shape_ptr& shape, bool mended) { published(shape, mended); },
        [this](mend_atom, const shape_ptr& shape) { mend(shape); },
        [this](mend_atom, const shape_ptr& shape, const snapshotter_actor& by) {
          mending.erase(shape->definition().table->oid);
          idle.push_back(by);
          hand_out();
        },
        [this](invalid_atom, const shape_ptr& shape, const std::string& why) {
          if (!leads) {
            tell_leader(
                cluster::invalid_question{.handle = shape->handle(), .reason = why},
                [to = directory_actor{self}, shape, why] {
                  caf::delayed_anon_send(to, tell_pause, invalid_atom_v, shape, why);
                },
                shape);
            return;
          }
          log_removal(*shape, why, removal_reason(why));
          remove(shape, removal_reason(why));
        },
        [this](drop_atom, const shape_ptr& shape) {
          if (!leads) {
            tell_leader(
                cluster::drop_question{shape->handle()},
                [to = directory_actor{self}, shape] {
                  caf::delayed_anon_send(to, tell_pause, drop_atom_v, shape);
                },
                shape);
            return;
          }
          log_removal(*shape, "a client asked for it", "deleted");
          remove(shape, "deleted");
        },
        [this](purge_atom, const std::string& why) { return purge(why); },
        [this](adopt_atom, const shape_list& shapes) {
          leads = true;
          for (const auto& shape : shapes)
            register_shape(shape, shape->definition().identity());
          for (auto idle = links.idle(); !idle.empty(); idle = links.idle())
            for (const auto& set : idle)
              remove(set, "unused");
        },
        [this](follow_atom, const shape_list& come, const shape_list& gone) { follow(come, gone); },
        [this](answer_atom, const leader_word& word) { answered(word); },
    };
  }

  caf::result<shape_ptr> find(const shape_request& request, const std::string& handle) {
    auto promise = self->make_response_promise<shape_ptr>();
    // Whom we do not know may be newer than what we have of the leader's: that comes first.
    const bool may_be_behind = !leads && !handle.empty() && !env.index->find(handle);
    auto key = request.cache_key();
    if (may_be_behind)
      key += handle;
    const auto [entry, is_new] = resolving.try_emplace(std::move(key));
    entry->second.push_back(promise);
    if (!is_new) // one look-up serves all who ask at the same time
      return promise;
    if (may_be_behind)
      ask_leader(entry->first, {request, {}}, cluster::barrier_question{});
    else
      resolve(entry->first, request);
    return promise;
  }

  void resolve(const std::string& key, const shape_request& request) {
    unresolved.tasks.push_back({request, steady_ticks()});
    unresolved.keys.push_back(key);
    resolve_next();
  }

  /// What is asked while the resolver is busy goes to it together.
  void resolve_next() {
    if (asked_resolver == questions_max || unresolved.keys.empty())
      return;
    auto next = std::exchange(unresolved, {});
    if (next.keys.size() > resolve_together_max) {
      const auto rest = static_cast<std::ptrdiff_t>(resolve_together_max);
      unresolved.keys.assign(std::make_move_iterator(next.keys.begin() + rest),
                             std::make_move_iterator(next.keys.end()));
      unresolved.tasks.assign(std::make_move_iterator(next.tasks.begin() + rest),
                              std::make_move_iterator(next.tasks.end()));
      next.keys.resize(resolve_together_max);
      next.tasks.resize(resolve_together_max);
    }
    ++asked_resolver;
    const auto keys = std::make_shared<const std::vector<std::string>>(std::move(next.keys));
    // What the leader may be asked in turn.
    const auto tasks = leads ? nullptr : std::make_shared<const resolve_list>(next.tasks);
    self->request(others->resolver, caf::infinite, resolve_atom_v, std::move(next.tasks))
        .then(
            [this, keys, tasks](const resolution_list& found) {
              resolved();
              for (std::size_t i = 0; i < keys->size(); ++i)
                if (!found[i])
                  deliver((*keys)[i], fail(found[i].error()));
                else if (tasks && !leads)
                  find_or_ask((*keys)[i], (*tasks)[i].request, *found[i]);
                else
                  deliver((*keys)[i], find_or_create(*found[i]));
              hand_out();
            },
            [this, keys](const caf::error& why) {
              resolved();
              for (const auto& key : *keys)
                deliver(key, fail(from_caf(why)));
            });
  }

  void resolved() {
    --asked_resolver;
    resolve_next();
  }

  void deliver(const std::string& key, const result<shape_ptr>& shape) {
    for (auto& reader : take(key))
      if (shape)
        reader.deliver(*shape);
      else
        reader.deliver(to_caf(shape.error()));
  }

  std::vector<caf::typed_response_promise<shape_ptr>> take(const std::string& key) {
    auto node = resolving.extract(key);
    return node.empty() ? std::vector<caf::typed_response_promise<shape_ptr>>{}
                        : std::move(node.mapped());
  }

  // -- while another node leads -------------------------------------------------------------------

  /// What the leader was asked about a definition.
  struct leader_question {
    shape_request request;
    std::string identity; ///< Empty while the request has not been looked up.
  };
  static constexpr std::chrono::seconds leader_patience{30};
  static constexpr std::chrono::seconds tell_pause{1};

  void find_or_ask(const std::string& key, const shape_request& request, const resolution& found) {
    auto identity = found.definition->identity();
    if (auto known = env.index->find_identity(identity))
      deliver(key, known);
    else
      ask_leader(key, {request, std::move(identity)}, cluster::find_question{request});
  }

  void ask_leader(const std::string& key, leader_question about, const cluster::question& what) {
    asked.insert_or_assign(key, std::move(about));
    others->line->ask(
        what, std::chrono::steady_clock::now() + leader_patience,
        [to = directory_actor{self}, key](const result<cluster::answer>& said) {
          caf::anon_send(to, answer_atom_v, leader_word{key, said ? said->why : said.error()});
        });
  }

  /// Says that the shape is to go. `again` is called if nobody has heard it.
  void tell_leader(const cluster::question& what, std::function<void()> again,
                   const shape_ptr& shape) {
    if (env.index->find(shape->handle()) != shape)
      return; // it went meanwhile
    others->line->ask(what, std::chrono::steady_clock::now() + leader_patience,
                      [again = std::move(again)](const result<cluster::answer>& said) {
                        if (said)
                          return;
                        spdlog::debug("the leader was not told: {}", said.error().message);
                        again();
                      });
  }

  void answered(const leader_word& word) {
    auto node = asked.extract(word.key);
    if (node.empty())
      return;
    const auto& [request, identity] = node.mapped();
    if (word.why.code != errc::ok)
      deliver(word.key, fail(word.why));
    else if (identity.empty() || leads)
      resolve(word.key, request); // as any other from here on
    else if (auto known = env.index->find_identity(identity))
      deliver(word.key, known);
    else
      deliver(word.key, fail(errc::unavailable, "the shape went as soon as it was made"));
  }

  void follow(const shape_list& come, const shape_list& gone) {
    if (leads)
      return; // sent before the take-over, which has looked at storage since
    for (const auto& shape : come) {
      env.tenants.assign(*shape);
      register_shape(shape, shape->definition().identity());
    }
    for (const auto& shape : gone) {
      if (!env.index->remove(shape->handle()))
        continue;
      links.remove(shape);
      if (auto* tenant = shape->tenant())
        tenant->shapes.fetch_sub(1, std::memory_order_relaxed);
      env.metrics->shapes.Set(static_cast<double>(env.index->size()));
      shape->update([](shape_progress& p) { p.gone = true; });
      self->send(others->materializer_of(shape->id()), forget_atom_v, shape);
    }
  }

  // -- making shapes ------------------------------------------------------------------------------

  result<shape_ptr> find_or_create(const resolution& found) {
    auto identity = found.definition->identity();
    if (auto known = env.index->find_identity(identity))
      return known;
    if (!env.status->streaming() || found.fresh_id == storage::shape_id{})
      return fail(errc::unavailable, "no new shapes at the moment: " + env.status->why_not().text);
    if (queued >= queue_max)
      return fail(errc::unavailable, "too many shapes are being made");
    for (const auto& [set, fresh_id] : found.sets)
      if (auto name = set->identity(); !env.index->find_identity(name))
        begin(*set, name, fresh_id);
    return begin(*found.definition, identity, found.fresh_id);
  }

  /// A new shape, or set. The sets that it asks are there already.
  shape_ptr begin(const shape_definition& definition, const std::string& identity,
                  storage::shape_id id) {
    std::vector<storage::shape_id> inner;
    for (const auto& set : definition.inner)
      inner.push_back(env.index->find_identity(set->identity())->id());
    auto shape = std::make_shared<shape_state>(id, make_handle(identity, now_micros()), definition,
                                               schemas.of(definition), std::move(inner));
    env.tenants.assign(*shape);
    register_shape(shape, identity);
    env.metrics->shapes_created.Increment();
    if (links.is_ready(*shape))
      enqueue(shape);
    else
      unready.insert(shape);
    return shape;
  }

  void enqueue(const shape_ptr& shape) {
    auto& table = tables[shape->definition().table->oid];
    if (table.empty() && !table.publishing)
      ready.push_back(shape->definition().table->oid);
    const bool no_rows = shape->definition().changes_only && !joins(*shape);
    (no_rows ? table.changes_only : table.whole).push_back(shape);
    ++queued;
  }

  /// Whether one snapshot serves them; they are shapes of the same table.
  static bool go_together(const shape_state& shape, const shape_state& other) {
    return joins(shape) == joins(other) && !joins_alone(shape) && !joins_alone(other) &&
           shape.definition().table == other.definition().table; // else it was altered
  }

  void register_shape(const shape_ptr& shape, const std::string& identity) {
    links.add(shape);
    if (!env.index->add(shape, identity))
      return; // it came while we followed
    if (auto* tenant = shape->tenant())
      tenant->shapes.fetch_add(1, std::memory_order_relaxed);
    env.metrics->shapes.Set(static_cast<double>(env.index->size()));
  }

  /// Microseconds since 1970 that rise with every call, also when the clock does not.
  std::uint64_t now_micros() {
    const auto now =
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                       std::chrono::system_clock::now().time_since_epoch())
                                       .count());
    last_micros = std::max(last_micros + 1, now);
    return last_micros;
  }

  void hand_out() {
    if (!started) {
      idle.assign(others->snapshotters.begin(), others->snapshotters.end());
      started = true;
    }
    while (!to_mend.empty() && !idle.empty()) { // at once: shapes break while they wait
      self->send(idle.back(), mend_atom_v, to_mend.front());
      to_mend.pop_front();
      idle.pop_back();
    }
    // Tables take turns, so that one whose writers never end holds up nobody but itself.
    while (!ready.empty() && !idle.empty()) {
      const auto oid = ready.front();
      ready.pop_front();
      auto& table = tables[oid];
      auto next = take_together(table);
      if (next.empty()) {
        tables.erase(oid);
        continue;
      }
      table.publishing = next.front();
      self->send(idle.back(), create_atom_v, std::move(next));
      idle.pop_back();
    }
    env.metrics->snapshots_queued.Set(static_cast<double>(queued));
    env.metrics->snapshots_running.Set(
        static_cast<double>(others->snapshotters.size() - idle.size()));
  }

  /// The table's next shapes. What costs a snapshotter most, it does once for all of them.
  shape_list take_together(table_queue& table) {
    shape_list next;
    std::size_t bytes = 0;
    while (next.empty() && !table.empty()) {
      table.whole_next = table.changes_only.empty() || (table.whole_next && !table.whole.empty());
      auto& queue = table.whole_next ? table.whole : table.changes_only;
      // Whole shapes are read side by side as long as there are snapshotters.
      const auto share = (queue.size() + idle.size() - 1) / idle.size();
      const auto count =
          table.whole_next ? std::min(share, together_max) : together_max_changes_only;
      while (next.size() < count && bytes < together_bytes_max && !queue.empty()) {
        const auto& shape = queue.front();
        const bool gone = shape->progress().gone;
        if (!gone && !next.empty() && !go_together(*shape, *next.front()))
          break;
        if (!gone) {
          bytes += shape->definition().identity().size();
          next.push_back(shape);
        }
        queue.pop_front();
        --queued;
      }
      table.whole_next = !table.whole_next;
    }
    return next;
  }

  /// Every materializer with a shape on the table asks for it.
  void mend(const shape_ptr& shape) {
    if (!mending.insert(shape->definition().table->oid).second)
      return;
    to_mend.push_back(shape);
    hand_out();
  }

  /// The table's next shapes may begin.
  void release(const shape_ptr& shape) {
    const auto oid = shape->definition().table->oid;
    const auto found = tables.find(oid);
    if (found == tables.end() || found->second.publishing != shape)
      return;
    found->second.publishing = nullptr;
    if (found->second.empty())
      tables.erase(found);
    else
      ready.push_back(oid);
  }

  void published(const shape_ptr& shape, bool mended) {
    if (mended) {
      // The table was not (fully) published until now: what followed it before has missed changes.
      shape_list missed;
      for (const auto& other : env.index->on_table(shape->definition().table->oid, shape))
        if (other != shape && other->progress().started)
          missed.push_back(other);
      for (const auto& other : missed) {
        log_removal(*other, "the table had left the publication", "publication");
        remove(other, "publication");
      }
    }
    // Those without a snapshot are made soon, and meanwhile more of them gather.
    if (!shape->definition().changes_only)
      release(shape);
    hand_out();
  }

  void finished(const shape_list& made, const snapshotter_actor& by) {
    idle.push_back(by);
    release(made.front());
    for (const auto& shape : made) {
      const auto p = shape->progress();
      if (p.failure) {
        tell_askers(shape, p.failure);
        remove(shape, "snapshot_failed");
      } else if (!p.gone) {
        for (const auto& asker : links.askers_of(*shape))
          if (!asker->progress().gone && links.is_ready(*asker) && unready.erase(asker) > 0)
            enqueue(asker);
      } else
        self->send(others->materializer_of(shape->id()), forget_atom_v, shape);
    }
    hand_out();
  }

  /// What cannot be made without it has failed, too.
  void tell_askers(const shape_ptr& set, const std::shared_ptr<const error>& failure) {
    for (const auto& asker : links.askers_of(*set)) {
      if (!asker->progress().started)
        asker->update([&](shape_progress& of) { of.failure = failure; });
      tell_askers(asker, failure);
    }
  }

  void log_removal(const shape_state& shape, std::string_view why, std::string_view reason) {
    const auto& table = *shape.definition().table;
    const monitoring::log_scope scope{
        {.handle = shape.handle(),
         .tenant = shape.tenant() ? std::string_view{shape.tenant()->name} : std::string_view{}}};
    spdlog::info("shape {} of {}.{} is removed: {}", shape.handle(), table.schema, table.name, why);
    env.metrics->removals.note({.handle = shape.handle(),
                                .table = table.schema + "." + table.name,
                                .reason = std::string{reason},
                                .why = std::string{why}});
  }

  /// The mapping goes first, then the readers are told: who reacts to a 409 at once must not be
  /// given the dead handle again.
  void remove(const shape_ptr& shape, std::string_view reason) {
    if (!env.index->remove(shape->handle()))
      return; // several who ask it, or read it, may have come upon the same fault
    const auto [askers, idle_sets] = links.remove(shape);
    unready.erase(shape);
    if (auto* tenant = shape->tenant())
      tenant->shapes.fetch_sub(1, std::memory_order_relaxed);
    env.metrics->shapes.Set(static_cast<double>(env.index->size()));
    monitoring::counter_of(env.metrics->shapes_removed, "reason", std::string{reason}).Increment();
    shape->update([](shape_progress& p) { p.gone = true; });
    if (auto marked = env.store->mark_removed(shape->id()); !marked)
      spdlog::error("shape {}: {}", shape->handle(), marked.error().message);
    self->send(others->materializer_of(shape->id()), forget_atom_v, shape);
    for (const auto& asker : askers) {
      if (asker->progress().gone)
        continue;
      log_removal(*asker, "what its subquery selects was removed", reason);
      remove(asker, reason);
    }
    for (const auto& set : idle_sets)
      if (!set->progress().gone)
        remove(set, "unused");
  }

  bool purge(const std::string& why) {
    spdlog::warn("all {} shapes are removed: {}", env.index->size(), why);
    env.status->purge(env.index->size());
    env.metrics->removals.note({.handle = {},
                                .table = std::to_string(env.index->size()) + " shapes",
                                .reason = "purged",
                                .why = why});
    for (const auto& shape : env.index->all())
      if (!shape->progress().gone)
        remove(shape, "purged");
    return env.store->remove_all_shapes().has_value();
  }

  directory_actor::pointer self;
  directory_environment env;
  cast_ptr others;
  set_links links;
  std::unordered_set<shape_ptr>
      unready; ///< Their turn comes when the last of their sets is complete.
  shared_schemas schemas;
  std::unordered_map<std::string, std::vector<caf::typed_response_promise<shape_ptr>>> resolving;
  std::unordered_map<std::string, leader_question> asked; ///< By key, as `resolving`.
  bool leads = false; ///< Otherwise shapes are made and removed by another node.
  struct {
    std::vector<std::string> keys;
    resolve_list tasks; ///< One for each key.
  } unresolved;         ///< What the resolver has not been asked yet.
  std::size_t asked_resolver = 0;
  std::unordered_map<std::uint32_t, table_queue> tables; ///< By oid; only those with work.
  std::deque<std::uint32_t> ready; ///< Tables with a queue and nothing publishing.
  std::size_t queued = 0;
  std::unordered_set<std::uint32_t> mending; ///< Tables that wait for it, or are at it …
  std::deque<shape_ptr> to_mend;             ///< … and a shape of each that waits.
  std::vector<snapshotter_actor> idle;
  bool started = false;
  std::uint64_t last_micros = 0;
};

} // namespace

directory_actor spawn_directory(caf::actor_system& system, directory_environment environment,
                                cast_ptr others) {
  return system.spawn([environment, others = std::move(others)](
                          directory_actor::stateful_pointer<directory_state> self) {
    self->state.env = environment;
    self->state.others = others;
    // A series that begins with its first event shows no increase.
    for (const auto reason : removal_reasons)
      monitoring::counter_of(environment.metrics->shapes_removed, "reason", std::string{reason});
    return self->state.make_behavior();
  });
}

} // namespace busbar
