// actors/subset_reader.hpp: starts a SUBSET READER (protocol.hpp): reads some of a shape's present
// rows from PostgreSQL, with what tells clients which changes they contain (spec shape-protocol
// 15).
#pragma once

#include "actors/cast.hpp"
#include "actors/node_status.hpp"
#include "actors/protocol.hpp"
#include "monitoring/metrics.hpp"
#include "postgres/connection.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string_view>

namespace busbar {

/// How many bytes all subsets that are being read or sent may hold together. A body gives its part
/// back when the last client has it. Shared by all readers; any thread.
struct subset_budget {
  explicit subset_budget(std::size_t max) : bytes_max{max} {}
  const std::size_t bytes_max;
  std::atomic<std::size_t> bytes{0};
};

struct subset_reader_environment {
  postgres::connection_url url; ///< May go through a pooler.
  std::shared_ptr<subset_budget> budget;
  const node_status* status = nullptr;
  std::string_view secret = {};                ///< As the materializers have it.
  std::size_t body_bytes_max = 64u << 20;      ///< Of one answer; larger: 400.
  monitoring::metrics* metrics = nullptr;      ///< May be left out, by tests.
  std::chrono::milliseconds slow_query{1'000}; ///< See slow_queries.hpp.
};

subset_reader_actor spawn_subset_reader(caf::actor_system& system,
                                        subset_reader_environment environment, cast_ptr others);

} // namespace busbar
