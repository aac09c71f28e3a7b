// actors/cluster_node.hpp: this node's part in its cluster: whom it follows, or who follows it.
//
// PostgreSQL decides who leads: whoever holds the stream's lock. A node begins as a follower; when
// its feed gets the lock it leads(), and does so until the process ends: a leader that another has
// taken the place of begins again as a new process, since its storage may have gone another way.
#pragma once

#include "actors/follower.hpp"
#include "actors/leader_line.hpp"
#include "actors/relay.hpp"
#include "actors/remote_desk.hpp"
#include "actors/replication_gate.hpp"
#include "actors/shape_index.hpp"
#include "cluster/peers.hpp"
#include "monitoring/cluster_metrics.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace busbar {

struct cluster_settings {
  std::string self;
  std::string secret;
  cluster::roster_settings members;
  std::string stream_id;
  std::string version;
  std::chrono::milliseconds grace{30'000};
};

/// Borrowed parts outlive it.
struct cluster_environment {
  node_status* status = nullptr;
  const shape_index* index = nullptr;
  std::function<std::size_t()> clients; ///< Of this node.
  /// Once, by any thread: the process must begin again, for this reason.
  std::function<void(const std::string& why)> on_begin_again;
  monitoring::cluster_metrics* metrics = nullptr;
};

/// Of a member, for humans and programs.
struct member_report {
  cluster::member_view member;
  bool is_self = false;
  std::optional<replication_gate::view> followed; ///< As this node sees it, if it leads.
};

/// Any thread, except where it says otherwise.
class cluster_node {
public:
  using clock = std::chrono::steady_clock;

  /// Listens, and begins to look for the others. errc::misconfigured if it cannot.
  static result<std::unique_ptr<cluster_node>> start(cluster_settings settings,
                                                     cluster_environment environment);
  ~cluster_node();
  cluster_node(const cluster_node&) = delete;
  cluster_node& operator=(const cluster_node&) = delete;

  /// Waits for a leader, for that long at most; its name.
  std::optional<std::string> find_leader(clock::time_point until);
  /// Why a store of this lineage and sequence number cannot go on from the leader's log; empty if
  /// it can. errc::unavailable if that is not known, or not to be believed yet.
  result<std::string> why_copy(const std::string& leader, const storage::lineage& lineage,
                               std::uint64_t sequence);
  /// Fetches the leader's storage into the directory, whose store is not open.
  result<void> copy(const std::string& leader, const std::string& directory);

  /// After that, when the actors are there. The store is that of the process from now on.
  void follow(caf::actor_system& system, storage::store& store, cast_ptr others,
              stored_shapes& shapes);
  /// Asks the leader; for the cast.
  std::shared_ptr<leader_line> line();

  /// For the feed, while it waits for the stream's lock: whether this node may try to get it. There
  /// is no use in two members that try at once, and the one that has most of the log should.
  bool may_lead();
  /// For the feed, when it may lead and the lock is held: whether the leader is to be deposed. Most
  /// of the members must miss it, this one included. If so, up to where storage has everything.
  std::optional<lsn> may_depose() const;
  /// For the feed, with the lock, if PostgreSQL was told that more is safe than this node has:
  /// whether to lead nevertheless, without the shapes. Another member may have what is missing.
  bool may_lead_without();
  /// By the feed, with the lock: what the leader before has sent is written, and from here on this
  /// node leads. Blocks.
  void begin_to_lead(std::uint64_t term);
  /// The same once storage is in the hands of this node's own materializers.
  void lead(std::uint64_t term);
  std::uint64_t leading_term() const noexcept { return term_.load(std::memory_order_acquire); }

  /// By the FLUSHER: see replication_gate. `confirm` is what set_confirm() was given.
  void flushed(lsn position, std::uint64_t epoch);
  void set_confirm(replication_gate::confirm told);
  /// Waits until those that follow have what storage has now, for a moment at most.
  void wait_for_followers();

  /// The process is about to stop: others are told, and who follows is sent the rest. Blocks for a
  /// moment at most. No stream is read any more.
  void drain();
  void stop();

  std::vector<member_report> report() const;

private:
  class ask_leader;
  cluster_node(cluster_settings settings, cluster_environment environment);

  cluster::member_status self_status() const;
  void on_request(const std::string& request, std::function<void(std::string)> reply);
  void on_channel(std::unique_ptr<cluster::link> to, cluster::purpose why,
                  const cluster::hello& from);
  void on_change();
  void tick();
  void tell_reads();
  bool is_doubtful(const cluster::must_copy& copy, const storage::lineage& ours);
  void begin_again(const std::string& why);

  cluster_settings settings_;
  cluster_environment env_;
  std::atomic<storage::store*> store_{nullptr};
  cast_ptr others_;
  replication_gate::confirm confirm_;
  replication_gate gate_;
  relay relay_;
  std::unique_ptr<cluster::peers> peers_;
  std::unique_ptr<follower> own_follower_;
  std::atomic<follower*> follower_{nullptr}; ///< That one, for every thread.
  std::shared_ptr<leader_line> line_;
  std::atomic<std::uint64_t> term_{0}; ///< In which this node leads; 0 = it does not.
  std::atomic<bool> draining_{false};
  std::atomic<bool> wants_to_lead_{false};
  std::atomic<bool> begins_again_{false};
  /// In which this node has last begun to lead: from then on it follows nobody.
  std::atomic<std::uint64_t> tried_term_{0};
  const clock::time_point started_ = clock::now();
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;                           ///< Under the mutex, as what follows:
  std::optional<clock::time_point> doubted_;    ///< Since when a copy of an earlier term is due.
  std::optional<clock::time_point> lacking_;    ///< Since when it may_lead_without().
  clock::time_point lock_tried_{};              ///< While a leader says that it streams.
  std::optional<clock::time_point> leaderless_; ///< Since when nobody leads who has a stream.
  clock::time_point reads_told_ = clock::now();
  clock::time_point metrics_shown_{}; ///< Of the ticker.
  std::thread ticker_;
};

} // namespace busbar
