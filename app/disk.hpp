// app/disk.hpp: the disk under the storage directory, as far as a few small writes tell.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace busbar::app {

struct disk_inspection {
  std::string directory;   ///< The one looked at: the storage directory, or what will hold it.
  std::string problem;     ///< Not empty: nothing else is known.
  std::string file_system; ///< Its name, or its number in hexadecimal.
  bool is_network = false; ///< Locks and syncs may not mean there what they mean here.
  bool is_memory = false;  ///< Nothing in it survives a restart of the machine.
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0; ///< For us, who may not be root.
  bool is_writable = false;
  std::optional<std::chrono::microseconds> sync_time; ///< The median of a few small syncs.
};

/// Leaves nothing behind; the file it writes has no name.
disk_inspection inspect_disk(const std::string& storage_directory);

} // namespace busbar::app
