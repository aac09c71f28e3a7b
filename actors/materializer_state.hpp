// actors/materializer_state.hpp: everything one MATERIALIZER owns; only for materializer*.cpp. The
// stream is in materializer.cpp, the beginning of a shape in materializer_splice.cpp, what becomes
// of its table in materializer_tables.cpp, subqueries in materializer_moves.cpp, what readers hear
// and its end in materializer_watch.cpp.
#pragma once

#include "actors/caf_error.hpp"
#include "actors/frame_spool.hpp"
#include "actors/materializer.hpp"
#include "actors/subquery_state.hpp"
#include "actors/table_fanout.hpp"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace busbar {

/// CAF destroys it with the actor, whoever still holds a handle.
struct materializer_state {
  static constexpr const char* name = "materializer";
  /// Commits remembered for the splice's check; at most so many sessions can be waiting, between
  /// writing their commit record and becoming visible, for a synchronous standby.
  static constexpr std::size_t recent_commits_max = 32'768;
  using shape_id = storage::shape_id;

  explicit materializer_state(materializer_actor::pointer self) : self{self} {}
  ~materializer_state();
  materializer_state(const materializer_state&) = delete;
  materializer_state& operator=(const materializer_state&) = delete;

  /// A shape of ours.
  struct owned_shape {
    explicit owned_shape(shape_ptr shape, std::uint64_t chunk_bytes_max)
        : log{std::move(shape), chunk_bytes_max} {}
    shape_log_writer log;
    std::uint64_t created_lsn = 0; ///< 0 until the creation message has come by.
    std::vector<session_actor> watchers;
    storage::known_ptr known;       ///< Of its table; null before its snapshot is opened.
    std::unique_ptr<inner_set> set; ///< If it is one.
    std::unique_ptr<asker> asks;    ///< If its clause has subqueries, and their sets are there.
  };
  using owned_ptr = std::unique_ptr<owned_shape>;

  materializer_actor::behavior_type make_behavior();

  // -- the stream: materializer.cpp ---------------------------------------------------------------

  void receive(const frame& next);
  /// Applies what waits; the replicator's credits bound how much that can be.
  void drain_backlog();
  void idle(lsn position);
  /// Shapes that catch up with the others, together.
  struct late_shapes {
    std::vector<owned_shape*> all;
    std::unordered_set<const shape_log_writer*> logs;
    bool has(const shape_log_writer& log) const { return logs.contains(&log); }
  };
  /// Goes over a frame: for all shapes, or only for those that catch up, and then without
  /// `void_tx`, and of the transactions that commit after `after` and not after `upto`.
  void apply(const frame& whole, const late_shapes* only, std::uint64_t void_tx = 0,
             std::uint64_t after = 0, std::uint64_t upto = ~std::uint64_t{0});
  std::uint32_t take_relations(const schema::Frame::Reader& root, std::uint32_t next,
                               std::uint32_t before_change);
  /// The fan-outs that a relation's changes concern: its own and those of the tables above it.
  const std::vector<table_fanout*>& fanouts_of(std::uint32_t oid);
  /// A table that became a partition may have brought rows with it, which no change has told.
  void check_attached(shape_log_writer& log, const stream_relation& relation);
  void route(const schema::Frame::Reader& root, const schema::Change::Reader& change,
             const change_position& at, const late_shapes* only);
  table_fanout::sink sink_of(table_fanout& table, const change_position& at,
                             const late_shapes* only);
  void route_to(table_fanout& table, const schema::Frame::Reader& root,
                const schema::Change::Reader& change, const change_position& at,
                const late_shapes* only);
  void commit(std::uint64_t tx, std::uint32_t xid, const late_shapes* only);
  void commit_log(shape_log_writer& log, std::uint64_t tx);
  void note_passed(shape_log_writer& log, std::uint64_t tx, std::uint32_t xid);
  /// Makes the batch visible, then shows it; false if the disk refused.
  bool write_out();
  /// The same before the frame's end, if its entries have become too many to hold.
  void write_early();
  void finish_frame(const frame& done);
  void tell_metrics();
  /// Tells how far every shape is, parked ones included.
  void report();
  /// Into the batch: what it makes visible, for nodes that follow.
  void note_heads();
  bool reset();

  // -- a shape's beginning: materializer_splice.cpp -----------------------------------------------

