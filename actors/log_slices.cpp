#include "actors/log_slices.hpp"

#include <algorithm>

namespace busbar {

namespace {

log_cursor cursor(const shape_ptr& shape, const read_position& position, log_offset end) {
  return {.shape = shape,
          .at = position.at,
          .end = end,
          .piece = 0,
          .form = position.sse ? framing::sse_events : framing::json_elements,
          .in = coding::identity,
          .finished = false};
}

} // namespace

log_slice empty_slice(const shape_state& shape, log_offset at) {
  log_slice slice{.handle = shape.handle(),
                  .schema_json = shape.schema_json(),
                  .requested = at,
                  .now = false,
                  .end = at,
                  .up_to_date = true,
                  .chunk_at_head = false,
                  .last_seen_lsn = 0,
                  .weak_tag = false,
                  .no_changes = false,
                  .ready = nullptr,
                  .news = nullptr,
                  .rest = {}};
  slice.rest.finished = true;
  return slice;
}

result<std::optional<log_slice>> slice_at(const storage::store& store, const shape_ptr& shape,
                                          const read_position& position,
                                          const shape_progress& progress, std::uint64_t last_seen) {
  if (!progress.started)
    return std::optional<log_slice>{};
  const auto at = position.at;
  auto slice = empty_slice(*shape, at);
  slice.now = position.now;
  slice.end = progress.head;
  slice.last_seen_lsn = promised(progress, last_seen);
  slice.no_changes = position.now;
  if (position.now)
    return slice;
  if (at == log_offset::start() || at.in_snapshot()) {
    const auto next = static_cast<std::uint64_t>(at.op + 1);
    // Where a chunk ends is known before its last row is. A stream waits until it is whole: its
    // later batches would queue behind it.
    const bool is_open = next == progress.chunks && progress.pieces > 0 && !position.sse;
    if (next < progress.chunks || is_open) {
      slice.end = {0, static_cast<std::int64_t>(next)};
      slice.up_to_date = false;
      slice.rest = cursor(shape, position, slice.end);
      return slice;
    }
    if (!progress.complete)
      return std::optional<log_slice>{};
  }
  if (at > progress.head)
    return std::optional<log_slice>{};
  if (progress.head.tx == 0 || at == progress.head) {
    slice.last_seen_lsn = promised(progress, std::max(last_seen, progress.head.tx));
    return slice;
  }
  if (progress.has_boundaries && !position.sse) {
    const auto chunk_end = store.chunk_end_after(shape->id(), at);
    if (!chunk_end)
      return fail(error{chunk_end.error()});
    if (*chunk_end && **chunk_end < progress.head) {
      slice.end = **chunk_end;
      slice.up_to_date = false;
    }
    slice.chunk_at_head = *chunk_end && **chunk_end == progress.head;
  }
  slice.rest = cursor(shape, position, slice.end);
  slice.last_seen_lsn =
      promised(progress, position.live ? slice.end.tx : std::max(last_seen, slice.end.tx));
  return slice;
}

} // namespace busbar
