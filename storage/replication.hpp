// storage/replication.hpp: how a store becomes, and stays, equal to another one: batch by batch of
// its write-ahead log, or by a copy of its files when the log does not reach back.
//
// RocksDB numbers every write. A follower writes what the leader wrote, in the same batches and in
// the same order, and nothing else; so the numbers are equal, too, and a position in the cluster is
// a sequence number. Which positions of two stores may be compared: lineage.hpp.
#pragma once

#include "base/lsn.hpp"
#include "base/result.hpp"
#include "storage/keys.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace busbar::storage {

/// What one write, or several of one moment, did to the leader's store.
struct replicated_batch {
  std::uint64_t first = 0; ///< Sequence number of the first of its changes.
  std::uint32_t count = 0; ///< Of changes; never 0.
  std::string bytes;       ///< As RocksDB serializes a WriteBatch.
  std::uint64_t last() const noexcept { return first + count - 1; }
};

/// What a follower must know of a batch that it has applied, in the order of the batch.
struct applied_changes {
  std::vector<shape_id> finished; ///< Their definitions and snapshots are complete now.
  std::vector<shape_id> removed;  ///< They must not be served any more.
  std::vector<shape_id> facts;    ///< What is known of their tables is another now.
  std::vector<std::pair<std::uint32_t, std::string>> notes; ///< As given to batch::note().
  std::optional<lsn> durable;                               ///< As given to store::sync().
  std::uint64_t newest_xid = 0;                             ///< As given to store::sync(), or 0.
  bool purged = false; ///< All shapes that were before this batch are gone.
};

/// Reads the write-ahead log of a store as it grows. One thread, except for wake(). Must end before
/// the store.
class log_tail {
public:
  ~log_tail();
  log_tail(const log_tail&) = delete;
  log_tail& operator=(const log_tail&) = delete;

  /// The batch that follows the last one. Waits for it; nullopt if it has not come until then, or
  /// on wake(). errc::unavailable if the log does not reach back so far, or cannot be read: then
  /// only a copy helps.
  result<std::optional<replicated_batch>> next(std::chrono::steady_clock::time_point until);
  /// The next() that waits, or else the one to come, returns at once. Any thread.
  void wake();
  /// What has been read ends here.
  std::uint64_t position() const noexcept;

private:
  friend class store;
  struct body;
  explicit log_tail(std::unique_ptr<body> b);
  std::unique_ptr<body> body_;
};

/// A file of a store, as it is sent. Names have no directory.
struct copied_file {
  std::string name;
  std::uint64_t size = 0;
  friend bool operator==(const copied_file&, const copied_file&) = default;
};

/// The files of a leader's store as they were at one moment, for a member that must copy them. They
/// are held by links in a directory of their own, and no part of the write-ahead log is dropped,
/// until this ends: so it should, once the copy follows. One thread at a time. Must end before the
/// store.
class checkpoint {
public:
  ~checkpoint();
  checkpoint(const checkpoint&) = delete;
  checkpoint& operator=(const checkpoint&) = delete;

  /// At least up to here it holds everything; the copy itself knows its place exactly.
  std::uint64_t sequence() const noexcept;
  const std::vector<copied_file>& files() const noexcept;
  /// At most `max` bytes from `offset`; none at the end. errc::not_found if there is no such file.
  result<std::string> read(std::string_view file, std::uint64_t offset, std::size_t max) const;

private:
  friend class store;
  struct body;
  explicit checkpoint(std::unique_ptr<body> b);
  std::unique_ptr<body> body_;
};

/// A copy that arrives for a directory whose store is not open. Until finish() the store that is
/// there stays as it is; whenever the process ends, the next open() finds that one or the new one.
class incoming_copy {
public:
  /// Takes the directory's lock until it ends. `files` is the whole copy. Clears away what an
  /// earlier one left. errc::invalid_argument if these cannot be the files of a store,
  /// errc::misconfigured if the directory is in use, errc::unavailable if the disk has no room.
  static result<std::unique_ptr<incoming_copy>> begin(const std::string& directory,
                                                      const std::vector<copied_file>& files);
  /// Without finish(): what has come is deleted.
  ~incoming_copy();
  incoming_copy(const incoming_copy&) = delete;
  incoming_copy& operator=(const incoming_copy&) = delete;

  /// In any order. errc::invalid_argument for a file that is not of the copy, or bytes beyond its
  /// end.
  result<void> write(std::string_view file, std::uint64_t offset, std::string_view bytes);
  /// Refuses (errc::corrupt) a copy of which bytes are missing, or that RocksDB does not read.
  /// Blocks on the disk. After it store::open() finds the copy; this one can only be destroyed.
  result<void> finish();

private:
  struct body;
  explicit incoming_copy(std::unique_ptr<body> b);
  std::unique_ptr<body> body_;
};

} // namespace busbar::storage
