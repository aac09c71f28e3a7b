#include "storage/store_body.hpp"

#include <rocksdb/db.h>

namespace busbar::storage {

store_statistics store::statistics() const {
  using properties = rocksdb::DB::Properties;
  const auto property = [this](family f, const std::string& name) {
    std::uint64_t value = 0;
    body_->db().GetIntProperty(body_->of(f), name, &value); // 0 if RocksDB does not know it
    return value;
  };
  store_statistics found;
  for (std::size_t i = 0; i < family_names.size(); ++i) {
    const auto f = static_cast<family>(i);
    found.parts.push_back({.family = family_names[i],
                           .file_bytes = property(f, properties::kTotalSstFilesSize) +
                                         property(f, properties::kTotalBlobFileSize),
                           .memory_bytes = property(f, properties::kSizeAllMemTables)});
  }
  found.cache_bytes = property(family::log, properties::kBlockCacheUsage);
  found.is_stopped = property(family::log, properties::kIsWriteStopped) != 0;
  found.stalls = body_->stalls->load(std::memory_order_relaxed);
  if (const auto disk = body_->space->look()) {
    found.disk_free = disk->free;
    found.disk_size = disk->size;
  }
  return found;
}

} // namespace busbar::storage
