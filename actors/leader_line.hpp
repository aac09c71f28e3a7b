// actors/leader_line.hpp: how the actors of a node that follows ask the node that leads.
#pragma once

#include "cluster/replication_message.hpp"

#include <chrono>
#include <functional>

namespace busbar {

/// Any thread.
class leader_line {
public:
  virtual ~leader_line() = default;

  /// `then` is called once, on any thread: with the answer, when all that it speaks of has arrived
  /// in this node's storage and is shown; or with errc::unavailable.
  virtual void ask(const cluster::question& what, std::chrono::steady_clock::time_point until,
                   std::function<void(result<cluster::answer>)> then) = 0;
};

} // namespace busbar
