// storage/space.hpp: keeps RocksDB from meeting the end of the disk in the middle of its log, after
// which it could not go on in this process.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

namespace busbar::storage {

/// Watches the room on one disk. Below the low-water mark nothing more is admitted, until there is
/// twice as much. Beside that a ballast file is held, which is given up when RocksDB itself has run
/// out of room, so that it can end what it began: at start, and in a flush. Any thread.
class space_guard {
public:
  struct marks {
    std::uint64_t low = 0;     ///< Bytes that must be free, or nothing is admitted …
    std::uint64_t high = 0;    ///< … until so many are.
    std::uint64_t ballast = 0; ///< Size of the file.
  };
  /// For a disk of this size: a fiftieth, at least 1 MiB and at most 128 MiB.
  static marks marks_for(std::uint64_t disk_bytes) noexcept;

  /// The directory must exist.
  explicit space_guard(std::string directory);
  space_guard(const space_guard&) = delete;
  space_guard& operator=(const space_guard&) = delete;

  /// True if so many bytes may be written. A disk that cannot be asked is not full.
  bool admits(std::size_t bytes) noexcept;
  /// Of the disk; nullopt if it cannot be asked.
  struct room {
    std::uint64_t size = 0;
    std::uint64_t free = 0;
  };
  std::optional<room> look() const noexcept;
  /// Whether others than RocksDB may have so much of the disk, without bringing it near the marks.
  bool can_spare(std::size_t bytes) const noexcept;
  /// False while nothing is admitted; looks again.
  bool has_room() noexcept { return admits(0); }
  void drop_ballast() noexcept;

private:
  void hold_ballast(std::uint64_t free) noexcept;

  const std::string directory_;
  const std::string ballast_file_;
  marks marks_;
  std::atomic<bool> low_{false};
  std::atomic<bool> has_ballast_{false};
  std::mutex ballast_; ///< Guards the file.
};

} // namespace busbar::storage
