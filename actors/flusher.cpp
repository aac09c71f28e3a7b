#include "actors/flusher.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

namespace busbar {

namespace {

/// Positions that rest on no new data are synced this often at most: PostgreSQL may then forget the
/// WAL of other tables, but there is no hurry.
constexpr std::chrono::seconds idle_interval{1};

struct flusher_state {
  static constexpr const char* name = "flusher";
  explicit flusher_state(flusher_actor::pointer self) : self{self} {}

  flusher_actor::behavior_type make_behavior() {
    return {
        [this](applied_atom, std::uint32_t materializer, lsn position, bool wrote) {
          applied[materializer] = std::max(applied[materializer], position);
          dirty |= wrote;
          schedule();
        },
        [this](reset_atom, lsn position, std::uint64_t now) {
          std::fill(applied.begin(), applied.end(), position);
          durable = position;
          epoch = now;
          return true;
        },
        [this](continue_atom, lsn position) {
          for (auto& each : applied)
            each = std::max(each, position);
          durable = std::max(durable, position);
          return true;
        },
        [this](flush_atom) { flush(); },
    };
  }

  void schedule() {
    if (dirty && !due_now) {
      due_now = true;
      self->send(self, flush_atom_v);
    } else if (!dirty && !due_now && !due_later) {
      due_later = true;
      self->delayed_send(self, idle_interval, flush_atom_v);
    }
  }

  void flush() {
    const bool was_due_now = due_now;
    due_now = false;
    if (!was_due_now)
      due_later = false;
    const auto position = *std::min_element(applied.begin(), applied.end());
    if (position <= durable)
      return;
    dirty = false;
    const auto begin = std::chrono::steady_clock::now();
    if (auto done = store->sync(position, status->newest_xid.load()); !done) {
      spdlog::error("flusher: {}; trying again", done.error().message);
      dirty = true;
      due_later = true;
      self->delayed_send(self, idle_interval, flush_atom_v);
      return;
    }
    metrics->storage_sync_seconds.Observe(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    durable = position;
    // Everything that ends at or before `position` is shown, and a change to come may commit there.
    for (std::size_t i = 0; i < applied.size(); ++i)
      status->processed(i, to_number(position) - 1);
    if (on_durable)
      on_durable(position, epoch);
    else
      self->send(others->replicator, flushed_atom_v, position, epoch);
  }

  flusher_actor::pointer self;
  storage::store* store = nullptr;
  node_status* status = nullptr;
  monitoring::metrics* metrics = nullptr;
  cast_ptr others;
  durable_callback on_durable;
  std::vector<lsn> applied;
  lsn durable{};
  std::uint64_t epoch = 0;
  bool dirty = false;     ///< A commit has not been synced.
  bool due_now = false;   ///< A flush message is in the mailbox,
  bool due_later = false; ///< or on its way.
};

} // namespace

flusher_actor spawn_flusher(caf::actor_system& system, storage::store& store, node_status& status,
                            monitoring::metrics& metrics, std::size_t materializers,
                            cast_ptr others, durable_callback on_durable) {
  return system.spawn<caf::detached>(
      [&store, &status, &metrics, materializers, others = std::move(others),
       on_durable = std::move(on_durable)](flusher_actor::stateful_pointer<flusher_state> self) {
        auto& state = self->state;
        state.store = &store;
        state.status = &status;
        state.metrics = &metrics;
        state.others = others;
        state.on_durable = on_durable;
        state.applied.resize(materializers);
        return state.make_behavior();
      });
}

} // namespace busbar
