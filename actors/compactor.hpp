// actors/compactor.hpp: makes the older parts of shapes' logs shorter (shapes/entry_merge.hpp)
// while they are read and written. Of one thread, and no actor: the JANITOR's tool.
//
// A step takes one complete chunk, and joins it to the one before it if what is left of both fits
// into one. All of it is one batch. So the rules for readers are:
//   - an offset that somebody has stays good, and so does the end of a chunk that a cache knows:
//   who
//     goes on from there has the rows that everybody has at the next end;
//   - what the log says moves towards the end of its chunk and never past it, so that a response
//     and one that was cached before it fit together, in whatever order they were made, as long as
//     each ends where a chunk does; log_pieces.cpp breaks off those that do not any more.
// The last chunks are left alone, and so is what has been there for less than the horizon: clients
// that wait for a transaction of theirs may look for its id.
#pragma once

#include "actors/shape_index.hpp"
#include "shapes/entry_merge.hpp"
#include "storage/store.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace busbar {

struct compaction_limits {
  std::size_t chunk_bytes_max = 0; ///< As for the logs.
  std::chrono::milliseconds horizon{0};
  std::size_t chunks_kept = 2; ///< Complete ones, at the log's end.
};

class compactor {
public:
  using clock = std::chrono::steady_clock;

  /// Borrows them.
  compactor(storage::store& store, const shape_index& index, compaction_limits limits)
      : store_{store}, index_{index}, limits_{limits} {}

  /// Finds what has become old enough. How long the present logs have been there is counted from
  /// the first look.
  void look(clock::time_point now);
  /// True if a step would do something.
  bool has_work() const noexcept { return !ripe_.empty(); }
  /// Compacts a chunk. Answers by how many bytes that made the store's contents smaller. After an
  /// error the shape is left alone until the next look.
  result<std::uint64_t> step();

private:
  struct watched {
    log_offset head;   ///< At the last look.
    log_offset newest; ///< The last chunk end behind which there were enough chunks.
    /// Earlier ones of these, and when they were found.
    std::deque<std::pair<clock::time_point, log_offset>> ripening;
    log_offset ripe; ///< Up to here all is old enough.
  };
  /// What is known of a shape whose log has complete chunks; errors are for the log.
  result<void> watch(const shape_state& shape, const shape_progress& progress, watched& known,
                     clock::time_point now) const;
  struct found_stretch {
    log_offset begin;
    std::vector<stored_block> blocks;
    merged_stretch merged;
  };
  /// (begin, end], as it is and as it could be; nullopt if it is too large to look at.
  result<std::optional<found_stretch>> read(storage::shape_id id, log_offset begin,
                                            log_offset end) const;
  static void replace(storage::shape_id id, const found_stretch& found, log_offset end,
                      storage::batch& writes);
  /// The next chunk of the log, if it ends at `upto` at most.
  result<std::uint64_t> compact(shape_state& shape, storage::compaction_mark mark, log_offset upto);

  storage::store& store_;
  const shape_index& index_;
  const compaction_limits limits_;
  std::unordered_map<storage::shape_id, watched> watched_;
  std::deque<std::pair<shape_ptr, log_offset>> ripe_; ///< Work to do, each up to where.
};

} // namespace busbar
