// actors/reconciler.hpp: starts the RECONCILER (protocol.hpp). The stream tells of a table only
// when a row of it is written; a table that was dropped, renamed or taken out of the publication is
// silent, and its shapes would stay "up to date" for ever.
#pragma once

#include "actors/cast.hpp"
#include "actors/node_status.hpp"
#include "actors/protocol.hpp"
#include "actors/shape_index.hpp"
#include "actors/slot_report.hpp"
#include "actors/table_tidier.hpp"
#include "monitoring/metrics.hpp"
#include "postgres/connection.hpp"

#include <chrono>
#include <optional>
#include <string>

namespace busbar {

/// Borrowed parts outlive the actor system.
struct reconciler_environment {
  std::optional<postgres::connection_url> url;
  std::string publication;
  std::string slot; ///< Its name.
  const shape_index* index = nullptr;
  const node_status* status = nullptr;
  std::chrono::milliseconds period{60'000};
  tidier_settings unused = {};
  slot_report* report = nullptr;          ///< May be left out, by tests, …
  monitoring::metrics* metrics = nullptr; ///< … together with this.
};

reconciler_actor spawn_reconciler(caf::actor_system& system, reconciler_environment environment,
                                  cast_ptr others);

} // namespace busbar
