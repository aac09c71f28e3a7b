// actors/protocol.hpp: the whole conversation: who may say what to whom, and what it answers.
#pragma once

#include "actors/head_move.hpp"
#include "actors/move_task.hpp"
#include "actors/shape_state.hpp"
#include "actors/subset_task.hpp"
#include "base/lsn.hpp"
#include "base/snapshot.hpp"
#include "schema/frame.hpp"
#include "shapes/shape_request.hpp"
#include "storage/shape_record.hpp"

#include <caf/all.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace busbar {

using shape_list = std::vector<shape_ptr>;
using definition_ptr = std::shared_ptr<const shape_definition>;
using move_list = std::vector<head_move>;
struct remote_task; // remote_desk.hpp
using remote_task_ptr = std::shared_ptr<remote_task>;

/// What the RESOLVER is asked. The time (steady_ticks(), resolver.hpp) says when: a burst of
/// questions about a table needs one look, and nobody waits for an answer for ever.
struct resolve_task {
  shape_request request;
  std::uint64_t asked = 0;
};
using resolve_list = std::vector<resolve_task>;

/// What it answers: the checked definition, and an id in case it is a new shape.
struct resolution {
  definition_ptr definition;
  storage::shape_id fresh_id{};
  /// The sets below it, those first that others ask, each with an id in case it is new.
  std::vector<std::pair<definition_ptr, storage::shape_id>> sets = {};
};
using resolution_list = std::vector<result<resolution>>; ///< In the order of the questions.
using id_list = std::vector<storage::shape_id>;

/// A shape that storage still had at start.
struct adoption {
  shape_ptr shape;
  std::uint64_t created_lsn = 0;
  snapshot_ptr visibility;
  std::uint64_t splice_passed = 0; ///< Commit LSN of the first transaction past it; 0 = not yet.
  std::uint64_t open_chunk_bytes = 0;
  storage::known_ptr known = nullptr;
};
using adoption_list = std::vector<adoption>;

/// Of a node that follows: what the leader said of a definition, once what it speaks of is here.
struct leader_word {
  std::string key; ///< As the DIRECTORY named the question.
  error why;       ///< ok if the shape is there.
};

} // namespace busbar

// These travel inside one process only. What crosses nodes is bytes of schema/.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::frame)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::shape_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::shape_list)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::adoption_list)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::move_list)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::resolve_list)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::resolution_list)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::id_list)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::snapshot)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::shape_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::subset_task_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::subset_outcome)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::facts_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::catalog_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::move_batch_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::move_outcomes_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::set_contents_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::leader_word)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(busbar::remote_task_ptr)

