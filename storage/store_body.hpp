// storage/store_body.hpp: what store.cpp and recover.cpp share. Private to storage/.
#pragma once

#include "storage/store.hpp"

#include <rocksdb/comparator.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

namespace busbar::storage {

/// The keys of marks of open transactions, in family "node" (keys.hpp).
inline constexpr char open_prefix[] = "open";
inline constexpr char open_prefix_end[] = "opeo";

/// Keys of tables, in family "directory".
inline constexpr char table_prefix[] = "d";
inline constexpr std::size_t table_digest_bytes = 16;

inline error to_error(const rocksdb::Status& status, std::string_view doing) {
  const auto code = status.IsCorruption() ? errc::corrupt : errc::unavailable;
  return error{code, "storage: " + status.ToString()}.with_context(doing);
}

inline rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}
inline std::string_view view(const rocksdb::Slice& s) {
  return {s.data(), s.size()};
}

/// The column family's id in a WriteBatch is its position in family_names, because all families are
/// created in that order; a batch can then be filled without a handle.
class numbered_family final : public rocksdb::ColumnFamilyHandle {
public:
  explicit numbered_family(family f) : id_{static_cast<std::uint32_t>(f)} {}
  const std::string& GetName() const override { return name_; }
  std::uint32_t GetID() const override { return id_; }
  rocksdb::Status GetDescriptor(rocksdb::ColumnFamilyDescriptor*) override {
    return rocksdb::Status::NotSupported();
  }
  const rocksdb::Comparator* GetComparator() const override {
    return rocksdb::BytewiseComparator();
  }

private:
  std::uint32_t id_;
  std::string name_;
};

struct batch::body {
  rocksdb::WriteBatch writes;
};

struct store::body {
  std::unique_ptr<rocksdb::DB> db;
  std::array<std::unique_ptr<rocksdb::ColumnFamilyHandle>, family_names.size()> families;
  std::mutex ids; ///< Guards the next shape id.
  std::uint64_t next_id = 1;
  std::uint64_t reserved_until = 1;
  std::mutex tables;                   ///< Guards the next.
  std::set<std::string> tables_stored; ///< By digest.
  std::atomic<bool> refuses{false};    ///< See store::accepts_writes().
  std::function<bool()> must_refuse;   ///< store_settings::refuses; may be empty.

  ~body() {
    for (auto& handle : families)
      handle.reset();
  }
  rocksdb::ColumnFamilyHandle* of(family f) const {
    return families[static_cast<std::size_t>(f)].get();
  }
  rocksdb::Status write(const rocksdb::WriteOptions& options, rocksdb::WriteBatch& writes) {
    const auto status = must_refuse && must_refuse() ? rocksdb::Status::NoSpace("by a test")
                                                     : db->Write(options, &writes);
    refuses.store(!status.ok(), std::memory_order_relaxed);
    return status;
  }
  /// For what is read once: it shall not drive out of the cache what is read often.
  std::unique_ptr<rocksdb::Iterator> look_over(family f) const {
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    return std::unique_ptr<rocksdb::Iterator>{db->NewIterator(options, of(f))};
  }
  rocksdb::Status get(family f, std::string_view key, std::string& value) const {
    return db->Get({}, of(f), slice(key), &value);
  }
};

} // namespace busbar::storage
