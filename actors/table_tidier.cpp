#include "actors/table_tidier.hpp"

#include "postgres/publication.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <mutex>
#include <utility>

namespace busbar {

namespace {

constexpr std::chrono::seconds patience{5};
/// In one go: those who make shapes wait for each.
constexpr std::size_t tables_at_once = 20;

} // namespace

void table_tidier::tidy(kept_session& session, clock::time_point now) {
  if (env_.delay.count() == 0)
    return;
  const auto added = env_.store->added_tables();
  if (!added) {
    spdlog::warn("unused tables stay published: {}", added.error().message);
    return;
  }
  std::unordered_map<std::uint32_t, clock::time_point> unused;
  std::size_t tried = 0;
  for (const auto& table : *added) {
    if (env_.index->is_on(table.oid))
      continue;
    const auto before = unused_since_.find(table.oid);
    const auto since = before == unused_since_.end() ? now : before->second;
    unused.emplace(table.oid, since);
    if (now - since < env_.delay || tried++ >= tables_at_once)
      continue;
    const auto done = session.use(clock::now() + patience, [&](auto& open, auto until) {
      return take_out(open, table, until);
    });
    if (!done) {
      spdlog::debug("table {} stays published: {}", table.oid, done.error().message);
    } else if (!*done) {
      unused.erase(table.oid);
    } else {
      unused.erase(table.oid);
      if (auto forgotten = env_.store->forget_added_table(table.oid); !forgotten)
        spdlog::warn("{}", forgotten.error().message);
    }
  }
  unused_since_ = std::move(unused);
}

postgres::pg_result_of<bool> table_tidier::take_out(postgres::connection& session,
                                                    const storage::added_table& table,
                                                    postgres::deadline until) {
  // Nobody shall wait for us here while we wait for somebody: the next look comes.
  const std::unique_lock alone{env_.gate->mutex, std::try_to_lock};
  if (!alone)
    return false;
  const auto found =
      postgres::find_membership(session, env_.publication, table.oid, table.membership, until);
  if (!found)
    return tl::unexpected{found.error()};
  if (!*found)
    return true; // taken out by others, and perhaps put back: it is theirs
  const auto is_followed = [this](std::uint32_t oid) { return env_.index->is_on(oid); };
  // Whoever leads by now may have a new shape on it. (If we do not know yet that we are deposed,
  // its shapes see, as with anybody else's ALTER PUBLICATION, that they are unpublished.)
  if (!env_.status->streaming() || std::ranges::any_of((*found)->tables, is_followed))
    return false;
  ++env_.gate->withdrawals; // also if the answer gets lost
  if (auto done = postgres::withdraw(session, env_.publication, (*found)->name, until); !done)
    return tl::unexpected{done.error()};
  spdlog::info("table {} has left the publication: nobody has followed it for a while",
               (*found)->name);
  return true;
}

} // namespace busbar
