// storage/inspection.hpp: what a storage directory holds, for `busbar doctor`: looked at without
// changing anything, not even what the next start would mend.
#pragma once

#include "storage/store.hpp"

#include <optional>
#include <string>
#include <vector>

namespace busbar::storage {

enum class directory_state : std::uint8_t {
  missing,    ///< It will be made.
  empty,      ///< There is no store in it yet.
  in_use,     ///< Another process holds it; nothing more is known.
  readable,   ///< A start would take it.
  unreadable, ///< A start would refuse it: see `problem`.
};

struct directory_inspection {
  directory_state state = directory_state::missing;
  int holder = 0;           ///< in_use: the process, if it is on this machine.
  std::string problem;      ///< unreadable: why.
  std::uint32_t format = 0; ///< readable; 0 = nothing has been stored that has a format.
  std::optional<node_identity> identity;  ///< readable: whose data it is.
  lsn durable{};                          ///< readable
  std::vector<std::uint32_t> full_tables; ///< readable: as store::note_full_tables() was told.
};

/// Not for a process that has this store open: POSIX drops a process's lock on a file when the
/// process closes that file, however often it has it open.
directory_inspection inspect(const std::string& directory);

} // namespace busbar::storage
