// actors/snapshot_writer.hpp: cuts snapshot rows into chunks and pieces and stores them (spec
// shape-protocol 8.2).
#pragma once

#include "shapes/entry_block.hpp"
#include "storage/store.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace busbar {

/// One snapshot; one thread. Rows first, then end(). `readable` is called whenever there is more to
/// read: with the number of finished chunks, and that of the pieces of the next one. Pieces are
/// shown only of a chunk that has been open for `chunk_patience`, and then about as often at least:
/// most chunks are whole before that, and a snapshot that fails at once has shown nothing.
class snapshot_writer {
public:
  using clock = std::chrono::steady_clock;
  using report = std::function<void(std::uint64_t chunks, std::uint32_t pieces)>;

  snapshot_writer(storage::store& store, storage::shape_id shape, std::uint64_t chunk_bytes_max,
                  report readable, clock::duration chunk_patience = std::chrono::seconds{1})
      : store_{store}, shape_{shape}, chunk_bytes_max_{chunk_bytes_max},
        readable_{std::move(readable)}, chunk_patience_{chunk_patience} {}

  /// `append_row` appends one complete entry to the string that it is given.
  template <class Append>
  result<void> add_row(Append&& append_row) {
    append_row(piece_.begin_entry());
    return end_row();
  }
  /// Adds the snapshot-end message and closes the last chunk.
  result<void> end(std::string_view snapshot_end);

  std::uint64_t chunks() const noexcept { return chunk_; }
  std::uint64_t bytes() const noexcept { return bytes_; } ///< As stored so far.
  /// True if pieces have bypassed the write-ahead log: finish_snapshots() must flush.
  bool needs_flush() const noexcept { return pieces_ > 1; }

private:
  result<void> end_row();
  result<void> close_piece(bool ends_chunk);
  bool is_awaited(clock::time_point now) const;

  storage::store& store_;
  storage::shape_id shape_;
  std::uint64_t chunk_bytes_max_;
  report readable_;
  clock::duration chunk_patience_;
  clock::time_point chunk_began_; ///< With its first row.
  clock::time_point piece_began_;
  block_builder piece_;
  std::uint64_t chunk_ = 0;
  std::uint32_t piece_number_ = 0;
  std::uint64_t chunk_bytes_ = 0;
  std::uint64_t pieces_ = 0;
  std::uint64_t bytes_ = 0;
  std::int64_t row_ = 0;
};

} // namespace busbar
