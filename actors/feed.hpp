// actors/feed.hpp: the feed thread: keeps the replication stream open and turns it into messages.
#pragma once

#include "actors/cast.hpp"
#include "actors/commit_clock.hpp"
#include "actors/continuity.hpp"
#include "actors/frame_credits.hpp"
#include "actors/node_status.hpp"
#include "actors/shape_index.hpp"
#include "monitoring/metrics.hpp"
#include "postgres/replication_stream.hpp"
#include "storage/store.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
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
  /// Called once, from the feed thread, if a first start needs a human's hand. The process stops.
  std::function<void(const error&)> on_fatal;
  /// Of a cluster's node: whether it may try to lead now, …
  std::function<bool()> may_lead = nullptr;
  std::function<std::optional<lsn>()> may_depose = nullptr; ///< See postgres::stream_settings.
  /// Whether it may lead though PostgreSQL was told that more is safe than storage has.
  std::function<bool()> may_lead_without = nullptr;
  /// … and what is to be done as soon as it does, before anything else, in this term. By the feed
  /// thread, at each take-over.
  std::function<result<void>(std::uint64_t term)> on_lead = nullptr;
  /// Storage has everything up to there. PostgreSQL is told when flushed() says that others have
  /// it, too; null: at once.
  std::function<void(lsn position, std::uint64_t epoch)> on_kept = nullptr;
};

/// The thread and what it shares with the REPLICATOR, which owns it.
class feed {
public:
  feed(caf::actor_system& system, feed_environment environment, cast_ptr others);
  ~feed(); ///< Stops the thread.

  /// Durable up to here. An epoch begins whenever the log begins anew, and positions may fall then;
  /// what is told of an earlier one is ignored. Any thread.
  void flushed(lsn position, std::uint64_t epoch) noexcept;
  void renew() noexcept; ///< The stream ends, and begins with a take-over. Any thread.
  /// It has applied a frame of this size. Any thread.
  void credit(std::size_t materializer, std::size_t bytes) noexcept;

private:
  void run();
  /// Tells everybody why there is no stream. False if the process should end instead.
  bool explain(const postgres::pg_error& ended);
  /// One connection, from its opening to its end; what ended it.
  postgres::pg_error stream_once();
  storage::node_identity identity_of(const postgres::leadership& leader) const;
  result<void> accept(const postgres::leadership& leader) const;
  result<our_past> past() const;
  result<bool> take_over(postgres::replication_stream& stream);
  bool reset_materializers(postgres::replication_stream& stream);
  /// After that, so that nobody writes positions of the time before any more.
  result<void> begin_anew(const postgres::leadership& leader);
  template <class... Words>
  bool ask_flusher(Words... words);
  void send_frame(const frame& next);
  void note_durable(lsn flushed);
  bool stopped() const noexcept { return stop_.load(std::memory_order_acquire); }
  void wake() noexcept;

  caf::actor_system& system_;
  feed_environment env_;
  cast_ptr others_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> must_renew_{false};
  std::atomic<std::uint64_t> flushed_{0};
  frame_credits credits_;
  std::mutex stream_mutex_; ///< Guards stream_ against a wake() while it changes, and epoch_.
  postgres::replication_stream* stream_ = nullptr;
  std::uint64_t epoch_ = 0; ///< What flushed_ belongs to.
  lsn kept_{};              ///< Where the last take-over found storage.
  bool may_end_ = true;     ///< The process, for want of a human: nothing would be lost by it yet.
  bool must_begin_anew_ = false; ///< The shapes were removed; storage may not know yet.
  std::string unpurged_;         ///< Why they must be, while they could not.
  std::optional<std::chrono::steady_clock::time_point>
      streaming_since_;  ///< In the last connection.
  commit_clock commits_; ///< Since the stream began.
  monitoring::seconds_tally lags_;
  bool is_stranger_ = false; ///< The last connection led to another database than storage's.
  std::thread thread_;
};

} // namespace busbar
