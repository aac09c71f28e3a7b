#include "actors/compactor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <vector>

namespace busbar {

namespace {

/// Larger stretches, which hold enormous rows, are left as they are.
constexpr std::size_t stretch_bytes_max = 64u << 20;
/// What would become smaller by less than this part of it is not written anew.
constexpr std::uint64_t worthwhile = 8;
constexpr std::size_t range_blocks_min = 64;

/// Rows of shapes with subqueries come and go by moves, whose tags tell clients what to hide.
bool can_be_compacted(const shape_state& shape, const shape_progress& progress) {
  return progress.complete && !progress.gone && progress.has_boundaries && shape.inner().empty() &&
         !shape.definition().is_set();
}

} // namespace

void compactor::look(clock::time_point now) {
  ripe_.clear();
  std::unordered_map<storage::shape_id, watched> seen;
  for (auto& shape : index_.all()) {
    const auto progress = shape->progress();
    if (!can_be_compacted(*shape, progress))
      continue;
    auto node = watched_.extract(shape->id());
    auto& known = seen[shape->id()];
    if (!node.empty())
      known = std::move(node.mapped());
    if (auto done = watch(*shape, progress, known, now); !done) {
      spdlog::warn("shape {} is not compacted: {}", shape->handle(), done.error().message);
      continue;
    }
    const auto mark = store_.compaction_of(shape->id());
    if (mark && mark->upto < known.ripe)
      ripe_.emplace_back(std::move(shape), known.ripe);
  }
  watched_ = std::move(seen);
}

result<void> compactor::watch(const shape_state& shape, const shape_progress& progress,
                              watched& known, clock::time_point now) const {
  if (progress.head != known.head) {
    const auto from = std::max(known.newest, log_offset::snapshot_end());
    const auto ends = store_.chunk_ends(shape.id(), from, progress.head);
    if (!ends)
      return fail(error{ends.error()});
    known.head = progress.head;
    if (ends->size() > limits_.chunks_kept) {
      known.newest = (*ends)[ends->size() - 1 - limits_.chunks_kept];
      known.ripening.emplace_back(now, known.newest);
    }
  }
  while (!known.ripening.empty() && now - known.ripening.front().first >= limits_.horizon) {
    known.ripe = known.ripening.front().second;
    known.ripening.pop_front();
  }
  return {};
}

result<std::uint64_t> compactor::step() {
  if (ripe_.empty())
    return 0;
  auto [shape, upto] = std::move(ripe_.front());
  ripe_.pop_front();
  if (shape->progress().gone)
    return 0;
  auto mark = store_.compaction_of(shape->id());
  if (!mark)
    return fail(error{mark.error()});
  if (mark->upto >= upto)
    return 0;
  auto saved = compact(*shape, *mark, upto);
  if (saved)
    ripe_.emplace_back(std::move(shape), upto); // the others first
  else
    saved.error() = std::move(saved).error().with_context("compact shape " + shape->handle());
  return saved;
}

result<std::optional<compactor::found_stretch>>
compactor::read(storage::shape_id id, log_offset begin, log_offset end) const {
  auto blocks = store_.read_blocks(id, begin, end, stretch_bytes_max);
  if (!blocks)
    return fail(std::move(blocks).error());
  if (!*blocks)
    return std::optional<found_stretch>{};
  auto merged = merge_updates(begin, **blocks);
  if (!merged)
    return fail(std::move(merged).error());
  return std::optional{found_stretch{begin, std::move(**blocks), std::move(*merged)}};
}

result<std::uint64_t> compactor::compact(shape_state& shape, storage::compaction_mark mark,
                                         log_offset upto) {
  const auto id = shape.id();
  const auto found_end = store_.chunk_end_after(id, mark.upto);
  if (!found_end)
    return fail(error{found_end.error()});
  if (!*found_end || **found_end > upto)
    return fail(errc::corrupt, "the ends of its chunks are missing");
  const auto end = **found_end;

  auto found = read(id, mark.upto, end);
  const bool joins = found && *found && mark.last_begin < mark.upto &&
                     mark.last_bytes + (*found)->merged.entry_bytes <= limits_.chunk_bytes_max;
  if (joins)
    found = read(id, mark.last_begin, end);
  if (!found)
    return fail(std::move(found).error());

  storage::batch writes;
  std::uint64_t saved = 0;
  if (joins)
    writes.drop_boundary(id, mark.upto);
  else
    mark.last_begin = mark.upto;
  mark.upto = end;
  mark.last_bytes = stretch_bytes_max;
  if (*found) {
    const auto& merged = (*found)->merged;
    const bool pays = joins || merged.saved_bytes * worthwhile >= merged.entry_bytes;
    if (pays) {
      replace(id, **found, end, writes);
      saved = merged.saved_bytes;
      ++mark.times;
    }
    mark.last_bytes = merged.entry_bytes + (pays ? 0 : merged.saved_bytes);
  }
  writes.put_compaction(id, mark);
  if (auto done = store_.commit(writes); !done)
    return fail(std::move(done).error());
  shape.drop_bytes(saved);
  return saved;
}

void compactor::replace(storage::shape_id id, const found_stretch& found, log_offset end,
                        storage::batch& writes) {
  const auto& changed = found.merged.changed;
  // Where most goes, one deleted range is quicker to pass by than many deleted blocks.
  const bool anew = changed.size() > range_blocks_min && 2 * changed.size() > found.blocks.size();
  if (anew)
    writes.drop_blocks(id, found.begin, end);
  auto next = changed.begin();
  for (const auto& block : found.blocks) {
    if (next == changed.end() || next->was != block.last) {
      if (anew)
        writes.append_block(id, block.last, block.bytes);
      continue;
    }
    if (!anew && (next->bytes.empty() || next->last != next->was))
      writes.drop_block(id, next->was);
    if (!next->bytes.empty())
      writes.append_block(id, next->last, next->bytes);
    ++next;
  }
}

} // namespace busbar
