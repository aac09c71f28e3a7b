#include "actors/snapshot_writer.hpp"

namespace busbar {

namespace {
/// What a reader holds in memory at a time.
constexpr std::size_t piece_bytes_max = 256 * 1024;
} // namespace

result<void> snapshot_writer::end_row() {
  const auto now = clock::now();
  if (chunk_bytes_ == 0)
    chunk_began_ = piece_began_ = now;
  chunk_bytes_ += piece_.end_entry(row_++) + 1;
  if (chunk_bytes_ >= chunk_bytes_max_)
    return close_piece(true);
  if (piece_.size_bytes() >= piece_bytes_max || is_awaited(now))
    return close_piece(false);
  return {};
}

/// True if readers should not wait longer for what there is.
bool snapshot_writer::is_awaited(clock::time_point now) const {
  return now - chunk_began_ >= chunk_patience_ && now - piece_began_ >= chunk_patience_;
}

result<void> snapshot_writer::end(std::string_view snapshot_end) {
  piece_.add(row_++, snapshot_end);
  return close_piece(true);
}

result<void> snapshot_writer::close_piece(bool ends_chunk) {
  // In a snapshot's pieces "chunk bytes after" only says whether the chunk goes on: 0 = no.
  const auto& block = piece_.finish(ends_chunk ? 0 : chunk_bytes_);
  // A single piece, as most snapshots are, goes through the write-ahead log like everything else;
  // which ones that will be shows only at the end, so the first is always logged.
  const bool logged = pieces_ == 0;
  ++pieces_;
  if (auto done = store_.put_snapshot_piece(shape_, chunk_, piece_number_, block, logged); !done)
    return done;
  bytes_ += block.size();
  piece_.clear();
  ++piece_number_;
  piece_began_ = clock::now();
  if (ends_chunk) {
    ++chunk_;
    piece_number_ = 0;
    chunk_bytes_ = 0;
    readable_(chunk_, 0);
  } else if (piece_began_ - chunk_began_ >= chunk_patience_) {
    readable_(chunk_, piece_number_);
  }
  return {};
}

} // namespace busbar
