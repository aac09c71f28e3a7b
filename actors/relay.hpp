// actors/relay.hpp: the leader's ends of the links to those that follow it, and to those that copy
// its store. What is sent is the store's own write-ahead log, so it does not matter who wrote.
#pragma once

#include "actors/node_status.hpp"
#include "actors/replication_gate.hpp"
#include "cluster/link.hpp"
#include "cluster/replication_message.hpp"
#include "monitoring/cluster_metrics.hpp"
#include "storage/store.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace busbar {

/// Borrowed parts outlive it.
struct relay_environment {
  const node_status* status = nullptr;
  replication_gate* gate = nullptr;
  std::function<std::uint64_t()> term; ///< In which this node leads; 0 = it does not.
  /// The shapes that have not yet all that is promised.
  std::function<std::vector<cluster::behind_shape>()> behind;
  monitoring::cluster_metrics* metrics = nullptr;
};

/// The serve_… functions keep the calling thread, one for each link, until the link ends or stop().
class relay {
public:
  explicit relay(relay_environment environment) : env_{std::move(environment)} {}
  /// Before there is a term.
  void use(storage::store* store) noexcept { store_.store(store, std::memory_order_release); }

  void serve_follow(cluster::link& to, const std::string& member);
  void serve_copy(cluster::link& to, const std::string& member);
  /// Lets go of what nobody came back for. Now and then.
  void tick();
  void stop() noexcept { stopped_.store(true, std::memory_order_release); }

private:
  struct outstanding;
  void send_log(cluster::link& to, const std::string& member, std::uint64_t term,
                storage::log_tail& tail, std::optional<storage::replicated_batch> next,
                outstanding& unacknowledged);
  void hear(cluster::link& from, const std::string& member, std::uint64_t number,
            outstanding& unacknowledged);
  bool stopped() const noexcept { return stopped_.load(std::memory_order_acquire); }

  storage::store& store() const noexcept { return *store_.load(std::memory_order_acquire); }

  relay_environment env_;
  std::atomic<storage::store*> store_{nullptr};
  std::atomic<bool> stopped_{false};
  std::atomic<int> copies_{0};
  struct held_checkpoint {
    std::unique_ptr<storage::checkpoint> files;
    std::chrono::steady_clock::time_point until;
  };
  std::mutex mutex_;
  std::map<std::string, held_checkpoint> held_; ///< By member, until it follows.
};

} // namespace busbar
