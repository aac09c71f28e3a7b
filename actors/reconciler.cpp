#include "actors/reconciler.hpp"

#include "actors/kept_session.hpp"
#include "postgres/catalog.hpp"
#include "postgres/inspection.hpp"
#include "postgres/publication.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

namespace busbar {

namespace {

constexpr std::chrono::seconds patience{10};

/// So many tables are asked for in one query.
constexpr std::size_t tables_at_once = 200;
/// A single table is looked at no more often than this …
constexpr std::chrono::milliseconds check_pause{500};
constexpr std::size_t checked_max = 1'000; ///< … as long as so many are remembered.
constexpr std::chrono::seconds observe_period{10};
constexpr std::chrono::seconds observe_patience{3};

struct reconciler_state {
  static constexpr const char* name = "reconciler";
  explicit reconciler_state(reconciler_actor::pointer self) : self{self} {}

  void tick() {
    const auto now = std::chrono::steady_clock::now();
    check_publication();
    if (env.status->streaming() && env.index->size() > 0)
      look();
    look_at_slot();
    if (env.status->streaming())
      tidier->tidy(*session, now);
    if (now >= next_period) {
      next_period = now + env.period;
      self->delayed_send(self, env.period, tick_atom_v);
    }
  }

  /// A stream does not miss its publication before there is something to send, if then.
  void check_publication() {
    const auto now = std::chrono::steady_clock::now();
    if (!env.status->streaming() || now < next_publication_check)
      return;
    next_publication_check = now + check_pause;
    const auto whole = session->use(now + patience, [&](auto& open, auto until) {
      return postgres::is_publication_whole(open, env.publication, until);
    });
    if (!whole)
      spdlog::debug("reconciler: {}", whole.error().message);
    else if (!*whole)
      self->send(others->replicator, renew_atom_v);
  }

  void check(const shape_ptr& shape) {
    const auto oid = shape->definition().table->oid;
    const auto now = std::chrono::steady_clock::now();
    if (const auto last = checked.find(oid);
        shape->progress().gone || (last != checked.end() && now < last->second + check_pause))
      return; // whoever met it will meet it again
    if (checked.size() > checked_max)
      checked.clear();
    checked[oid] = now;
    auto shapes = followed();
    if (auto node = shapes.extract(oid); !node.empty()) {
      shapes.clear();
      shapes.insert(std::move(node));
      if (auto looked = look_at(shapes); !looked)
        spdlog::debug("reconciler: {}", looked.error().message);
    }
  }

  /// Shapes by table. Those in the making look after themselves.
  std::map<std::uint32_t, shape_list> followed() const {
    std::map<std::uint32_t, shape_list> by_table;
    for (const auto& shape : env.index->all())
      if (const auto p = shape->progress(); p.complete && !p.gone)
        by_table[shape->definition().table->oid].push_back(shape);
    return by_table;
  }

  void look() {
    auto by_table = followed();
    for (auto next = by_table.begin(); next != by_table.end();) {
      std::map<std::uint32_t, shape_list> some;
      for (; next != by_table.end() && some.size() < tables_at_once; ++next)
        some.insert(*next);
      if (auto looked = look_at(some); !looked) {
        spdlog::debug("reconciler: {}", looked.error().message); // the next period tries again
        return;
      }
    }
  }

  postgres::pg_result_of<void> look_at(const std::map<std::uint32_t, shape_list>& by_table) {
    std::vector<std::uint32_t> oids;
    for (const auto& [oid, shapes] : by_table)
      oids.push_back(oid);
    auto found =
        session->use(std::chrono::steady_clock::now() + patience, [&](auto& open, auto until) {
          return postgres::find_facts(open, env.publication, oids, until);
        });
    if (!found)
      return tl::unexpected{found.error()};
    std::set<std::uint32_t> missing{oids.begin(), oids.end()};
    for (const auto& facts : found->catalog.tables)
      missing.erase(facts->table.oid);
    // What is gone stays gone, so it does not matter how far the stream has come meanwhile.
    for (const auto oid : missing)
      for (const auto& shape : by_table.at(oid))
        self->send(others->directory, invalid_atom_v, shape,
                   std::string{"the table was dropped, or has no stream any more"});
    for (const auto oid : found->without_identity)
      if (const auto shapes = by_table.find(oid); shapes != by_table.end())
        self->send(others->directory, mend_atom_v, shapes->second.front());
    const auto catalog = std::make_shared<const catalog_facts>(std::move(found->catalog));
    for (const auto& materializer : others->materializers)
      self->send(materializer, note_atom_v, catalog);
    return {};
  }

  void observe() {
    self->delayed_send(self, observe_period, observe_atom_v);
    look_at_slot();
  }

  /// Nobody is told of it but who asks: how much WAL PostgreSQL keeps for us.
  void look_at_slot() {
    if (env.report == nullptr || !env.report->is_wanted())
      return;
    auto found = session->use(
        std::chrono::steady_clock::now() + observe_patience,
        [&](auto& open, auto until) { return postgres::inspect_slot(open, env.slot, until); });
    if (found)
      env.report->note(*std::move(found));
    else
      env.metrics->slot_looks_failed.Increment();
  }

  reconciler_actor::pointer self;
  reconciler_environment env;
  cast_ptr others;
  std::optional<kept_session> session; ///< Never empty.
  std::optional<table_tidier> tidier;  ///< Never empty.
  std::chrono::steady_clock::time_point next_publication_check{};
  std::chrono::steady_clock::time_point next_period{}; ///< When a tick of its own is due.
  std::unordered_map<std::uint32_t, std::chrono::steady_clock::time_point> checked; ///< By oid.
};

} // namespace

reconciler_actor spawn_reconciler(caf::actor_system& system, reconciler_environment environment,
                                  cast_ptr others) {
  return system.spawn<caf::detached>(
      [environment = std::move(environment),
       others = std::move(others)](reconciler_actor::stateful_pointer<reconciler_state> self)
          -> reconciler_actor::behavior_type {
        self->state.env = environment;
        self->state.session.emplace(*environment.url, "reconciler");
        self->state.tidier.emplace(environment.unused);
        self->state.others = others;
        if (environment.report != nullptr)
          self->send(self, observe_atom_v);
        return {[self](tick_atom) { self->state.tick(); },
                [self](check_atom, const shape_ptr& shape) { self->state.check(shape); },
                [self](renew_atom) { self->state.check_publication(); },
                [self](observe_atom) { self->state.observe(); }};
      });
}

} // namespace busbar
