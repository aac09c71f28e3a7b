// storage/store.hpp: the node's persistent memory: shape definitions, logs, snapshots, positions.
// Keys: keys.hpp. Only here is RocksDB known.
#pragma once

#include "base/bytes.hpp"
#include "base/keyed_hash.hpp"
#include "base/lsn.hpp"
#include "base/result.hpp"
#include "shapes/entry_merge.hpp"
#include "shapes/offset.hpp"
#include "storage/keys.hpp"
#include "storage/lineage.hpp"
#include "storage/shape_record.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace busbar::storage {

struct replicated_batch; // replication.hpp
struct applied_changes;
class log_tail;
class checkpoint;

/// Whose data a store holds; compared at start, never mixed.
struct node_identity {
  std::string system_id;
  std::uint32_t timeline = 0;
  std::string database;
  std::string stream_id;
  friend bool operator==(const node_identity&, const node_identity&) = default;
};

/// A value that has come into, or left, what a subquery of a shape selects, unseen by the shape so
/// far.
struct set_lag {
  std::uint16_t subquery = 0; ///< As the shape's plan numbers them.
  digest value{};
  std::uint32_t xid = 0;               ///< Of the transaction that did it; 0 = it is as before.
  std::uint64_t since = 0;             ///< Commit LSN of the first transaction it may stand for.
  std::vector<std::string> texts = {}; ///< The columns of a row that has, or had, the value.
  friend bool operator==(const set_lag&, const set_lag&) = default;
};

/// What compaction has done to a shape's log so far.
struct compaction_mark {
  std::uint64_t times = 0; ///< Grows whenever entries up to `upto` are replaced.
  log_offset upto = log_offset::snapshot_end();       ///< The end of a chunk.
  log_offset last_begin = log_offset::snapshot_end(); ///< Where the last chunk up to there begins.
  std::uint64_t last_bytes = 0;                       ///< And its size.
  friend bool operator==(const compaction_mark&, const compaction_mark&) = default;
};

/// Writes that become visible, and survive a crash of the process, together. One thread.
class batch {
public:
  batch();
  batch(batch&&) noexcept;
  batch& operator=(batch&&) noexcept;
  ~batch();

  void append_block(shape_id shape, log_offset last, std::string_view block);
  void mark_boundary(shape_id shape, log_offset end);
  /// The first transaction past the shape's snapshot has come by; `commit_lsn` is its.
  void mark_splice_passed(shape_id shape, std::uint64_t commit_lsn);
  /// What is known of the shapes' table from now on; `defined` is the table of their records.
  void put_facts(std::span<const shape_id> shapes, const table_facts& facts, const snapshot& seen,
                 const table_info& defined);
  /// The shape must not be found again, though its data is still there.
  void mark_removed(shape_id shape);
  /// Written with the first part of a transaction that needs several batches of this writer (the
  /// number of a materializer) …
  void open_transaction(std::uint32_t writer, std::uint64_t commit_lsn);
  void close_transaction(std::uint32_t writer); ///< … and taken back with the last.
  /// `count` rows of the set have the value by now.
  void put_set_value(shape_id set, const digest& value, std::uint32_t count);
  /// The set holds what all transactions up to this commit did.
  void put_set_position(shape_id set, std::uint64_t tx);
  /// The shape's view of the set, for this value, is the opposite of what the set says.
  void put_lag(shape_id shape, const set_lag& late);
  void drop_lag(shape_id shape, std::uint16_t subquery, const digest& value);
  /// Of compaction: the block that ended at `last` goes …
  void drop_block(shape_id shape, log_offset last);
  /// … or all blocks that end in (after, upto] do, except those that are appended after this.
  void drop_blocks(shape_id shape, log_offset after, log_offset upto);
  void drop_boundary(shape_id shape, log_offset end);
  void put_compaction(shape_id shape, const compaction_mark& mark);
  /// Takes back what was appended of a transaction.
  void drop_transaction(shape_id shape, std::uint64_t commit_lsn);
  /// For the other members of the cluster, who find it in applied_changes; takes the place of the
  /// writer's last one.
  void note(std::uint32_t writer, std::string_view bytes);
  bool empty() const noexcept;
  std::size_t size_bytes() const noexcept;

private:
  friend class store;
  struct body;
  std::unique_ptr<body> body_;
};

/// A table that we have added to the publication, by this membership (the oid of its row).
struct added_table {
  std::uint32_t oid = 0;
  std::uint32_t membership = 0;
  friend bool operator==(const added_table&, const added_table&) = default;
};

/// What expiry goes by.
struct shape_usage {
  std::uint64_t read_micros = 0; ///< Since 1970; 0 = not known.
  std::uint64_t bytes = 0;       ///< Written for the shape.
  friend bool operator==(const shape_usage&, const shape_usage&) = default;
};