  void control(capnp::Data::Reader content, const schema::Transaction::Reader& transaction);
  caf::result<lsn> expect(const shape_list& list);
  owned_shape& own(const shape_ptr& shape);
  caf::result<bool> splice(const shape_list& list, const snapshot& sees, const facts_ptr& facts);
  /// What has been kept for shapes since their creation goes into their logs.
  void catch_up(const late_shapes& late);
  bool adopt(const adoption_list& adopted);
  /// Whether the snapshot sees all that has committed up to here, as far as we remember.
  bool sees_commits(const snapshot& sees, std::uint64_t upto) const;
  /// Frames that shapes between creation message and snapshot will want.
  void keep_aside(const frame& done);
  /// Of those that need frames kept aside, and after which transaction; ~0 if there is none.
  std::pair<shape_id, std::uint64_t> longest_waiting() const;
  /// The next frame of the backlog will have to be kept aside, and there is no memory for that:
  /// from now on it lies on the disk, for all who refer to it.
  void spool_front();
  /// Lets go of the frames that end before the first shape that still waits was created.
  void trim_aside();
  /// The frames kept aside hold rows that the relation's new description does not fit.
  void give_up_awaiting(const stream_relation& relation);

  // -- what becomes of its table: materializer_tables.cpp -----------------------------------------

  /// By the RECONCILER.
  void note(const catalog_facts& found);
  /// What a frame says of tables; for all shapes, or only for those that catch up.
  void take_tables(const schema::Frame::Reader& root, const late_shapes* only);
  /// Compares all shapes on the table, or only some, with what is known by now.
  void compare(const facts_ptr& facts, const snapshot& seen, const late_shapes* only);
  /// Of shapes that were defined against the same description of the table.
  void keep_facts(std::span<owned_shape* const> known_by, const facts_ptr& facts,
                  const snapshot& seen);
  /// The relation was a partition of these tables, and is none of theirs any more.
  void leave(const stream_relation& before, const stream_relation& now);

  // -- subqueries: materializer_moves.cpp, and how sets begin and end: materializer_sets.cpp ------

  using value_list = std::vector<std::pair<std::uint16_t, digest>>; ///< By subquery.

  /// Takes a change into a shape with subqueries, or a set. An image is empty if there is none, or
  /// if the clause, having no subqueries, is known not to hold for it. False if the clause cannot
  /// be evaluated.
  bool judge_change(shape_log_writer& log, row_cells old_row, row_cells new_row,
                    const change_position& at, entry_encoder& encoder);
  /// One row more or less has its value in the set. False if that cannot be read.
  bool count(owned_shape& owned, row_cells row, int by, std::uint32_t xid);
  /// Transaction `tx` has ended for all shapes: the sets take what it did.
  void end_sets(std::uint64_t tx);
  /// One set has caught up with `tx`.
  void end_set(owned_shape& owned, std::uint64_t tx);
  /// Returns the moves, and makes all who ask the set lag behind it.
  std::vector<set_move> fold(owned_shape& owned, std::uint64_t tx);
  static void lag_behind(asker& asks, const inner_set& set, const set_move& move);
  void keep_journal(owned_shape& owned, std::vector<set_move> moves);
  void trim_journals(const asker& asks);
  void trim_journal(shape_id set);
  /// Of the sets whose moves shapes have just made: once for all of them.
  void trim_used_journals();
  /// So many rows of the set have the value now.
  void set_count(owned_shape& owned, const digest& value, std::uint32_t count);
  /// Nobody sees any more what has left the set.
  void forget_stale(owned_shape& owned);
  /// The set is removed.
  void forget_values(owned_shape& owned);
  void store_lag(owned_shape& owned);
  /// The shape is at `tx`, like the sets: it makes the moves that it lags by, or parks for them.
  void settle(owned_shape& owned, std::uint64_t tx);
  /// Clients with subsets may have rows of values that have come or gone unknown to the log, or
  /// lack some. At `tx` these values are hidden; `rows_come`: also those whose rows are about to
  /// come. False if the shape was given up.
  bool correct_subsets(owned_shape& owned, std::uint64_t tx, bool rows_come);
  /// Whether a subset of the shape may be read from a snapshot; it must see all up to `upto`.
  bool subset_may_be_read(shape_id id, const snapshot& sees, std::uint64_t upto);
  /// Finds out anew from where on moves are missing, for all who ask it, too …
  void refresh_behind(owned_shape& owned);
  /// … and lets clients be promised more, once what was missing is visible.
  void show_behind();
  void tell_moves(owned_shape& owned, std::uint64_t tx, std::string_view event,
                  const value_list& values);
  void append_move(owned_shape& owned, std::uint64_t tx, std::string json);
  /// What the stream has committed, seen through one snapshot.
  struct streamed_view {
    const snapshot* sees = nullptr;
    std::uint64_t last_seen = 0;                    ///< Commit LSN; 0 = none.
    std::uint64_t first_missed = ~std::uint64_t{0}; ///< ~0 = none.
  };
  streamed_view view_of(const snapshot& sees) const;
  /// The snapshot is the state right after this transaction, of those from `from` on; nullopt if it
  /// is not that of any.
  std::optional<std::uint64_t> boundary(const streamed_view& view, std::uint64_t from) const;
  void commit_open(owned_shape& owned, std::uint64_t tx);
  caf::result<lsn> fence(const std::string& slot, const std::string& token);
  void pass_fence(const std::string& token, std::uint64_t tx);

