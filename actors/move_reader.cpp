#include "actors/move_reader.hpp"

#include "actors/fence_maker.hpp"
#include "actors/kept_session.hpp"
#include "postgres/snapshot_reader.hpp"

#include <optional>

namespace busbar {

namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds begin_patience{10};
constexpr seconds fence_patience{30};
constexpr seconds first_row_patience{30};
constexpr seconds stall_patience{20};
/// A move that brings in more than this is no cheaper than a new snapshot, which needs no memory.
constexpr std::size_t bytes_max = 64u << 20;

move_outcome_ptr failed(error why, bool lasting) {
  auto outcome = std::make_shared<move_outcome>();
  outcome->why = std::move(why);
  outcome->failed = true;
  outcome->lasting = lasting;
  return outcome;
}

/// Trying again helps if PostgreSQL was away or busy, but not if it refuses the query.
move_outcome_ptr failed(const postgres::pg_error& why) {
  const bool refuses = why.sqlstate.starts_with("22") || why.sqlstate.starts_with("42") ||
                       why.sqlstate.starts_with("0A") || why.sqlstate.starts_with("54");
  return failed(why.to_error(), refuses);
}

struct move_reader_state {
  static constexpr const char* name = "move_reader";
  explicit move_reader_state(move_reader_actor::pointer self) : self{self} {}

  move_outcome_ptr read(const move_task& task) {
    auto snap = session->use(steady_clock::now() + begin_patience, [](auto& open, auto until) {
      return postgres::snapshot_reader::begin(open, until);
    });
    if (!snap)
      return failed(snap.error());
    auto outcome = std::make_shared<move_outcome>();
    outcome->sees = snap->visibility();
    outcome->columns = task.columns;
    bool too_many = false;
    const postgres::snapshot_query query{
        .table = task.table.get(), .columns = task.columns, .where = task.condition};
    const auto copied = snap->copy(query, steady_clock::now() + first_row_patience, stall_patience,
                                   [&](std::span<const sql::cell> cells) {
                                     outcome->rows.add(cells);
                                     too_many = outcome->rows.size_bytes() > bytes_max;
                                     return !too_many;
                                   });
    if (!copied || too_many)
      session->drop();
    if (too_many)
      return failed({errc::must_refetch, "they are too many at once"}, true);
    if (!copied)
      return failed(copied.error());
    if (const auto ended = snap->finish(steady_clock::now() + begin_patience); !ended)
      session->drop();
    // Behind the rows or in front of them, a fence only has to stand behind the snapshot.
    if (auto passed = fence->pass(others->materializers[task.materializer], status->term.load(),
                                  steady_clock::now() + fence_patience);
        !passed)
      return failed(std::move(passed).error(), false);
    return outcome;
  }

  move_reader_actor::pointer self;
  const node_status* status = nullptr;
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
        state.others = others;
        state.session.emplace(environment.snapshot_url, "moves");
        state.fence.emplace(self->system(), environment.url, *environment.control);
        return {[self](move_atom, const move_task_ptr& task) { return self->state.read(*task); }};
      });
}

} // namespace busbar
