// actors/feed.hpp: the feed thread: keeps the replication stream open and turns it into messages.
#pragma once

#include "actors/cast.hpp"
#include "actors/frame_credits.hpp"
#include "actors/node_status.hpp"
#include "actors/shape_index.hpp"
#include "monitoring/metrics.hpp"
#include "postgres/replication_stream.hpp"
#include "storage/store.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

namespace busbar {

/// Borrowed parts outlive the actor system.
struct feed_environment {
  postgres::stream_settings stream;
  storage::store* store = nullptr;
  node_status* status = nullptr;
  monitoring::metrics* metrics = nullptr;
  const shape_index* shapes = nullptr;
  std::size_t frame_bytes_max = 64u << 20; ///< Of frames that are not applied yet, all together.
  /// Called once, from the feed thread, when it cannot go on without a human. The process stops.
  std::function<void(const error&)> on_fatal;
};

/// The thread and what it shares with the REPLICATOR, which owns it.
class feed {
public:
  feed(caf::actor_system& system, feed_environment environment, cast_ptr others);
  ~feed(); ///< Stops the thread.

  /// Durable up to here. An epoch begins whenever the log begins anew, and positions may fall then;
  /// what is told of an earlier one is ignored. Any thread.
  void flushed(lsn position, std::uint64_t epoch) noexcept;
  /// It has applied a frame of this size. Any thread.
  void credit(std::size_t materializer, std::size_t bytes) noexcept;

private:
  void run();
  /// One connection, from its opening to its end; what ended it.
  postgres::pg_error stream_once();
  storage::node_identity identity_of(const postgres::leadership& leader) const;
  result<void> accept(const postgres::leadership& leader) const;
  result<bool> take_over(const postgres::leadership& leader);
  bool reset_materializers();
  /// After that, so that nobody writes positions of the time before any more.
  result<void> begin_anew(const postgres::leadership& leader);
  void send_frame(const frame& next);
  bool stopped() const noexcept { return stop_.load(std::memory_order_acquire); }
  void wake() noexcept;

  caf::actor_system& system_;
  feed_environment env_;
  cast_ptr others_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> flushed_{0};
  frame_credits credits_;
  std::mutex stream_mutex_; ///< Guards stream_ against a wake() while it changes, and epoch_.
  postgres::replication_stream* stream_ = nullptr;
  std::uint64_t epoch_ = 0; ///< What flushed_ belongs to.
  bool was_connected_ = false;
  bool must_begin_anew_ = false; ///< The shapes were removed; storage may not know yet.
  bool was_streaming_ = false;   ///< In the last connection: then back-off begins anew.
  std::thread thread_;
};

} // namespace busbar
