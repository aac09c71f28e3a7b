#include "actors/resolver.hpp"

#include "actors/caf_error.hpp"
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
/// Descriptions kept so that shapes of one table share one; forgotten all at once beyond this.
constexpr std::size_t tables_max = 10'000;

struct resolver_state {
  static constexpr const char* name = "resolver";
  explicit resolver_state(resolver_actor::pointer self) : self{self} {}

  caf::result<resolution> resolve(const shape_request& request, std::uint64_t asked) {
    auto table = find(request, asked);
    if (!table)
      return to_caf(table.error());
    auto definition = define_shape(request, *table);
    if (!definition)
      return to_caf(definition.error());
    const auto id = store->next_shape_id();
    if (!id)
      return to_caf(id.error());
    return resolution{std::make_shared<const shape_definition>(std::move(*definition)), *id};
  }

  result<std::shared_ptr<const table_info>> find(const shape_request& request,
                                                 std::uint64_t asked) {
    // Requests come in bursts, and a look-up costs PostgreSQL more than the rest of what is done
    // here: one that began after this request was made tells all that its own could.
    const std::pair name{request.schema, request.table};
    if (const auto last = known.find(name); last != known.end() && last->second.looked_up > asked)
      return last->second.table;
    const auto now = steady_ticks();
    auto found = session->use(steady_clock::now() + patience, [&](auto& open, auto until) {
      return postgres::find_table(open, request.schema, request.table, until);
    });
    if (!found) {
      spdlog::warn("resolver: {}", found.error().message);
      return fail(found.error().for_clients());
    }
    if (!*found) {
      const auto why = session->use(steady_clock::now() + patience, [&](auto& open, auto until) {
        return postgres::why_not_found(open, request.schema, request.table, until);
      });
      if (!why)
        return fail(why.error().for_clients());
      return fail(errc::not_found,
                  "Table \"" + request.schema + "\".\"" + request.table + "\" " + *why, "table");
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
  struct known_table {
    std::shared_ptr<const table_info> table;
    std::uint64_t looked_up = 0; ///< When the last look-up began.
  };
  std::map<std::pair<std::string, std::string>, known_table> known;
};

} // namespace

resolver_actor spawn_resolver(caf::actor_system& system, postgres::connection_url url,
                              storage::store& store) {
  return system.spawn<caf::detached>(
      [url = std::move(url), &store](
          resolver_actor::stateful_pointer<resolver_state> self) -> resolver_actor::behavior_type {
        self->state.session.emplace(url, "resolver");
        self->state.store = &store;
        return {[self](resolve_atom, const shape_request& request, std::uint64_t asked) {
          return self->state.resolve(request, asked);
        }};
      });
}

} // namespace busbar
