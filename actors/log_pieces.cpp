#include "actors/log_pieces.hpp"

#include "actors/shape_state.hpp"
#include "shapes/entry_block.hpp"
#include "storage/store.hpp"

namespace busbar {

namespace {

constexpr std::size_t piece_bytes = 256 * 1024;

/// Appends entries first … of a block.
void append_entries(std::string& out, const block_view& block, std::uint32_t first, framing form) {
  if (form == framing::json_elements) {
    if (!out.empty())
      out.push_back(',');
    out += block.tail(first);
    return;
  }
  for (auto i = first; i < block.count(); ++i) {
    out += "data: ";
    out += block.entry(i);
    out += "\n\n";
  }
}

result<piece_cache::value> load_snapshot_piece(const storage::store& store,
                                               const log_cursor& cursor) {
  auto stored = store.read_snapshot_piece(cursor.shape->id(),
                                          static_cast<std::uint64_t>(cursor.end.op), cursor.piece);
  if (!stored)
    return fail(std::move(stored).error());
  if (!*stored)
    return fail(errc::corrupt, "a piece of a snapshot chunk is missing");
  const auto block = block_view::open(**stored);
  if (!block)
    return fail(error{block.error()}.with_context("snapshot chunk"));
  std::string bytes;
  append_entries(bytes, *block, 0, cursor.form);
  const bool last = block->chunk_bytes_after() == 0;
  return piece_cache::value{{share(std::move(bytes))}, last ? cursor.end : cursor.at, last};
}

result<piece_cache::value> load_log_piece(const storage::store& store, const log_cursor& cursor) {
  std::string bytes;
  log_offset reached = cursor.at;
  result<void> sound;
  auto done = store.read_log(
      cursor.shape->id(), cursor.at, cursor.end, [&](log_offset last, std::string_view stored) {
        const auto block = block_view::open(stored);
        if (!block) {
          sound = fail(error{block.error()}.with_context("shape log"));
          return false;
        }
        const auto first = last.tx == cursor.at.tx ? block->first_after(cursor.at.op) : 0;
        append_entries(bytes, *block, first, cursor.form);
        reached = last;
        return bytes.size() < piece_bytes;
      });
  if (!done)
    return fail(std::move(done).error());
  if (!sound)
    return fail(std::move(sound).error());
  if (reached == cursor.at)
    return fail(errc::corrupt, "entries of a shape log are missing");
  return piece_cache::value{{share(std::move(bytes))}, reached, reached >= cursor.end};
}

/// What compaction has done where the cursor stands.
result<storage::compaction_mark> mark_at(const storage::store& store, const log_cursor& cursor) {
  if (cursor.end.in_snapshot() || !cursor.shape->progress().has_boundaries)
    return storage::compaction_mark{};
  auto mark = store.compaction_of(cursor.shape->id());
  if (mark && cursor.at >= mark->upto)
    return storage::compaction_mark{};
  return mark;
}

/// Compaction moves what it merges towards the end of a chunk. A body that was promised up to
/// another place, which is there no more, would lack it: and a cache might put behind that body
/// what follows the place in the log as it was.
result<void> check_promise(const storage::store& store, const log_cursor& cursor,
                           const storage::compaction_mark& mark) {
  if (mark.times == 0 || cursor.end >= mark.upto)
    return {};
  const auto is_end = store.is_chunk_end(cursor.shape->id(), cursor.end);
  if (!is_end)
    return fail(error{is_end.error()});
  if (!*is_end)
    return fail(errc::unavailable, "the log has been compacted meanwhile: read it again");
  return {};
}

constexpr int tries_max = 10;

} // namespace

result<body_piece> read_piece(const storage::store& store, piece_cache& cache, log_cursor& cursor) {
  if (cursor.done())
    return body_piece{};
  result<piece_cache::value> found;
  bool is_exact = false;
  for (int i = 0; i < tries_max && !is_exact; ++i) {
    const auto mark = mark_at(store, cursor);
    if (!mark)
      return fail(error{mark.error()});
    const piece_cache::key key{cursor.shape->id(), cursor.at, cursor.end, cursor.piece,
                               cursor.form,        cursor.in, mark->times};
    is_exact = true;
    found = cache.find_or(key, [&]() -> result<piece_cache::value> {
      if (auto kept = check_promise(store, cursor, *mark); !kept)
        return fail(std::move(kept).error());
      auto loaded = cursor.end.in_snapshot() ? load_snapshot_piece(store, cursor)
                                             : load_log_piece(store, cursor);
      // Only what is of one state of the log may be kept under its name.
      const auto after = mark_at(store, cursor);
      is_exact = after && after->times == mark->times;
      if (!is_exact)
        return fail(errc::unavailable, "the log is being compacted");
      if (loaded && cursor.in != coding::identity)
        loaded->body = piece_in(cursor.in, std::move(loaded->body.bytes));
      return loaded;
    });
  }
  if (!found)
    return fail(std::move(found).error());
  cursor.at = found->end;
  cursor.finished = found->last;
  ++cursor.piece;
  return std::move(found->body);
}

} // namespace busbar