  // -- parked shapes: materializer_parked.cpp, what goes by them: materializer_passed.cpp ---------

  struct batch_members { ///< By task.
    std::uint64_t number = 0;
    std::size_t reader = 0;
    std::vector<std::vector<shape_id>> of;
  };
  void park(owned_shape& owned, std::uint64_t tx);
  /// The shape waits until a MOVE READER is free.
  void queue(owned_shape& owned);
  move_task plan_task(owned_shape& owned);
  void start_tasks();
  void start_batch(std::size_t reader);
  void finish_batch(const move_batch& batch, const batch_members& members,
                    const move_outcomes& outcomes);
  void plan_again();
  void after_splice();
  /// False if another snapshot is needed.
  bool make_moves(owned_shape& owned, const move_task& task, const move_outcome& outcome,
                  const streamed_view& view);
  bool take_rows(owned_shape& owned, const move_task& task, const move_outcome& outcome,
                 const snapshot& sees, const std::vector<by_digest<asker::late>>& before_view,
                 std::uint64_t tx);
  /// Remembers the present change, which goes by a parked shape.
  void note_passed_change(const shape_log_writer& log, const change_position& at, bool old_row,
                          bool new_row);
  /// The transaction that goes by will come again.
  static void drop_passed(asker& asks, std::uint64_t open_tx);
  /// The transactions that went by a shape after `after` and up to `upto`. False if the shape was
  /// given up.
  bool replay(owned_shape& owned, std::uint64_t after, std::uint64_t upto);
  bool replay_aside(owned_shape& owned, std::uint64_t after, std::uint64_t upto);
  bool replay_passed(owned_shape& owned, std::uint64_t upto);
  void replay_change(owned_shape& owned, const frame& whole, const passed_changes::one& one);
  static void forget_passed(asker& asks);
  /// The shape is at `from`: on to where the others are.
  void go_on(owned_shape& owned, std::uint64_t from);
  caf::result<std::string> join(shape_id id, const snapshot& sees, const facts_ptr& facts,
                                const set_contents_ptr& contents);
  /// Connects a shape with the sets that it asks, which must be there.
  result<void> link(owned_shape& owned);
  void unlink(owned_shape& owned);
  result<void> adopt_sets(owned_shape& owned, std::uint64_t position);

  // -- its readers and its end: materializer_watch.cpp --------------------------------------------

  void publish();
  /// What another node's materializer has published.
  void follow(const move_list& moves);
  using session_news = std::unordered_map<caf::actor_addr, std::pair<session_actor, move_list>>;
  static void add_news(session_news& news, const owned_shape& owned, const head_move& move);
  void tell(session_news& news);
  /// A session has dealt with one message of moves. What it was not told meanwhile it is told now,
  /// in one go: however slow it is, what waits for it stays small.
  void ready(const session_actor& session);
  void watch(const shape_ptr& shape, const session_actor& session);
  void unwatch(shape_id id, const session_actor& session);
  void tell_watchers(const id_list& ids);
  /// The shape is wrong from here on. Readers must not see more of it; the directory does the rest.
  void give_up(shape_log_writer& log, const std::string& why);
  void forget(const shape_ptr& shape);

  materializer_actor::pointer self;
  materializer_environment env;
  cast_ptr others;

