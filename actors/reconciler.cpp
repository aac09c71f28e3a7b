#include "actors/reconciler.hpp"

#include "postgres/catalog.hpp"
#include "postgres/publication.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>

namespace busbar {

namespace {

constexpr std::chrono::seconds patience{10};

/// Why a shape is no longer right, given what the catalog says of its table's name today; empty if
/// it is.
std::string fault_of(const shape_definition& shape, const std::optional<table_info>& now) {
  if (!now)
    return "the table was dropped or renamed";
  if (now->oid != shape.table->oid)
    return "the table was dropped and created anew";
  const auto is_there = [&](std::uint16_t index) {
    const auto& before = shape.table->columns[index];
    return std::any_of(now->columns.begin(), now->columns.end(), [&](const table_column& c) {
      return c.name == before.name && c.type_oid == before.type_oid;
    });
  };
  if (!std::all_of(shape.selected.begin(), shape.selected.end(), is_there))
    return "a selected column was dropped, renamed or retyped";
  if (shape.filter) {
    const auto used = shape.filter->columns_used();
    if (!std::all_of(used.begin(), used.end(), is_there))
      return "a column of the where clause was dropped, renamed or retyped";
  }
  return {};
}

struct reconciler_state {
  static constexpr const char* name = "reconciler";
  explicit reconciler_state(reconciler_actor::pointer self) : self{self} {}

  void tick() {
    const auto now = std::chrono::steady_clock::now();
    if (env.status->streaming() && env.index->size() > 0)
      look();
    if (now >= next_period) {
      next_period = now + env.period;
      self->delayed_send(self, env.period, tick_atom_v);
    }
  }

  void look() {
    // Shapes in the making look after themselves.
    std::map<std::uint32_t, shape_list> by_table;
    for (const auto& shape : env.index->all())
      if (const auto p = shape->progress(); p.complete && !p.gone)
        by_table[shape->definition().table->oid].push_back(shape);
    for (const auto& [oid, shapes] : by_table)
      if (auto looked = look_at(shapes); !looked) {
        spdlog::debug("reconciler: {}", looked.error().message); // the next period tries again
        session.reset();
        return;
      }
  }

  postgres::pg_result_of<void> look_at(const shape_list& shapes) {
    const auto until = std::chrono::steady_clock::now() + patience;
    if (!session || !session->usable()) {
      session.reset();
      auto opened = postgres::connection::open(*env.url, "reconciler", until);
      if (!opened)
        return tl::unexpected{opened.error()};
      session.emplace(std::move(*opened));
    }
    const auto& table = *shapes.front()->definition().table;
    auto now = postgres::find_table(*session, table.schema, table.name, until);
    if (!now)
      return tl::unexpected{now.error()};
    bool published = true;
    if (*now && (*now)->oid == table.oid) {
      auto is = postgres::is_published(*session, env.publication, **now, until);
      if (!is)
        return tl::unexpected{is.error()};
      published = *is;
    }
    for (const auto& shape : shapes) {
      auto fault = fault_of(shape->definition(), *now);
      if (fault.empty() && !published)
        fault = "the table has left the publication, or lost REPLICA IDENTITY FULL";
      if (!fault.empty())
        self->send(others->directory, invalid_atom_v, shape, std::move(fault));
    }
    return {};
  }

  reconciler_actor::pointer self;
  reconciler_environment env;
  cast_ptr others;
  std::optional<postgres::connection> session;
  std::chrono::steady_clock::time_point next_period{}; ///< When a tick of its own is due.
};

} // namespace

reconciler_actor spawn_reconciler(caf::actor_system& system, reconciler_environment environment,
                                  cast_ptr others) {
  return system.spawn<caf::detached>(
      [environment = std::move(environment),
       others = std::move(others)](reconciler_actor::stateful_pointer<reconciler_state> self)
          -> reconciler_actor::behavior_type {
        self->state.env = environment;
        self->state.others = others;
        return {[self](tick_atom) { self->state.tick(); }};
      });
}

} // namespace busbar
