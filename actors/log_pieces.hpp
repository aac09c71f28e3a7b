// actors/log_pieces.hpp: reads a slice of a shape's log piece by piece, framed for the wire.
#pragma once

#include "actors/piece_cache.hpp"
#include "actors/reader.hpp"
#include "storage/store.hpp"

namespace busbar {

/// The next piece behind `cursor.at`, and where the reader is after it. Null bytes: nothing
/// follows. Reads, and compresses, through the cache. Any thread.
result<body_piece> read_piece(const storage::store& store, piece_cache& cache, log_cursor& cursor);

} // namespace busbar
