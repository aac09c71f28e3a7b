// storage/rocks.hpp: the thin layer between RocksDB and the rest of storage/, to which it is
// private.
#pragma once

#include "base/result.hpp"
#include "storage/keys.hpp"

#include <rocksdb/comparator.h>
#include <rocksdb/db.h>
#include <rocksdb/slice.h>
#include <rocksdb/status.h>

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace busbar::storage {

class space_guard;

/// True if bytes on the disk are not what was written: repeating the read cannot help.
inline bool is_damage(const rocksdb::Status& status) {
  return status.IsCorruption() ||
         (status.IsIOError() &&
          (status.IsPathNotFound() ||
           status.ToString().find("Input/output error") != std::string::npos));
}

/// True if the directory's lock is another process's, or this one's already: by RocksDB's own
/// words.
inline bool is_locked(const rocksdb::Status& status) {
  const auto text = status.ToString();
  return status.IsIOError() && (text.find("While lock file") != std::string::npos ||
                                text.find("lock hold by current process") != std::string::npos);
}

inline error to_error(const rocksdb::Status& status, std::string_view doing) {
  const auto code = is_damage(status) ? errc::corrupt : errc::unavailable;
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

/// An open RocksDB with its column families; closed by its end.
struct database {
  std::unique_ptr<rocksdb::DB> db;
  std::array<std::unique_ptr<rocksdb::ColumnFamilyHandle>, family_names.size()> families;

  database() = default;
  database(database&&) noexcept = default;
  database& operator=(database&& other) noexcept {
    close();
    db = std::move(other.db);
    families = std::move(other.families);
    return *this;
  }
  ~database() { close(); }
  void close() {
    for (auto& handle : families)
      handle.reset();
    db.reset();
  }
  rocksdb::ColumnFamilyHandle* of(family f) const {
    return families[static_cast<std::size_t>(f)].get();
  }
};

/// What stands behind a trouble of RocksDB's own threads, which no caller is told of.
struct trouble_reports {
  std::function<void(const error&)> log_refused; ///< Part of the write-ahead log is not written.
  std::function<void(const error&)> damaged;     ///< What it meant to rewrite cannot be read.
  std::function<void()> no_space;
  std::function<void()> stalled; ///< Writes are slowed down or stopped, as nothing else.
};

struct database_settings {
  std::string directory;
  std::size_t cache_bytes = 0;
  std::size_t write_buffer_bytes = 0;
  trouble_reports reports = {};
  bool keeps_logs = false;                 ///< Closed logs go into the archive (log_archive.hpp).
  std::function<void()> flushed = nullptr; ///< By RocksDB's threads, when a log may have closed.
};

/// Opens it, or makes a new one. RocksDB's own status, so that the caller can tell damage from a
/// lock.
rocksdb::Status open_database(const database_settings& settings, database& into);
/// Opens what is there for reading only, whatever files of it are missing or damaged: reads of
/// those fail.
rocksdb::Status open_damaged(const std::string& directory, database& into);
/// Opens it for reading only, and sound as it must be.
rocksdb::Status open_sound(const std::string& directory, database& into);
/// Takes a table file off the list of those that the store consists of, in a directory that nobody
/// has open.
rocksdb::Status strike_file(const std::string& directory, std::string_view family,
                            std::uint64_t number);

} // namespace busbar::storage
