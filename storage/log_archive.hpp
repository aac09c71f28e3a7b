// storage/log_archive.hpp: the part of the write-ahead log that RocksDB needs no more, but
// followers may. Private to storage/.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace busbar::storage {

/// RocksDB moves its closed logs here and never deletes one, because it would look only every ten
/// minutes, in which a bulk load fills a disk. Any thread.
class log_archive {
public:
  /// `bytes_max` is what is kept.
  log_archive(const std::string& directory, std::uint64_t bytes_max);

  /// Deletes the oldest logs until the rest is small enough, unless somebody holds them. After
  /// every flush, as only that closes logs.
  void trim() noexcept { trim_to(bytes_max_); }
  void clear() noexcept { trim_to(0); }
  void hold() noexcept { holders_.fetch_add(1); }
  void release() noexcept;

private:
  void trim_to(std::uint64_t bytes) noexcept;

  const std::string directory_;
  const std::uint64_t bytes_max_;
  std::atomic<int> holders_{0};
  std::mutex trimming_;
};

/// Numbers of the logs that RocksDB will read when it opens this directory.
std::vector<std::uint64_t> live_logs(const std::string& directory);

/// Where the machine died, the end of a log may be lost while a later part, or the next log, is
/// there: RocksDB then goes on from before the hole, and gives the numbers behind it a second time.
/// Who reads the log must not meet the first ones. `logs` are those that were live before the
/// opening, of which RocksDB needs none any more; `sequence` is where it ended.
void drop_dead_logs(const std::string& directory, const std::vector<std::uint64_t>& logs,
                    std::uint64_t sequence) noexcept;

/// The highest sequence number of the whole records in a log file; 0 if there are none.
std::uint64_t last_sequence_in(const std::string& file);

} // namespace busbar::storage
