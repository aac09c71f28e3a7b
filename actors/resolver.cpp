#include "actors/resolver.hpp"

#include "actors/kept_session.hpp"
#include "postgres/catalog.hpp"

#include <spdlog/spdlog.h>

#include <chrono>
#include <map>
#include <optional>

namespace busbar {

std::uint64_t steady_ticks() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds patience{5};
/// Who has waited longer while others were looked up is turned away.
constexpr std::chrono::seconds queue_patience{30};
/// Descriptions kept so that shapes of one table share one; forgotten all at once beyond this.
constexpr std::size_t tables_max = 10'000;

struct resolver_state {
  static constexpr const char* name = "resolver";
  explicit resolver_state(resolver_actor::pointer self) : self{self} {}

  resolution_list resolve(const resolve_list& tasks) {
    resolution_list answers;
    answers.reserve(tasks.size());
    for (const auto& [request, asked] : tasks)
      answers.push_back(resolve(request, asked));
    return answers;
  }

  result<resolution> resolve(const shape_request& request, std::uint64_t asked) {
    if (steady_clock::duration{static_cast<std::int64_t>(steady_ticks() - asked)} > queue_patience)
      return fail(errc::unavailable, "PostgreSQL takes too long to tell of tables");
    auto table = find(request.schema, request.table, asked);
    if (!table)
      return fail(std::move(table).error());
    auto inner = find_inner(request, asked);
    if (!inner)
      return fail(std::move(inner).error());
    auto definition = define_shape(request, *table, *inner, clauses);
    if (!definition)
      return fail(std::move(definition).error());
    resolution found{std::make_shared<const shape_definition>(std::move(*definition))};
    if (!status->streaming()) {
      for (auto& set : sets_below(*found.definition))
        found.sets.emplace_back(std::move(set), storage::shape_id{});
      return found; // nothing new is made here
    }
    const auto group = found.definition->inner.empty()
                           ? std::nullopt
                           : std::optional<std::uint32_t>{found.definition->group};
    for (auto& set : sets_below(*found.definition)) {
      const auto id = store->next_shape_id(group);
      if (!id)
        return fail(id.error());
      found.sets.emplace_back(std::move(set), *id);
    }
    const auto id = store->next_shape_id(group);
    if (!id)
      return fail(id.error());
    found.fresh_id = *id;
    return found;
  }

  /// The tables that subqueries of the clause name.
  result<table_list> find_inner(const shape_request& request, std::uint64_t asked) {
    table_list tables;
    if (request.flaw || !sql::may_have_subqueries(request.where))
      return tables;
    const auto names = sql::inner_tables(request.where);
    if (!names)
      return tables; // define_shape() tells what is wrong, if nothing is before it
    for (const auto& [schema, name] : *names) {
      auto table = find(schema, name, asked);
      if (!table && table.error().code == errc::not_found)
        table.error().code = errc::invalid_argument, table.error().field = "where";
      if (!table)
        return fail(std::move(table).error());
      tables.push_back(std::move(*table));
    }
    return tables;
  }

  result<std::shared_ptr<const table_info>>
  find(const std::string& schema, const std::string& table_name, std::uint64_t asked) {
    // Requests come in bursts, and a look-up costs PostgreSQL more than the rest of what is done
    // here: one that began after this request was made tells all that its own could.
    const std::pair name{schema, table_name};
    if (const auto last = known.find(name); last != known.end() && last->second.looked_up > asked)
      return last->second.table;
    const auto now = steady_ticks();
    auto found = session->use(steady_clock::now() + patience, [&](auto& open, auto until) {
      return postgres::find_table(open, schema, table_name, until);
    });
    if (!found) {
      spdlog::warn("resolver: {}", found.error().message);
      return fail(found.error().for_clients());
    }
    if (!*found) {
      const auto why = session->use(steady_clock::now() + patience, [&](auto& open, auto until) {
        return postgres::why_not_found(open, schema, table_name, until);
      });
      if (!why)
        return fail(why.error().for_clients());
      return fail(errc::not_found, "Table \"" + schema + "\".\"" + table_name + "\" " + *why,
                  "table");
    }
    auto& info = **found;
    if (known.size() > tables_max)
      known.clear();
    auto& [table, looked_up] = known[name];
    looked_up = now;
    if (!table || !(*table == info))
      table = std::make_shared<const table_info>(std::move(info));
    return table;
  }

  resolver_actor::pointer self;
  std::optional<kept_session> session; ///< Never empty.
  storage::store* store = nullptr;
  const node_status* status = nullptr;
  sql::program_pool* clauses = nullptr;
  struct known_table {
    std::shared_ptr<const table_info> table;
    std::uint64_t looked_up = 0; ///< When the last look-up began.
  };
  std::map<std::pair<std::string, std::string>, known_table> known;
};

} // namespace

resolver_actor spawn_resolver(caf::actor_system& system, postgres::connection_url url,
                              storage::store& store, const node_status& status,
                              sql::program_pool& clauses) {
  return system.spawn<caf::detached>(
      [url = std::move(url), &store, &status, &clauses](
          resolver_actor::stateful_pointer<resolver_state> self) -> resolver_actor::behavior_type {
        self->state.session.emplace(url, "resolver");
        self->state.store = &store;
        self->state.status = &status;
        self->state.clauses = &clauses;
        return {
            [self](resolve_atom, const resolve_list& tasks) { return self->state.resolve(tasks); }};
      });
}

} // namespace busbar
