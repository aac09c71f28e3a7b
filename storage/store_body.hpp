// storage/store_body.hpp: what the sources of the store share. Private to storage/.
#pragma once

#include "base/bytes.hpp"
#include "storage/log_archive.hpp"
#include "storage/log_growth.hpp"
#include "storage/rocks.hpp"
#include "storage/shared_finds.hpp"
#include "storage/space.hpp"
#include "storage/store.hpp"

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::storage {

struct batch::body {
  rocksdb::WriteBatch writes;
};

struct store::body {
  std::string directory;
  std::shared_ptr<space_guard> space;
  std::shared_ptr<log_archive> archive;
  std::shared_ptr<log_growth> growth = std::make_shared<log_growth>();
  database rocks;
  bool logs_all = false; ///< No write may pass the write-ahead log by.
  std::atomic<bool> follows{false};
  std::mutex following; ///< Held while a batch is applied, and while following ends.
  std::atomic<std::uint64_t> checkpoints{0}; ///< Made so far.
  mutable shared_finds finds;
  std::mutex ids; ///< Guards the next shape id.
  std::uint64_t next_id = 1;
  std::uint64_t first_id = 1; ///< next_id as it was at open().
  std::uint64_t reserved_until = 1;
  std::mutex tables;                   ///< Guards the next.
  std::set<std::string> tables_stored; ///< By digest.
  std::shared_ptr<std::atomic<std::uint64_t>> stalls =
      std::make_shared<std::atomic<std::uint64_t>>(0);
  std::atomic<bool> refuses{false};  ///< See store::accepts_writes().
  std::function<bool()> must_refuse; ///< store_settings::refuses; may be empty.

  rocksdb::DB& db() const { return *rocks.db; }
  rocksdb::ColumnFamilyHandle* of(family f) const { return rocks.of(f); }
  /// errc::unavailable if the disk has too little room for so much more.
  result<void> room_for(std::size_t bytes) const {
    if (space->admits(bytes))
      return {};
    return fail(errc::unavailable, "storage: the disk is full");
  }
  /// Reads next_id and what hangs on it.
  void read_next_id() {
    std::string value;
    if (get(family::node, next_shape_name, value).ok() && value.size() == 8)
      first_id = next_id = reserved_until = read_be64(value.data());
  }
  result<storage::lineage> read_lineage() const;
  /// What of the log that was there before the opening may be read by followers.
  result<void> settle_logs(const std::vector<std::uint64_t>& live_before);
  result<void> take_back(std::span<const recovered_shape> shapes,
                         const std::set<std::uint64_t>& open);
  /// For what is read once: it shall not drive out of the cache what is read often.
  std::unique_ptr<rocksdb::Iterator> look_over(family f,
                                               const rocksdb::Snapshot* as_of = nullptr) const {
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    options.snapshot = as_of;
    return std::unique_ptr<rocksdb::Iterator>{db().NewIterator(options, of(f))};
  }
  /// The only way into the database while it is open, but for apply() and begin_term().
  rocksdb::Status put_through(rocksdb::WriteOptions options, rocksdb::WriteBatch& writes) {
    if (follows.load(std::memory_order_relaxed))
      return rocksdb::Status::Aborted("this node follows another one, and stores what that does");
    if (writes.Count() == 0 && !options.sync)
      return rocksdb::Status::OK();
    options.disableWAL = options.disableWAL && !logs_all;
    auto status = db().Write(options, &writes);
    if (status.ok())
      growth->tell(writes.Data());
    return status;
  }
  rocksdb::Status put(const rocksdb::WriteOptions& options, family f, std::string_view key,
                      std::string_view value) {
    rocksdb::WriteBatch writes;
    writes.Put(of(f), slice(key), slice(value));
    return put_through(options, writes);
  }
  /// Whether this one is refused tells accepts_writes().
  template <class Write>
  rocksdb::Status judged(const Write& write) {
    const auto status =
        must_refuse && must_refuse() ? rocksdb::Status::NoSpace("by a test") : write();
    refuses.store(!status.ok(), std::memory_order_relaxed);
    return status;
  }
  rocksdb::Status write(const rocksdb::WriteOptions& options, rocksdb::WriteBatch& writes) {
    return judged([&] { return put_through(options, writes); });
  }
  rocksdb::Status get(family f, std::string_view key, std::string& value) const {
    return db().Get({}, of(f), slice(key), &value);
  }
};

} // namespace busbar::storage
