#include "actors/janitor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

namespace busbar {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// Deleted in one batch.
constexpr std::size_t together_max = 200;
/// After a batch the janitor rests for so many times as long as that took, within bounds.
constexpr int rest_factor = 4;
constexpr milliseconds rest_min{1};
constexpr milliseconds rest_max{1'000};
/// The same for compaction, which nobody waits for.
constexpr int compaction_rest_factor = 9;
constexpr milliseconds compaction_rest_min{5};
constexpr milliseconds compaction_rest_max{5'000};
/// Between two looks at what has become old enough to be compacted.
constexpr milliseconds compaction_look_min{100};
constexpr milliseconds compaction_look_max{60'000};

struct janitor_state {
  static constexpr const char* name = "janitor";
  explicit janitor_state(janitor_actor::pointer self) : self{self} {}

  janitor_actor::behavior_type make_behavior() {
    return {
        [this](adopt_atom) { adopt(); },
        [this](forget_atom, storage::shape_id id, bool last_word) {
          left[id] |= last_word;
          schedule(rest_min);
        },
        [this](flush_atom) { delete_some(); },
        [this](tick_atom) {
          look_at_usage();
          self->delayed_send(self, env.period, tick_atom_v);
        },
        [this](compact_atom) { compact(); },
    };
  }

  /// What the process before this one has left.
  void adopt() {
    const auto note = [this](const result<std::vector<storage::shape_id>>& found) {
      if (!found)
        spdlog::error("janitor: {}", found.error().message);
      else
        for (const auto id : *found)
          left[id] = true;
    };
    note(env.store->removed_shapes());
    note(env.store->ownerless_shapes());
    if (!left.empty()) {
      spdlog::info("what {} removed shapes had is being deleted", left.size());
      schedule(rest_min);
    }
    last_saved = now_seconds();
    self->delayed_send(self, env.period, tick_atom_v);
    if (env.compacts) {
      logs.emplace(*env.store, *env.index, env.compaction);
      self->delayed_send(self, compaction_look_min, compact_atom_v);
    }
  }

  void schedule(milliseconds rest) {
    if (is_due)
      return;
    is_due = true;
    self->delayed_send(self, rest, flush_atom_v);
  }

  void delete_some() {
    is_due = false;
    std::vector<storage::store::removal> some;
    for (auto next = left.begin(); next != left.end() && some.size() < together_max; ++next)
      some.push_back({next->first, next->second}); // by id, so that neighbours go together
    if (some.empty())
      return;
    const auto begin = steady_clock::now();
    if (auto done = env.store->remove_shapes(some); !done) {
      spdlog::error("janitor: {}; trying again", done.error().message);
      schedule(rest_max);
      return;
    }
    left.erase(left.begin(), left.lower_bound(storage::shape_id{to_number(some.back().id) + 1}));
    const auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin);
    schedule(std::clamp(rest_factor * took, rest_min, rest_max));
  }

  // -- logs ---------------------------------------------------------------------------------------

  /// That the same actor deletes what removed shapes had keeps it from being written anew.
  void compact() {
    const auto begin = steady_clock::now();
    if (begin >= next_look) {
      logs->look(begin);
      next_look =
          begin + std::clamp(env.compaction.horizon / 5, compaction_look_min, compaction_look_max);
    }
    if (const auto saved = logs->step())
      env.metrics->compaction_saved_bytes.Increment(static_cast<double>(*saved));
    else
      spdlog::warn("janitor: {}", saved.error().message);
    const auto now = steady_clock::now();
    const auto took = std::chrono::duration_cast<milliseconds>(now - begin);
    const auto rest =
        std::clamp(compaction_rest_factor * took, compaction_rest_min, compaction_rest_max);
    const auto pause = std::chrono::ceil<milliseconds>(next_look - now);
    self->delayed_send(self, logs->has_work() ? rest : std::max(pause, rest), compact_atom_v);
  }

  // -- what is read, and what has expired ---------------------------------------------------------

  static std::uint64_t now_seconds() { return shape_state::seconds_now(); }

  void look_at_usage() {
    const auto shapes = env.index->all();
    save(shapes);
    if (env.limits.any() && env.status->streaming())
      expire(shapes);
  }

  void save(const shape_list& shapes) {
    const auto now = now_seconds();
    std::vector<std::pair<storage::shape_id, storage::shape_usage>> changed;
    for (const auto& shape : shapes)
      if (const auto p = shape->progress();
          p.complete && !p.gone && (shape->read_at() >= last_saved || shape->take_grown()))
        changed.emplace_back(shape->id(),
                             storage::shape_usage{shape->read_at() * 1'000'000, shape->bytes()});
    last_saved = now;
    if (changed.empty())
      return;
    if (auto saved = env.store->put_usage(changed); !saved)
      spdlog::debug("janitor: {}", saved.error().message); // a guess too old harms nobody
  }

  void expire(const shape_list& shapes) {
    std::vector<shape_use> uses;
    uses.reserve(shapes.size());
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      const auto& shape = *shapes[i];
      const auto p = shape.progress();
      const bool is_set = shape.definition().is_set();
      if (!p.gone)
        uses.push_back({.index = i,
                        .read_at = shape.read_at(),
                        .bytes = shape.bytes(),
                        .counts = !is_set,
                        .may_go = p.complete && !is_set}); // a set goes with the last that asks it
    }
    const auto grace = std::chrono::duration_cast<std::chrono::seconds>(env.period);
    std::unordered_set<storage::shape_id> asked_now;
    for (const auto& [index, why] : choose_expired(uses, env.limits, now_seconds(), grace)) {
      const auto& shape = shapes[index];
      if (asked.contains(shape->id())) {
        self->send(others->directory, invalid_atom_v, shape, std::string{why});
      } else {
        // Somebody may be waiting for its next change, and for long: sessions that have such a
        // reader note that the shape is read.
        asked_now.insert(shape->id());
        self->send(others->materializer_of(shape->id()), check_atom_v, std::vector{shape->id()});
      }
    }
    asked = std::move(asked_now);
  }

  janitor_actor::pointer self;
  janitor_environment env;
  cast_ptr others;
  std::optional<compactor> logs; ///< If they are to be compacted.
  steady_clock::time_point next_look{};
  std::map<storage::shape_id, bool> left;      ///< Whose data is to be deleted; with the last word?
  bool is_due = false;                         ///< A message to delete some is on its way.
  std::uint64_t last_saved = 0;                ///< Seconds since 1970.
  std::unordered_set<storage::shape_id> asked; ///< Expired, if nobody says that it is being read.
};

} // namespace

janitor_actor spawn_janitor(caf::actor_system& system, const janitor_environment& environment,
                            cast_ptr others) {
  return system.spawn<caf::detached>(
      [environment, others = std::move(others)](
          janitor_actor::stateful_pointer<janitor_state> self) -> janitor_actor::behavior_type {
        self->state.env = environment;
        self->state.others = others;
        return self->state.make_behavior();
      });
}

} // namespace busbar
