// actors/follower.hpp: the thread of a node that follows: it writes what the leader's log brings
// into this node's storage, and shows it to this node's readers.
#pragma once

#include "actors/cast.hpp"
#include "actors/node_status.hpp"
#include "actors/stored_shapes.hpp"
#include "cluster/peers.hpp"
#include "cluster/replication_message.hpp"
#include "storage/store.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace busbar {

/// Borrowed parts outlive it.
struct follower_environment {
  storage::store* store = nullptr;
  node_status* status = nullptr;
  cluster::peers* members = nullptr;
  /// Whether such a word is to be acted on.
  std::function<bool(const cluster::must_copy&, const storage::lineage&)> believes;
  /// Called once: this node's storage cannot go on from the leader's log, so the process must begin
  /// again with a copy.
  std::function<void(const std::string& why)> on_copy_needed;
};

class follower {
public:
  using clock = std::chrono::steady_clock;
  /// `shapes` are those that storage had.
  follower(caf::actor_system& system, follower_environment environment, cast_ptr others,
           stored_shapes& shapes);
  ~follower(); ///< As end(), at once.

  /// This node is about to lead: takes what the leader before has still sent, until its link ends
  /// or `until`, and follows nobody from then on. Returns when all of it is written and shown. Any
  /// thread, also several.
  void end(clock::time_point until);

  struct view {
    std::string leader;     ///< Empty: none is followed.
    std::uint64_t term = 0; ///< Of the last that was followed.
    std::uint64_t applied = 0;
    std::uint64_t synced = 0;
    bool in_sync = false;    ///< As its leader said last.
    clock::time_point heard; ///< When that was.
    bool streaming = false;  ///< The leader had a stream then.
  };
  view now() const;

  /// `then` is called once, when storage has this sequence number and readers see it (or this
  /// process has ended following, and has all there is), with errc::unavailable if not until then.
  void when_applied(std::uint64_t sequence, clock::time_point until,
                    std::function<void(result<void>)> then);
  /// Now and then: turns away who has waited too long.
  void tick();

private:
  struct waiting {
    std::uint64_t sequence = 0;
    clock::time_point until;
    std::function<void(result<void>)> then;
  };

  void run();
  void follow(const std::string& leader);
  bool take(const cluster::from_leader& message);
  void lag(const std::vector<cluster::behind_shape>& shapes);
  void lag(storage::shape_id id, std::uint64_t behind);
  void show(const storage::applied_changes& changes);
  void promise();
  void wake_waiting();
  void keep_synced();
  bool is_acknowledgement_due() const;
  void acknowledge();
  void join_threads();
  bool ending(clock::time_point now) const;

  caf::actor_system& system_;
  follower_environment env_;
  cast_ptr others_;
  stored_shapes& shapes_; ///< Of the thread, until end().
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;                            ///< Under the mutex, as what follows:
  std::optional<clock::time_point> last_moment_; ///< See end().
  view now_;
  std::shared_ptr<cluster::link> link_;
  clock::time_point acknowledged_at_{};
  std::vector<waiting> waiting_;
  std::deque<cluster::leader_progress> promises_; ///< Of the thread: by sequence.
  /// Of the thread: of shapes that are not finished yet.
  std::unordered_map<storage::shape_id, std::uint64_t> behind_;
  std::string no_link_because_; ///< Of the thread: what was said last.
  bool begins_anew_ = false;    ///< Of the thread: all shapes went, and the next promise may fall.
  std::atomic<bool> copying_{false};
  std::mutex joining_;
  std::thread syncer_;
  std::thread thread_;
};

} // namespace busbar
