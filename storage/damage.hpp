// storage/damage.hpp: what is done with a directory that RocksDB cannot open, or cannot go on with.
//
// What costs how much: bytes of one shape that cannot be read cost that shape, at start as later
// (recover.cpp, actors/session.cpp). A table file that RocksDB itself stumbles over costs the
// shapes that have something in its damaged part: all others are copied into a new store. Without
// MANIFEST, CURRENT or the node's own keys nobody knows what is missing: the directory's files are
// set aside, and all begins anew. Whatever was damaged is kept, in a subdirectory "damaged-<time>"
// (the last one): the directory itself may be a mount point, which cannot be renamed.
#pragma once

#include "base/result.hpp"
#include "storage/rocks.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace rocksdb {
class FileLock;
}

namespace busbar::storage {

/// A directory that no other process has open, nor this one.
class directory_lock {
public:
  /// errc::misconfigured if it is held, or cannot be.
  static result<std::unique_ptr<directory_lock>> take(const std::string& directory);
  ~directory_lock();
  directory_lock(const directory_lock&) = delete;
  directory_lock& operator=(const directory_lock&) = delete;

private:
  explicit directory_lock(rocksdb::FileLock* lock) : lock_{lock} {}
  rocksdb::FileLock* lock_; ///< RocksDB's, given back by the destructor.
};

/// What can be told before RocksDB opens the directory.
enum class first_look {
  new_or_sound,
  damaged,  ///< RocksDB said so when it was last open: rebuild().
  headless, ///< There is data, but not what tells which of it is valid: set_aside().
};
/// errc::misconfigured if another process holds the directory, or a newer build made it.
result<first_look> look_first(const std::string& directory);

/// Moves all files of the store to where nobody looks for them. One loud line in the log.
result<void> set_aside(const std::string& directory, std::string_view why);

/// Copies what is sound into a new store, which takes the place of the damaged one.
/// errc::corrupt if not even the node's own keys are sound; then nothing has changed.
result<void> rebuild(const std::string& directory, std::string_view why);

/// The next open() rebuilds. For RocksDB's own threads.
void mark_as_damaged(const std::string& directory) noexcept;

} // namespace busbar::storage
