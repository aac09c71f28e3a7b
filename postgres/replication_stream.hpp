// postgres/replication_stream.hpp: the leader's session: lock, publication, slot, and the stream of
// Frames (spec 1.5, 1.6, 1.13).
#pragma once

#include "base/lsn.hpp"
#include "postgres/connection.hpp"
#include "postgres/timeline.hpp"
#include "schema/frame.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace busbar::postgres {

/// What was found when leadership was gained.
struct leadership {
  std::string system_id;
  std::uint32_t timeline = 0;
  std::vector<timeline_switch> history; ///< Of the timelines before; empty if it cannot be read.
  std::string database;
  lsn wal_end{};             ///< The database has no WAL beyond.
  std::uint64_t term = 0;    ///< pg_current_xact_id() at take-over: rises with every leader.
  bool slot_created = false; ///< No WAL continuity with what storage holds.
  lsn confirmed_flush{};     ///< Where the slot stands.
  int server_version = 0;
};

struct stream_settings {
  connection_url url;
  std::string stream_id = "default"; ///< [a-z0-9_]; names below derive from it.
  std::string slot_name = {};        ///< Instead of the one that derives from it.
  std::string publication() const { return "busbar_publication_" + stream_id; }
  std::string lock_name() const { return "busbar_slot_" + stream_id; }
  std::string slot() const { return slot_name.empty() ? lock_name() : slot_name; }
  bool manual_publishing = false; ///< The publication is only looked at.
  bool temporary_slot = false;    ///< It ends with the session: each one begins anew.
  bool failover_slot = false;     ///< Kept on standbys, too, where the server can.
  std::size_t frame_bytes_max = 512 * 1024;
  /// Asked once the server is known (system, timeline, database) and before anything there is
  /// touched; an error is fatal.
  std::function<result<void>(const leadership&)> accept = nullptr;
  /// Asked before each try for the lock: whether now is the time. Null: always.
  std::function<bool()> may_lead = nullptr;
  /// Asked when such a try has failed: whether the session that streams is to be ended, because its
  /// node is not there any more for most of the others. If so, up to where this node has
  /// everything: nobody gains by it if PostgreSQL has been told of more. Null: never.
  std::function<std::optional<lsn>()> may_depose = nullptr;
  std::function<void()> on_waiting = nullptr; ///< Another node leads: the wait for its lock begins.
  /// A new slot still waits for these transactions to end.
  std::function<void(const std::string&)> on_slot_wait = nullptr;
  /// A server that is asked and says nothing for so long is taken for dead. One that decodes a
  /// large transaction of tables that are not ours may need half of its wal_sender_timeout to
  /// answer; a dead network is noticed sooner, see connection::open_replication().
  std::chrono::milliseconds silence_max{300'000};
  /// Who holds the lock, but neither streams nor speaks for so long, is ended by a waiting node.
  std::chrono::milliseconds lock_idle_max{60'000};
};

/// One piece of news from the stream.
struct stream_event {
  frame transactions; ///< Empty if there are none.
  /// 0, or: nothing that is not yet delivered ends at or before this position, which is after the
  /// one that the stream was started with.
  lsn idle_up_to{};
};

/// Owned by the feed thread, which alone calls it (wake() excepted: any thread).
/// After an error it is of no more use: destroy it, which gives up the lock, then open() anew.
/// After trouble::slot_lost open() makes a new slot and says so (slot_created); nobody else need
/// drop it.
class replication_stream {
public:
  /// Connects, waits for the stream's advisory lock (trying several times a second, so `stop` is
  /// seen soon; every 10 s the lock breaker of spec 1.6), creates the publication, then the slot,
  /// as needed, and takes a term. A new slot waits for every transaction that is open then. The
  /// caller should start() soon: see lock_idle_max.
  static pg_result_of<replication_stream> open(const stream_settings& settings,
                                               std::atomic<bool>& stop);
  replication_stream(replication_stream&&) noexcept;
  replication_stream& operator=(replication_stream&&) noexcept;
  ~replication_stream();

  const leadership& leader() const noexcept;

  /// Keeps who waits for the lock from taking us for dead before start().
  pg_result_of<void> touch();

  /// START_REPLICATION at the slot's position with messages on. Nothing at or below `durable` (an
  /// end of a transaction) is sent again; it is not confirmed by this.
  pg_result_of<void> start(lsn durable);

  /// Waits for news until `until`, wake(), or a frame: full, or as much as has arrived and nothing
  /// more is readable at once (a mere piece of a transaction waits for its rest). Sends feedback
  /// when due. An event with neither part is a wake-up. What stands above the relations of a frame
  /// is asked of the catalog first, over a second session; what fails there is tried again for
  /// a while, with feedback, before it is an error.
  /// Without `hurry` what has arrived is kept until the frame is full, for a reader that still has
  /// work: many small transactions then share a frame.
  /// A server that has been asked for a sign of life and gives none is an error, too.
  pg_result_of<stream_event> next(deadline until, bool hurry = true);

  /// Like next(), but does not read: for back-pressure. Returns at wake() or `until`.
  pg_result_of<void> pause(deadline until);

  /// Tells PostgreSQL that all up to `flushed` is durable; never moves back, and never beyond what
  /// this connection has brought or begun with, which PostgreSQL would not send again. Sends at
  /// once if it advanced.
  pg_result_of<void> confirm(lsn flushed);

  /// Makes next() and pause() return early. Any thread.
  void wake() noexcept;

private:
  struct state;
  explicit replication_stream(std::unique_ptr<state> s);
  std::unique_ptr<state> state_;
};

} // namespace busbar::postgres
