#include "actors/move_reader.hpp"

#include "actors/fence_maker.hpp"
#include "actors/kept_session.hpp"
#include "actors/slow_queries.hpp"
#include "postgres/snapshot_reader.hpp"

#include <algorithm>
#include <map>
#include <optional>

namespace busbar {

namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds begin_patience{10};
constexpr seconds fence_patience{30};
constexpr seconds first_row_patience{30};
constexpr seconds stall_patience{20};
/// A table that is locked for longer is asked for again later, so that others get their turn.
constexpr std::chrono::milliseconds lock_patience{2'000};
/// A move that brings in more than this is no cheaper than a new snapshot, which needs no memory.
constexpr std::size_t bytes_max = 64u << 20;
/// No more questions are begun in a snapshot that is so old: what commits meanwhile has to be
/// remembered, to know what the snapshot has seen.
constexpr std::chrono::milliseconds batch_time_max{1'000};

using state = move_outcome::state;

/// Trying again helps if PostgreSQL was away or busy, but not if it refuses the query.
bool refuses(const postgres::pg_error& why) {
  return why.sqlstate.starts_with("22") || why.sqlstate.starts_with("42") ||
         why.sqlstate.starts_with("0A") || why.sqlstate.starts_with("54");
}

void fail_all(std::vector<move_outcome>& outcomes, const error& why) {
  for (auto& one : outcomes)
    if (one.is != state::refused)
      one = {.is = state::failed, .rows = {}, .why = why};
}

struct move_reader_state {
  static constexpr const char* name = "move_reader";
  explicit move_reader_state(move_reader_actor::pointer self) : self{self} {}

  move_outcomes_ptr read(const move_batch& batch) {
    const monitoring::gauge_hold running{metrics->moves_running};
    auto outcomes = std::make_shared<move_outcomes>();
    outcomes->of.resize(batch.tasks.size());
    auto snap = session->use(steady_clock::now() + begin_patience, [](auto& open, auto until) {
      return postgres::snapshot_reader::begin(open, until, lock_patience);
    });
    if (!snap) {
      fail_all(outcomes->of, snap.error().to_error());
      return outcomes;
    }
    outcomes->sees = snap->visibility();
    copy(batch, *snap, outcomes->of);
    if (const auto none = std::none_of(outcomes->of.begin(), outcomes->of.end(),
                                       [](const auto& one) { return one.is == state::read; });
        none)
      return outcomes;
    // Behind the rows or in front of them, a fence only has to stand behind the snapshot.
    if (auto passed = fence->pass({&others->materializers[batch.materializer], 1},
                                  status->term.load(), steady_clock::now() + fence_patience);
        !passed)
      fail_all(outcomes->of, passed.error());
    return outcomes;
  }

  /// Each behind a savepoint, so that what fails fails alone; but what costs us the session costs
  /// the others their rows, too.
  void copy(const move_batch& batch, postgres::snapshot_reader& snap,
            std::vector<move_outcome>& outcomes) {
    const auto enough = steady_clock::now() + batch_time_max;
    std::map<const table_info*, std::optional<postgres::pg_error>> blocked;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < batch.tasks.size(); ++i) {
      if (bytes > bytes_max || (i > 0 && steady_clock::now() > enough))
        break;
      auto& trouble = blocked[batch.tasks[i].table.get()];
      if (!trouble)
        trouble = copy_one(batch.tasks[i], snap, outcomes[i]);
      else
        outcomes[i] = {.is = state::failed, .rows = {}, .why = trouble->to_error()};
      bytes += outcomes[i].rows.size_bytes();
      if (!session->usable())
        break;
    }
    std::map<const table_info*, postgres::pg_error> wrong;
    for (const auto& [table, trouble] : blocked)
      if (session->usable())
        if (auto checked = snap.check_rows(*table, steady_clock::now() + stall_patience); !checked)
          wrong.emplace(table, checked.error());
    const bool is_lost = !session->usable();
    for (std::size_t i = 0; i < outcomes.size(); ++i)
      if (auto& one = outcomes[i]; one.is == state::read) {
        if (const auto why = wrong.find(batch.tasks[i].table.get()); why != wrong.end())
          one = {.is = state::failed, .rows = {}, .why = why->second.to_error()};
        else if (is_lost)
          one = {};
      }
    if (is_lost)
      session->drop();
    else if (const auto ended = snap.finish(steady_clock::now() + begin_patience); !ended)
      session->drop();
  }

  /// Returns what stands in the way of all questions about the table.
  std::optional<postgres::pg_error> copy_one(const move_task& task, postgres::snapshot_reader& snap,
                                             move_outcome& outcome) {
    bool too_many = false;
    const postgres::snapshot_query query{
        .table = task.table.get(), .columns = task.columns, .where = task.condition};
    const auto begin = steady_clock::now();
    const auto copied = snap.copy_one(query, steady_clock::now() + first_row_patience,
                                      stall_patience, [&](std::span<const sql::cell> cells) {
                                        outcome.rows.add(cells);
                                        too_many = outcome.rows.size_bytes() > bytes_max;
                                        return !too_many;
                                      });
    const auto took = steady_clock::now() - begin;
    metrics->move_seconds.Observe(std::chrono::duration<double>(took).count());
    slow_queries{metrics, slow_query}.note("moves", *task.table, task.condition, took,
                                           copied ? *copied : 0, {});
    if (copied && !too_many) {
      outcome.is = state::read;
      return std::nullopt;
    }
    outcome.rows = {};
    if (too_many) {
      outcome.is = state::refused;
      outcome.why = {errc::must_refetch, "they are too many at once"};
      session->drop(); // in the middle of it
      return std::nullopt;
    }
    outcome.is = refuses(copied.error()) ? state::refused : state::failed;
    outcome.why = copied.error().to_error();
    if (outcome.is == state::refused)
      return std::nullopt;
    return copied.error();
  }

  move_reader_actor::pointer self;
  const node_status* status = nullptr;
  monitoring::metrics* metrics = nullptr;
  std::chrono::milliseconds slow_query{};
  cast_ptr others;
  std::optional<kept_session> session; ///< Never empty.
  std::optional<fence_maker> fence;    ///< Never empty.
};

} // namespace

move_reader_actor spawn_move_reader(caf::actor_system& system, move_reader_environment environment,
                                    cast_ptr others) {
  return system.spawn<caf::detached>(
      [environment = std::move(environment),
       others = std::move(others)](move_reader_actor::stateful_pointer<move_reader_state> self)
          -> move_reader_actor::behavior_type {
        auto& state = self->state;
        state.status = environment.status;
        state.metrics = environment.metrics;
        state.slow_query = environment.slow_query;
        state.others = others;
        state.session.emplace(environment.snapshot_url, "moves");
        state.fence.emplace(self->system(), environment.url, *environment.control);
        return {
            [self](move_atom, const move_batch_ptr& batch) { return self->state.read(*batch); }};
      });
}

} // namespace busbar
