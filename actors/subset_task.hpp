// actors/subset_task.hpp: what a session asks of a SUBSET READER, and what it is told.
#pragma once

#include "actors/body_piece.hpp"
#include "actors/reader.hpp"
#include "actors/shape_state.hpp"
#include "base/lsn.hpp"
#include "shapes/subset.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

namespace busbar {

/// Written by the session until it is sent, from then on only `abandoned` changes.
struct subset_task {
  shape_ptr shape;
  subset_definition what;
  coding accepts = coding::identity;
  lsn seen{}; ///< The client may know of every change up to here, so the rows must show them all.
  std::chrono::steady_clock::time_point give_up{};
  std::chrono::steady_clock::time_point asked{};
  request_name name = {};
  std::uint64_t ticket = 0;            ///< The session's.
  std::atomic<bool> abandoned = false; ///< Nobody waits for the answer any more.
};
using subset_task_ptr = std::shared_ptr<const subset_task>;

struct subset_outcome {
  shared_bytes body; ///< The whole JSON; null if `why` says what went wrong.
  coding in = coding::identity;
  error why;
  bool said_by_postgres = false; ///< Only the database could tell.
  bool unreachable = false;      ///< There was no database to ask.
};

} // namespace busbar