/// One shape as recover() finds it.
struct recovered_shape {
  shape_id id{};
  shape_record record;
  log_offset head;                    ///< snapshot_end() if nothing has been appended.
  std::uint64_t open_chunk_bytes = 0; ///< Size of the log's last, open chunk.
  std::uint64_t splice_passed = 0;    ///< As given to mark_splice_passed(); 0 = not yet.
  known_ptr known = nullptr;          ///< As last given to put_facts(); equal ones are shared.
  bool has_boundaries = false;        ///< The log has a complete chunk.
  shape_usage usage = {};             ///< As last given to put_usage().
};

enum class recovery : std::uint8_t { repair, look };

/// A shape's part of the sets, as read_set() finds it.
struct stored_set {
  std::vector<std::pair<digest, std::uint32_t>> values; ///< Of a set.
  std::uint64_t position = 0; ///< Of a set; 0 = nothing has been applied since its snapshot.
  std::vector<set_lag> lag;
};

struct store_settings {
  std::string directory;
  std::size_t cache_bytes = 64u << 20;        ///< RocksDB's block cache.
  std::size_t write_buffer_bytes = 64u << 20; ///< Of all families together.
  /// The disk has refused part of the write-ahead log, or what RocksDB wants to compact is damaged,
  /// and it cannot go on in this process: it must end, and may start again from what is stored.
  /// Called once, by any thread.
  std::function<void(const error&)> on_fatal = nullptr;
  /// > 0: the store is one of a cluster's. Every write is then in the write-ahead log, and so much
  /// of the log is kept for those who read it with tail().
  std::uint64_t replicated_log_bytes = 0;
  /// The store only takes what another one's log gives, apply(), until begin_term(): all that would
  /// write otherwise is refused (errc::unavailable), and neither open() nor recover() repairs
  /// anything. A new directory gets its format nevertheless: nobody can follow with that, only
  /// copy.
  bool follows = false;
  /// For tests: a commit() or sync() is refused, as by a disk, while this says so.
  std::function<bool()> refuses = nullptr;
};

/// How the store is; sizes in bytes.
struct store_statistics {
  struct part {
    std::string_view family;
    std::uint64_t file_bytes = 0;
    std::uint64_t memory_bytes = 0; ///< Written, not yet in files.
  };
  std::vector<part> parts;
  std::uint64_t cache_bytes = 0;
  std::uint64_t stalls = 0;    ///< Times that writes were slowed down or stopped, since open().
  bool is_stopped = false;     ///< Writes wait now.
  std::uint64_t disk_free = 0; ///< 0 if it cannot be asked.
  std::uint64_t disk_size = 0;
};

/// Any thread may call any function, except where a comment says otherwise. Reads see only whole
/// batches. Functions return errc::unavailable when the disk refuses, errc::corrupt when bytes
/// break a format.
class store {
public:
  /// Creates the directory if missing. Refuses a directory that another process holds, that cannot
  /// be written, or that a newer build wrote (errc::misconfigured); brings an older one to this
  /// format. Of a damaged one it keeps what is sound (damage.hpp).
  static result<std::unique_ptr<store>> open(const store_settings& settings);
  ~store();

  result<std::optional<node_identity>> identity() const;
  result<void> set_identity(const node_identity& who); ///< Synced.
  /// Made at the first call, and synced: `first`, if that is 32 bytes long, else random. While the
  /// store follows, `first` is not stored.
  result<std::string> control_key(std::string_view first = {});
  result<lsn> durable() const;              ///< 0 if nothing was ever acknowledged.
  result<std::uint64_t> newest_xid() const; ///< As last given to sync(); 0 if never.

  /// What we have changed of PostgreSQL's tables; inspect() tells the second, too.
  result<void> note_added_table(const added_table& table);
  /// These had the default replica identity, and have FULL since.
  result<void> note_full_tables(std::span<const std::uint32_t> oids);
  result<void> forget_added_table(std::uint32_t oid);
  result<std::vector<added_table>> added_tables() const;

  /// Whether the disk has room for so much that others than the store write, and some left for it.
  bool can_spare(std::size_t bytes) const noexcept;

  /// Finds all finished shapes, by id. Marks as removed what an interrupted creation left behind,
  /// and shapes whose data cannot be read; takes back an interrupted transaction. Once, before
  /// anything is written. With `look` it writes nothing, so it may come at any time: then what
  /// would be marked is only left out, and heads stand before an interrupted transaction.
  result<std::vector<recovered_shape>> recover(recovery how = recovery::repair);
  /// One shape as recover(recovery::look) finds it; nullopt if that would leave it out.
  result<std::optional<recovered_shape>> find_shape(shape_id id) const;