  std::unordered_map<shape_id, owned_ptr> shapes;
  std::unordered_map<std::uint32_t, table_fanout> tables;            ///< By oid.
  std::unordered_map<std::uint32_t, stream_relation> relations_seen; ///< By oid.
  std::unordered_map<std::uint32_t, facts_ptr>
      facts_kept; ///< By oid; the last, for shapes to share.
  struct expectation {
    shape_id id{};
    std::shared_ptr<caf::typed_response_promise<lsn>> waiting; ///< All of one message share it.
  };
  std::unordered_map<std::string, expectation> expected; ///< By handle, until its message comes by.
  std::set<shape_id> awaiting; ///< Creation message seen, snapshot not opened yet.
  std::set<shape_id> splicing; ///< Snapshot opened, not yet passed by the stream.
  struct kept_frame {
    frame whole;
    std::uint64_t void_tx = 0; ///< A piece of this transaction that has been sent again since.
    bool is_spooled = false;
    std::size_t memory_bytes() const noexcept { return is_spooled ? 0 : whole.size_bytes(); }
  };
  std::deque<kept_frame> aside;
  std::size_t aside_bytes = 0;                                        ///< In memory.
  std::optional<frame_spool> spool;                                   ///< Never empty.
  bool is_front_spooled = false;                                      ///< Of the backlog.
  std::deque<std::pair<std::uint32_t, std::uint64_t>> recent_commits; ///< xid, commit LSN

  std::deque<frame> backlog; ///< The front one may be applied but not written.
  bool applied_front = false;
  bool disk_refuses = false;
  storage::batch writes;
  bool wrote = false;             ///< Since the flusher was last told.
  std::uint64_t open_on_disk = 0; ///< The transaction that storage knows to be written in part.
  /// Commit LSN of the stream's unfinished transaction, if any; of the present one while a frame is
  /// gone over.
  std::uint64_t open_tx = 0;
  std::vector<table_fanout*> routed; ///< See fanouts_of() …
  std::uint32_t routed_oid = 0;      ///< … which has them for this relation; 0 = none.
  std::unordered_set<shape_log_writer*> touched; ///< Logs with entries of the open transaction.
  std::unordered_set<shape_log_writer*> moved;   ///< Logs with unpublished commits.
  std::optional<value_hasher> hasher;            ///< Never empty.
  struct {
    judged_row before;
    judged_row after;
  } judged;                                   ///< Of the present change.
  const table_info* judged_table = nullptr;   ///< How the last shape judged knows its table.
  std::vector<encoded_entry> made;            ///< Of the present change.
  std::unordered_set<owned_shape*> open_sets; ///< Sets that the open transaction has touched.
  std::uint64_t reached = 0; ///< The last commit before the stream began anew; 0 = it has not.
  struct {
    const frame* whole = nullptr;
    std::uint32_t transaction = 0;
    std::uint32_t index = 0;
    const late_shapes* only = nullptr; ///< Who goes over it, if not all.
  } present;                           ///< Change.
  set_values values_held;              ///< Of all sets.
  std::set<shape_id> parked;
  std::set<shape_id> less_behind; ///< Than their clients are told so far.
  std::set<shape_id> more_behind; ///< Than followers are told so far.
  bool leads = false;             ///< Otherwise nothing is written, and shapes only have watchers.
  std::set<shape_id> unsettled;   ///< They lag, and settle when the open transaction ends.
  std::set<shape_id> used_journals; ///< Of these sets; see trim_used_journals().
  std::deque<shape_id> to_ask;      ///< Parked shapes whose rows nobody is asked for yet …
  std::vector<bool> readers_busy;   ///< … because all MOVE READERS are at work for us.
  std::uint64_t last_task = 0;
  std::unordered_map<std::string, std::pair<std::string, caf::typed_response_promise<lsn>>>
      fences; ///< By slot: the token waited for.
  struct session_pace {
    std::size_t unread = 0;              ///< Messages of moves that it has not dealt with yet.
    std::unordered_set<shape_id> behind; ///< Moved since then.
  };
  std::unordered_map<caf::actor_addr, session_pace> paces; ///< As many as there are I/O threads.
  lsn applied{};
  std::uint64_t last_commit = 0;
  std::uint64_t entries_made = 0; ///< Since the metrics were last told.
  std::uint64_t bytes_made = 0;
  std::uint64_t bytes_written = 0; ///< Of bytes_made.
  struct {
    std::uint64_t transactions_stored = 0;
    std::uint64_t transactions_passed = 0;
    std::uint64_t changes_stored = 0;
    std::uint64_t changes_passed = 0;
    std::uint64_t bytes_stored = 0;
    std::uint64_t bytes_passed = 0;
    void took(std::uint64_t bytes, bool stored) noexcept {
      ++(stored ? changes_stored : changes_passed);
      (stored ? bytes_stored : bytes_passed) += bytes;
    }
  } gone_over; ///< Since the metrics were last told.
  /// When the first transaction of the frame that is worked on committed; 0 = there is none.
  std::int64_t committing = 0;
  bool refused_early = false; ///< Then the rest of the frame is held, and written with it.
};

} // namespace busbar
