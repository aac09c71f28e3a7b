#include "actors/replicator.hpp"

namespace busbar {

namespace {

struct replicator_state {
  static constexpr const char* name = "replicator";
  std::unique_ptr<feed> reader; ///< Ends with the actor.
};

} // namespace

replicator_actor spawn_replicator(caf::actor_system& system, feed_environment environment,
                                  cast_ptr others) {
  return system.spawn([environment = std::move(environment), others = std::move(others)](
                          replicator_actor::stateful_pointer<replicator_state> self)
                          -> replicator_actor::behavior_type {
    return {
        [self, environment, others](flushed_atom, lsn position, std::uint64_t epoch) {
          auto& reader = self->state.reader;
          if (!reader)
            reader = std::make_unique<feed>(self->system(), environment, others);
          if (position > lsn{0})
            reader->flushed(position, epoch);
        },
        [self](renew_atom) {
          if (self->state.reader)
            self->state.reader->renew();
        },
        [self](applied_atom, std::uint32_t materializer, std::uint64_t bytes) {
          if (self->state.reader)
            self->state.reader->credit(materializer, bytes);
        },
    };
  });
}

} // namespace busbar