CAF_BEGIN_TYPE_ID_BLOCK(busbar, caf::first_custom_type_id) // append only: newer CAF sends these ids
CAF_ADD_TYPE_ID(busbar, (busbar::lsn))
CAF_ADD_TYPE_ID(busbar, (busbar::storage::shape_id))
CAF_ADD_ATOM(busbar, busbar, adopt_atom, "adopt")
CAF_ADD_ATOM(busbar, busbar, apply_atom, "apply")
CAF_ADD_ATOM(busbar, busbar, applied_atom, "applied")
CAF_ADD_ATOM(busbar, busbar, check_atom, "check")
CAF_ADD_ATOM(busbar, busbar, create_atom, "create")
CAF_ADD_ATOM(busbar, busbar, continue_atom, "continue")
CAF_ADD_ATOM(busbar, busbar, drop_atom, "drop")
CAF_ADD_ATOM(busbar, busbar, expect_atom, "expect")
CAF_ADD_ATOM(busbar, busbar, failed_atom, "failed")
CAF_ADD_ATOM(busbar, busbar, find_atom, "find")
CAF_ADD_ATOM(busbar, busbar, finished_atom, "finished")
CAF_ADD_ATOM(busbar, busbar, flush_atom, "flush")
CAF_ADD_ATOM(busbar, busbar, flushed_atom, "flushed")
CAF_ADD_ATOM(busbar, busbar, forget_atom, "forget")
CAF_ADD_ATOM(busbar, busbar, idle_atom, "idle")
CAF_ADD_ATOM(busbar, busbar, invalid_atom, "invalid")
CAF_ADD_ATOM(busbar, busbar, moved_atom, "moved")
CAF_ADD_ATOM(busbar, busbar, purge_atom, "purge")
CAF_ADD_ATOM(busbar, busbar, reset_atom, "reset")
CAF_ADD_ATOM(busbar, busbar, resolve_atom, "resolve")
CAF_ADD_ATOM(busbar, busbar, retry_atom, "retry")
CAF_ADD_ATOM(busbar, busbar, splice_atom, "splice")
CAF_ADD_ATOM(busbar, busbar, tick_atom, "tick")
CAF_ADD_ATOM(busbar, busbar, unwatch_atom, "unwatch")
CAF_ADD_ATOM(busbar, busbar, watch_atom, "watch")
CAF_ADD_ATOM(busbar, busbar, ready_atom, "ready")
CAF_ADD_ATOM(busbar, busbar, publish_atom, "publish")
CAF_ADD_ATOM(busbar, busbar, mend_atom, "mend")
CAF_ADD_ATOM(busbar, busbar, covers_atom, "covers")
CAF_ADD_ATOM(busbar, busbar, subset_atom, "subset")
CAF_ADD_ATOM(busbar, busbar, note_atom, "note")
CAF_ADD_ATOM(busbar, busbar, fence_atom, "fence")
CAF_ADD_ATOM(busbar, busbar, join_atom, "join")
CAF_ADD_ATOM(busbar, busbar, move_atom, "move")
CAF_ADD_ATOM(busbar, busbar, renew_atom, "renew")
CAF_ADD_ATOM(busbar, busbar, follow_atom, "follow")
CAF_ADD_ATOM(busbar, busbar, answer_atom, "answer")
CAF_ADD_ATOM(busbar, busbar, ask_atom, "ask")
CAF_ADD_ATOM(busbar, busbar, observe_atom, "observe")
CAF_ADD_ATOM(busbar, busbar, compact_atom, "compact")
CAF_END_TYPE_ID_BLOCK(busbar)

