// actors/shape_log_writer.hpp: turns the entries of one shape into stored blocks. Pure bookkeeping
// of one MATERIALIZER; the bytes go into a storage batch.
#pragma once

#include "actors/head_move.hpp"
#include "actors/shape_state.hpp"
#include "base/snapshot.hpp"
#include "shapes/entry.hpp"
#include "shapes/entry_block.hpp"
#include "storage/store.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace busbar {

/// One shape's log as its MATERIALIZER writes it. The last entry of a transaction carries a mark
/// (`last`), so one entry is always held back until its successor or the commit is there.
class shape_log_writer {
public:
  shape_log_writer(shape_ptr shape, std::uint64_t chunk_bytes_max)
      : shape_{std::move(shape)}, chunk_bytes_max_{chunk_bytes_max} {}

  const shape_ptr& shape() const noexcept { return shape_; }

  /// Where its table's fan-out has it, which alone sets this.
  static constexpr std::uint32_t no_seat = ~std::uint32_t{0};
  std::uint32_t seat = no_seat;

  /// True if a transaction belongs into this log: it committed after the shape's creation, is not
  /// in the log already (a replay), and the snapshot has not seen it.
  bool wants(std::uint64_t commit_lsn, std::uint32_t xid) const noexcept {
    return accepting_ && !parked_ && commit_lsn > created_lsn_ && commit_lsn > committed_.tx &&
           (is_past_splice(commit_lsn) || !visibility_->sees(xid));
  }

  /// True from the snapshot's opening on, until the shape is given up.
  bool accepting() const noexcept { return accepting_; }

  /// True if the snapshot does not show what transaction `xid` did.
  bool misses(std::uint32_t xid) const noexcept { return accepting_ && !visibility_->sees(xid); }

  /// Adds an entry of the open transaction. Returns true if it is the transaction's first here.
  bool append(std::uint64_t tx, encoded_entry entry, storage::batch& writes);
  /// Adds an entry that follows the changes of transaction `tx` and is none of them: a move of rows
  /// by a subquery, at the next free position.
  void append_move(std::uint64_t tx, std::string json, storage::batch& writes);
  /// The open transaction has committed: its entries become the log's end with this batch.
  void commit(std::uint64_t tx, storage::batch& writes);
  /// Lets go of what has gathered of the open transaction, into the batch, before it need be.
  void flush_open(std::uint64_t tx, storage::batch& writes);
  /// The open transaction will be sent again: forget it.
  void abandon() noexcept;

  /// What publish() will show, for who must know it before.
  log_offset next_head() const noexcept { return committed_; }
  bool next_has_boundaries() const { return boundary_ || shape_->progress().has_boundaries; }

  /// What has been committed since the last call; nullopt if nothing. Call after the batch is
  /// visible; updates the shape's head.
  std::optional<head_move> publish();

  // Life of the splice; see materializer.hpp.
  void created(std::uint64_t commit_lsn) noexcept { created_lsn_ = commit_lsn; }
  void accept(snapshot_ptr visibility) {
    visibility_ = std::move(visibility);
    accepting_ = true;
  }
  void resume(log_offset head, std::uint64_t open_chunk_bytes,
              std::uint64_t splice_passed) noexcept {
    committed_ = published_ = head;
    chunk_bytes_ = committed_chunk_bytes_ = open_chunk_bytes;
    splice_passed_ = splice_passed;
  }
  /// The snapshot is the state right after transaction `commit_lsn`, so that nothing has to be
  /// asked about visibility.
  void begin_after(std::uint64_t commit_lsn) noexcept {
    created_lsn_ = splice_passed_ = commit_lsn;
  }
  /// Everything up to this commit is in already, though nothing in the log may show it.
  void skip_to(std::uint64_t commit_lsn) noexcept {
    created_lsn_ = std::max(created_lsn_, commit_lsn);
  }
  /// The stream goes by without it, until it is unparked.
  void park(bool yes) noexcept { parked_ = yes; }
  bool parked() const noexcept { return parked_; }
  /// The last transaction with entries in the log.
  std::uint64_t committed_tx() const noexcept { return committed_.tx; }

  /// The shape is given up: no more entries.
  void stop() noexcept {
    accepting_ = false;
    abandon();
  }
  /// True exactly once: when the first transaction past the snapshot has come by.
  bool passes(std::uint64_t commit_lsn, std::uint32_t xid) noexcept {
    if (!accepting_ || splice_passed() || !visibility_->is_past(xid))
      return false;
    splice_passed_ = commit_lsn;
    return true;
  }
  bool splice_passed() const noexcept { return splice_passed_ > 0; }

  /// Whether some session wants head moves with their bytes. One that begins in the middle of what
  /// is unpublished gets that first move without them.
  void watch(bool yes) noexcept {
    if (yes != watched_ && work_)
      work_->news_incomplete = true;
    watched_ = yes;
  }

private:
  /// The visibility is asked only before this point, because xids come round again; but there it is
  /// asked also when a transaction is sent once more.
  bool is_past_splice(std::uint64_t commit_lsn) const noexcept {
    return splice_passed() && commit_lsn >= splice_passed_;
  }
  void seal(std::uint64_t tx, bool last, storage::batch& writes);
  void flush(std::uint64_t tx, storage::batch& writes);

  shape_ptr shape_;
  std::uint64_t chunk_bytes_max_;
  std::uint64_t created_lsn_ = ~std::uint64_t{0};
  snapshot_ptr visibility_; ///< Not null if it is accepting.
  bool accepting_ = false;
  bool watched_ = false;
  bool parked_ = false;
  std::uint64_t splice_passed_ = 0; ///< Commit LSN of the first transaction past it; 0 = not yet.

  log_offset committed_ = log_offset::snapshot_end(); ///< Head once the present batch is visible.
  log_offset published_ = log_offset::snapshot_end(); ///< Head that readers see.
  std::uint64_t chunk_bytes_ = 0; ///< Of the open chunk, open transaction included.
  std::uint64_t committed_chunk_bytes_ = 0;
  bool boundary_ = false; ///< A chunk has ended in what is committed and unpublished.

  /// Of the open transaction and the unpublished entries; freed when there are none, because most
  /// shapes idle most of the time.
  struct work {
    block_builder block;
    std::optional<encoded_entry> held_back;
    bool boundary_open = false; ///< A chunk has ended in the open transaction.
    std::int64_t last_op = -1;  ///< Of the open transaction.
    std::string news;           ///< Unpublished entries for the watchers …
    std::vector<std::uint32_t> news_ends;
    bool news_incomplete = false; ///< … unless some are missing here.
  };
  std::unique_ptr<work> work_;
};

} // namespace busbar
