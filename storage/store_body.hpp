// storage/store_body.hpp: what the sources of the store share. Private to storage/.
#pragma once

#include "storage/rocks.hpp"
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

namespace busbar::storage {

struct batch::body {
  rocksdb::WriteBatch writes;
};

struct store::body {
  std::shared_ptr<space_guard> space;
  database rocks;
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
  result<void> take_back(std::span<const recovered_shape> shapes,
                         const std::set<std::uint64_t>& open);
  /// For what is read once: it shall not drive out of the cache what is read often.
  std::unique_ptr<rocksdb::Iterator> look_over(family f) const {
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    return std::unique_ptr<rocksdb::Iterator>{db().NewIterator(options, of(f))};
  }
  rocksdb::Status write(const rocksdb::WriteOptions& options, rocksdb::WriteBatch& writes) {
    const auto status = must_refuse && must_refuse() ? rocksdb::Status::NoSpace("by a test")
                                                     : db().Write(options, &writes);
    refuses.store(!status.ok(), std::memory_order_relaxed);
    return status;
  }
  rocksdb::Status get(family f, std::string_view key, std::string& value) const {
    return db().Get({}, of(f), slice(key), &value);
  }
};

} // namespace busbar::storage
