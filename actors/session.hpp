// actors/session.hpp: starts a CLIENT SESSION on an I/O thread.
#pragma once

#include "actors/audience.hpp"
#include "actors/cast.hpp"
#include "actors/client_session.hpp"
#include "actors/node_status.hpp"
#include "actors/piece_cache.hpp"
#include "actors/shape_index.hpp"
#include "monitoring/metrics.hpp"
#include "storage/store.hpp"

#include <chrono>
#include <functional>
#include <memory>

namespace busbar {

/// Borrowed parts outlive the session.
struct session_environment {
  cast_ptr others;
  const storage::store* store = nullptr;
  const shape_index* index = nullptr;
  const node_status* status = nullptr;
  piece_cache* cache = nullptr;
  monitoring::metrics* metrics = nullptr;
  std::chrono::milliseconds long_poll{20'000};
  audience* listeners = nullptr; ///< Where the session says who waits; may be left out.
};

/// `post` runs a task on the I/O thread; any thread may call it as long as the session lives. The
/// session must be used and destroyed on that thread, or once that thread has ended.
std::unique_ptr<client_session> start_session(caf::actor_system& system,
                                              const session_environment& environment,
                                              std::function<void(std::function<void()>)> post);

} // namespace busbar
