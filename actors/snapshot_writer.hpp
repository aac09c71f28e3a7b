// actors/snapshot_writer.hpp: cuts snapshot rows into chunks and pieces and stores them (spec
// shape-protocol 8.2).
#pragma once

#include "shapes/entry_block.hpp"
#include "storage/store.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace busbar {

/// One snapshot; one thread. Rows first, then end(). `chunk_done` is called with the number of
/// finished chunks whenever one can be read.
class snapshot_writer {
public:
  snapshot_writer(storage::store& store, storage::shape_id shape, std::uint64_t chunk_bytes_max,
                  std::function<void(std::uint64_t)> chunk_done)
      : store_{store}, shape_{shape}, chunk_bytes_max_{chunk_bytes_max}, chunk_done_{std::move(
                                                                             chunk_done)} {}

  /// `append_row` appends one complete entry to the string that it is given.
  template <class Append>
  result<void> add_row(Append&& append_row) {
    append_row(piece_.begin_entry());
    return end_row();
  }
  /// Adds the snapshot-end message and closes the last chunk.
  result<void> end(std::string_view snapshot_end);

  std::uint64_t chunks() const noexcept { return chunk_; }
  /// True if pieces have bypassed the write-ahead log: finish_snapshots() must flush.
  bool needs_flush() const noexcept { return pieces_ > 1; }

private:
  result<void> end_row();
  result<void> close_piece(bool ends_chunk);

  storage::store& store_;
  storage::shape_id shape_;
  std::uint64_t chunk_bytes_max_;
  std::function<void(std::uint64_t)> chunk_done_;
  block_builder piece_;
  std::uint64_t chunk_ = 0;
  std::uint32_t piece_number_ = 0;
  std::uint64_t chunk_bytes_ = 0;
  std::uint64_t pieces_ = 0;
  std::int64_t row_ = 0;
};

} // namespace busbar
