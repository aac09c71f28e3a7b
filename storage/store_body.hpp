// storage/store_body.hpp: what store.cpp and recover.cpp share. Private to storage/.
#pragma once

#include "storage/store.hpp"

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace busbar::storage {

/// The keys of marks of open transactions, in family "node" (keys.hpp).
inline constexpr char open_prefix[] = "open";
inline constexpr char open_prefix_end[] = "opeo";

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

struct batch::body {
  rocksdb::WriteBatch writes;
};

struct store::body {
  std::unique_ptr<rocksdb::DB> db;
  std::array<std::unique_ptr<rocksdb::ColumnFamilyHandle>, family_names.size()> families;
  std::mutex ids; ///< Guards the next shape id.
  std::uint64_t next_id = 1;
  std::uint64_t reserved_until = 1;
  std::atomic<bool> refuses{false}; ///< See store::accepts_writes().

  ~body() {
    for (auto& handle : families)
      handle.reset();
  }
  rocksdb::ColumnFamilyHandle* of(family f) const {
    return families[static_cast<std::size_t>(f)].get();
  }
  rocksdb::Status get(family f, std::string_view key, std::string& value) const {
    return db->Get({}, of(f), slice(key), &value);
  }
};

} // namespace busbar::storage