  /// `remainder` is what the id leaves when divided by shape_groups.
  result<shape_id> next_shape_id(std::optional<std::uint32_t> remainder = std::nullopt);
  /// From now on data may be stored for these shapes; recover() clears what is not finished.
  result<void> begin_shapes(std::span<const shape_id> ids);
  /// From now on recover() will not find the shape, even if its snapshot is finished after this.
  result<void> mark_removed(shape_id id);
  /// Deletes what the shapes had, in one batch; the space is given back by compaction.
  struct removal {
    shape_id id{};
    bool last_word = false; ///< Nobody writes for it any more, so the mark can go, too.
  };
  result<void> remove_shapes(std::span<const removal> shapes);
  result<void> remove_shape(shape_id id, bool last_word);
  result<void> remove_all_shapes(); ///< Synced. Marks of removal stay.
  /// Those that are marked, whose data may still be there.
  result<std::vector<shape_id>> removed_shapes() const;
  /// Data of shapes that nothing tells of, from before open(): of a creation whose beginning was
  /// lost with the power, or whose record was damaged. Goes over the shapes of all families.
  result<std::vector<shape_id>> ownerless_shapes() const;
  /// Lost with the power, which does no harm. Does nothing while the store follows.
  result<void> put_usage(std::span<const std::pair<shape_id, shape_usage>> shapes);

  /// False after a commit() or sync() that failed, until one succeeds, and while the disk is (all
  /// but) full: then nothing that grows is taken, and everything can still be read.
  bool accepts_writes() const noexcept;

  /// Looked up at each call; costs a few locks.
  store_statistics statistics() const;

  /// Makes a batch visible; not yet durable. Empties it, unless the disk refuses.
  result<void> commit(batch& writes);
  /// Makes everything committed so far durable, together with the promise that all transactions up
  /// to `position` are, and with the highest transaction id that the database has used, unless 0.
  /// Blocks on the disk: the flusher's thread only.
  result<void> sync(lsn position, std::uint64_t newest_xid = 0);

  /// `logged` pieces are in the write-ahead log like everything else; the others save half of the
  /// bytes written, but need `flush` at the end: for snapshots of more than one piece.
  result<void> put_snapshot_piece(shape_id id, std::uint64_t chunk, std::uint32_t piece,
                                  std::string_view block, bool logged);
  /// Whole snapshots, of these shapes, that are this one piece: of shapes that keep changes only.
  result<void> put_snapshots(std::span<const shape_id> ids, std::string_view only_piece);
  /// Makes snapshots and definitions durable, all with one sync: from now on recover() finds the
  /// shapes. Blocks.
  using finished_shape = std::pair<shape_id, shape_record>;
  result<void> finish_snapshots(std::span<const finished_shape> shapes, bool flush);

  /// Of the snapshot of a set; finish_snapshot() makes them durable.
  result<void> put_set_values(shape_id set,
                              std::span<const std::pair<digest, std::uint32_t>> values);
  result<void> clear_set(shape_id set);
  result<stored_set> read_set(shape_id shape) const;

  /// A stored block of the snapshot, or null behind the last piece of the chunk.
  result<shared_bytes> read_snapshot_piece(shape_id id, std::uint64_t chunk,
                                           std::uint32_t piece) const;

  /// Calls `visit` with the blocks that hold entries in (after, upto], in order, until it returns
  /// false or `upto` is passed. `last` is the block's last offset.
  result<void>
  read_log(shape_id id, log_offset after, log_offset upto,
           const std::function<bool(log_offset last, std::string_view block)>& visit) const;

  /// The end of the first complete chunk that ends after `after`, if there is one.
  result<std::optional<log_offset>> chunk_end_after(shape_id id, log_offset after) const;
  /// The ends of all chunks that end in (after, upto], in order.
  result<std::vector<log_offset>> chunk_ends(shape_id id, log_offset after, log_offset upto) const;
  result<bool> is_chunk_end(shape_id id, log_offset end) const;
  /// All blocks that end in (after, upto], in order; nullopt if they are larger than `bytes_max`.
  /// Past the cache.
  result<std::optional<std::vector<stored_block>>>
  read_blocks(shape_id id, log_offset after, log_offset upto, std::size_t bytes_max) const;
  /// As last given to put_compaction().
  result<compaction_mark> compaction_of(shape_id id) const;

  // -- as one of a cluster's: replication.hpp
  // ------------------------------------------------------

  std::uint64_t sequence() const noexcept; ///< Of the last change that can be read.
  result<storage::lineage> lineage() const;
  bool follows() const noexcept;
  /// From now on this store is written by its own node, as the leader of this term, which must be
  /// above all before. Synced. Must not run beside apply(). What open() would have brought to this
  /// build's format is, now; recover() has yet to repair.
  result<void> begin_term(std::uint64_t term);
  /// The log from behind this sequence number on. The first next() tells whether it is there.
  result<std::unique_ptr<log_tail>> tail(std::uint64_t after);
  /// Blocks while RocksDB writes what it has in memory.
  result<std::unique_ptr<storage::checkpoint>> checkpoint();
  /// Makes the leader's next batch visible, as commit() does; not yet durable. Refuses one that is
  /// not the next (errc::invalid_argument) or that no build of this format writes (errc::corrupt).
  /// One thread.
  result<applied_changes> apply(const replicated_batch& next);
  /// All that was applied before this call is durable after it. Blocks on the disk.
  result<void> sync_log();

private:
  struct body;
  explicit store(std::unique_ptr<body> b);
  std::unique_ptr<body> body_;
};

} // namespace busbar::storage