namespace busbar {

/// A CLIENT SESSION: answers and keeps the clients of one I/O thread, and runs on it. What HTTP
/// asks of it stands in client_session.hpp.
using session_actor = caf::typed_actor<
    // Logs have grown. The materializer that says so (by its number) is told ready when it is done.
    caf::reacts_to<moved_atom, move_list, std::uint32_t>,
    // Look at these shapes again: a watch has begun, a snapshot chunk is there, or they are gone.
    caf::reacts_to<check_atom, id_list>,
    // INTERNAL: the earliest deadline of a waiting reader has come.
    caf::reacts_to<tick_atom>>;

/// A MATERIALIZER: sole writer of the logs of its shapes (those whose id is its number modulo the
/// number of materializers).
using materializer_actor = caf::typed_actor<
    // Applies a frame to every shape that it touches; credits the REPLICATOR, tells the FLUSHER.
    caf::reacts_to<apply_atom, frame>,
    // Nothing ends between the last frame and this position.
    caf::reacts_to<idle_atom, lsn>,
    // The stream begins anew: what was applied of an unfinished transaction is taken back. Answered
    // when done.
    caf::replies_to<reset_atom>::with<bool>,
    // Shapes that storage had; before the first frame. From now on this node leads.
    caf::replies_to<adopt_atom, adoption_list>::with<bool>,
    // By the FOLLOWER: another's batch has moved these heads in storage. Tell the watchers.
    caf::reacts_to<follow_atom, move_list>,
    // Shapes of one table, with one creation message: answers with its commit LSN once it has come
    // by. From then on the shapes' changes are kept.
    caf::replies_to<expect_atom, shape_list>::with<lsn>,
    // The snapshot's visibility, and what the table depends on as of it: true = the splice is
    // exact, for those of the shapes that are not gone; false = take another snapshot, this one was
    // taken too early to see a transaction that the stream had already delivered.
    caf::replies_to<splice_atom, shape_list, snapshot, facts_ptr>::with<bool>,
    // Answers with the commit LSN of this fence once it has come by. A slot waits for one token at
    // a time, the last that was asked for.
    caf::replies_to<fence_atom, std::string, std::string>::with<lsn>,
    // The same as splice, for sets (with what the snapshot holds of them) and for shapes with
    // subqueries: all that the snapshot sees must have been streamed. Answers with what asks for
    // another snapshot; empty = nothing does.
    caf::replies_to<join_atom, storage::shape_id, snapshot, facts_ptr,
                    set_contents_ptr>::with<std::string>,
    // INTERNAL: plan the tasks again that came to nothing.
    caf::reacts_to<move_atom>,
    // Whether this snapshot sees every transaction that has committed up to this position.
    caf::replies_to<covers_atom, snapshot, lsn>::with<bool>,
    // The same for a snapshot from which a subset of this shape is about to be read; of the moves
    // that its clients have been told the snapshot must see what they come from, too.
    caf::replies_to<covers_atom, snapshot, lsn, storage::shape_id>::with<bool>,
    // What the catalog says of tables by now: ends the shapes that it proves wrong, and renews what
    // clients are told of the columns.
    caf::reacts_to<note_atom, catalog_ptr>,
    // The shape is removed: forget it, tell its watchers, delete its data.
    caf::reacts_to<forget_atom, shape_ptr>,
    // Tell the watchers to look at the shapes again.
    caf::reacts_to<check_atom, id_list>,
    // A session wants to hear of the shape, or no more. Answered by a check.
    caf::reacts_to<watch_atom, shape_ptr, session_actor>,
    caf::reacts_to<unwatch_atom, storage::shape_id, session_actor>,
    // A session has dealt with one message of moves.
    caf::reacts_to<ready_atom, session_actor>,
    // INTERNAL: try again to write what the disk refused.
    caf::reacts_to<retry_atom>>;

/// The FLUSHER: syncs the store, a group of commits at a time, and tells the REPLICATOR.
using flusher_actor = caf::typed_actor<
    // Materializer number …, everything up to …, whether it wrote anything since.
    caf::reacts_to<applied_atom, std::uint32_t, lsn, bool>,
    // The stream begins here, with nothing before it: positions may even fall. Reports carry this
    // epoch from now on. Answered when done.
    caf::replies_to<reset_atom, lsn, std::uint64_t>::with<bool>,
    // The stream goes on after what storage has, all up to here. Answered when done: nothing before
    // it is written from then on, or storage would seem older than what PostgreSQL was told.
    caf::replies_to<continue_atom, lsn>::with<bool>,
    // INTERNAL
    caf::reacts_to<flush_atom>>;

/// The REPLICATOR: leads this node's (and so far every) stream; its feed thread reads PostgreSQL.
using replicator_actor = caf::typed_actor<
    // All up to here is durable here, in this epoch (see feed.hpp). The first one starts the feed.
    caf::reacts_to<flushed_atom, lsn, std::uint64_t>,
    // The publication is not as it must be: end the stream, and take over anew.
    caf::reacts_to<renew_atom>,
    // The materializer of this number has applied a frame: one credit back.
    caf::reacts_to<applied_atom, std::uint32_t, std::uint64_t>>;

/// The RESOLVER: looks tables up in PostgreSQL. Detached: it blocks. It always answers, so nobody
/// needs a timeout, which CAF would keep for its whole time.
using resolver_actor =
    caf::typed_actor<caf::replies_to<resolve_atom, resolve_list>::with<resolution_list>>;

/// A SNAPSHOTTER: does one thing at a time. Detached: it blocks. Answers the DIRECTORY.
using snapshotter_actor = caf::typed_actor<
    // Makes the shapes, which were defined against the same description of one table.
    caf::reacts_to<create_atom, shape_list>,
    // Gives the shape's table and its partitions REPLICA IDENTITY FULL, where they lack it.
    caf::reacts_to<mend_atom, shape_ptr>>;

/// The RECONCILER: reads the catalog again for the tables that are followed, for what the stream
/// does not tell. Detached: it blocks. Tells the MATERIALIZERS, and the DIRECTORY what is gone.
using reconciler_actor = caf::typed_actor<
    // Look now, and then at every period: a leader has taken over, or INTERNAL: the period is over.
    caf::reacts_to<tick_atom>,
    // Look at this shape's table now: the database says that something of it is gone.
    caf::reacts_to<check_atom, shape_ptr>,
    // Look at the publication now: somebody has met trouble with it.
    caf::reacts_to<renew_atom>,
    // INTERNAL: ask how much WAL the slot keeps.
    caf::reacts_to<observe_atom>>;

/// The JANITOR: deletes what removed shapes had, and compacts the logs of the others, a little at a
/// time; and notices what has expired.
/// Detached: it blocks on the disk.
using janitor_actor = caf::typed_actor<
    // Shapes are recovered: begin with what was left by the process before.
    caf::reacts_to<adopt_atom>,
    // By a MATERIALIZER: the shape is removed. True = nobody will write for it any more.
    caf::reacts_to<forget_atom, storage::shape_id, bool>,
    // INTERNAL: delete some more.
    caf::reacts_to<flush_atom>,
    // INTERNAL: look at what is read and what is not.
    caf::reacts_to<tick_atom>,
    // INTERNAL: compact some more of the shapes' logs.
    caf::reacts_to<compact_atom>>;

/// A SUBSET READER: reads one subset of a shape's rows at a time. Detached: it blocks.
using subset_reader_actor =
    caf::typed_actor<caf::replies_to<subset_atom, subset_task_ptr>::with<subset_outcome>>;

/// A MOVE READER: reads the rows that moves of values may bring into shapes, a batch of questions
/// at a time. Detached: it blocks.
using move_reader_actor =
    caf::typed_actor<caf::replies_to<move_atom, move_batch_ptr>::with<move_outcomes_ptr>>;

/// The DIRECTORY: which shapes there are; creates and removes them.
using directory_actor = caf::typed_actor<
    // The shape of this definition, made on the spot if there is none. The handle, if not empty, is
    // what a client takes for its name: a node that follows and does not know it may be behind.
    caf::replies_to<find_atom, shape_request, std::string>::with<shape_ptr>,
    // By a SNAPSHOTTER: done with these shapes, well or badly (progress().failure says why).
    caf::reacts_to<finished_atom, shape_list, snapshotter_actor>,
    // By a SNAPSHOTTER: the shape's table is published; its next shapes may begin. If that had to
    // be mended (true), shapes that had started before have missed changes.
    caf::reacts_to<publish_atom, shape_ptr, bool>,
    // By a MATERIALIZER or the RECONCILER: the shape's table, or a partition of it, streams without
    // full old images.
    caf::reacts_to<mend_atom, shape_ptr>,
    // By a SNAPSHOTTER: done with that.
    caf::reacts_to<mend_atom, shape_ptr, snapshotter_actor>,
    // The shape is no longer right (the text says why): remove it.
    caf::reacts_to<invalid_atom, shape_ptr, std::string>,
    // A client asked for its removal.
    caf::reacts_to<drop_atom, shape_ptr>,
    // The WAL has a gap, or is another database's: remove every shape. Answered when done.
    caf::replies_to<purge_atom, std::string>::with<bool>,
    // Shapes that storage had. From now on this node leads.
    caf::reacts_to<adopt_atom, shape_list>,
    // By the FOLLOWER: these shapes have come into storage, those are removed.
    caf::reacts_to<follow_atom, shape_list, shape_list>,
    // By the leader, over the LINE.
    caf::reacts_to<answer_atom, leader_word>>;

/// The REMOTE DESK: answers what nodes that follow ask of this one, which leads. It hears of shapes
/// as a CLIENT SESSION does.
using remote_desk_actor = session_actor::extend<caf::reacts_to<ask_atom, remote_task_ptr>>;

} // namespace busbar
