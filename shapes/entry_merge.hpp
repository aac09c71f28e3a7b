// shapes/entry_merge.hpp: makes a finished stretch of a shape's log shorter. Pure.
//
// Updates of one key that follow each other, with no insert or delete of that key between, become
// one, and that is the last of them: it keeps its offset and headers, shows every column that one
// of them has changed as the last of these left it, and in `old_value` as the first found it. So
// who has the rows as of any offset in the stretch, and applies what is behind it, has the rows as
// of the stretch's end; and the last entry of a stretch always stays.
#pragma once

#include "base/result.hpp"
#include "shapes/offset.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace busbar {

/// A block (entry_block.hpp) as it is stored: entries of one transaction, up to `last`.
struct stored_block {
  log_offset last;
  std::string bytes;
};

/// What becomes of a stretch.
struct merged_stretch {
  struct block {
    log_offset was;    ///< The block's last offset until now …
    log_offset last;   ///< … and from now on. Not larger.
    std::string bytes; ///< Empty: nothing of it is left.
  };
  std::vector<block> changed;    ///< In order; the others stay as they are.
  std::uint64_t entry_bytes = 0; ///< Size of all entries that are left.
  std::uint64_t saved_bytes = 0;
};

/// `blocks` are all of the stretch that begins after `after`, in order. A transaction keeps its
/// mark of the last entry: if that goes, the one before it in its block takes it. errc::corrupt if
/// a block or an entry is not what we write.
result<merged_stretch> merge_updates(log_offset after, std::span<const stored_block> blocks);

} // namespace busbar
