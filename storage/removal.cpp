// The end of shapes: marks, which are all that a removal waits for, and the deletion of what they
// had, which can wait.
#include "base/bytes.hpp"
#include "storage/store_body.hpp"

#include <rocksdb/convenience.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace busbar::storage {

namespace {

/// What has no more than this is deleted key by key: every read pays for the ranges that are
/// deleted, until compaction has come by.
constexpr std::size_t keys_max = 16;
constexpr std::size_t small_value_bytes = 8 * 1024;

using key_range = std::pair<std::string, std::string>;

/// Runs of neighbours become one.
void add_range(std::vector<key_range>& ranges, std::string begin, std::string end) {
  if (!ranges.empty() && ranges.back().second == begin)
    ranges.back().second = std::move(end);
  else
    ranges.emplace_back(std::move(begin), std::move(end));
}

/// The keys of the family in this range, if they are few and small; false if not.
bool list_keys(rocksdb::Iterator& it, const key_range& range, std::vector<std::string>& keys) {
  for (it.Seek(range.first); it.Valid() && view(it.key()) < range.second; it.Next()) {
    if (keys.size() == keys_max || it.value().size() > small_value_bytes)
      return false;
    keys.push_back(it.key().ToString());
  }
  return it.status().ok();
}

} // namespace

result<void> store::mark_removed(shape_id id) {
  const auto status = body_->put({}, family::directory, shape_key('x', id), {});
  if (!status.ok())
    return fail(to_error(status, "mark shape as removed"));
  return {};
}

result<void> store::remove_shapes(std::span<const removal> shapes) {
  std::vector<removal> sorted{shapes.begin(), shapes.end()};
  std::ranges::sort(sorted, {}, [](const auto& one) { return to_number(one.id); });
  rocksdb::WriteBatch writes;
  for (const auto& [id, last_word] : sorted)
    for (const char kind : {'s', 'p', 't', 'u', 'x'})
      if (kind != 'x' || last_word)
        writes.Delete(body_->of(family::directory), shape_key(kind, id));
  std::vector<std::pair<family, std::vector<key_range>>> large;
  for (const auto f : {family::log, family::chunks, family::sets}) {
    const auto it = body_->look_over(f);
    auto& ranges = large.emplace_back(f, std::vector<key_range>{}).second;
    for (const auto& [id, last_word] : sorted) {
      key_range range{shape_prefix(id), shape_prefix(shape_id{to_number(id) + 1})};
      std::vector<std::string> keys;
      if (list_keys(*it, range, keys))
        for (const auto& key : keys)
          writes.Delete(body_->of(f), key);
      else
        add_range(ranges, std::move(range.first), std::move(range.second));
    }
    for (const auto& [begin, end] : ranges)
      writes.DeleteRange(body_->of(f), begin, end);
  }
  if (const auto status = body_->put_through({}, writes); !status.ok())
    return fail(to_error(status, "remove shapes"));
  // Files that hold nothing else go at once; the rest is compaction's.
  for (const auto& [f, ranges] : large) {
    std::vector<rocksdb::RangePtr> whole;
    std::vector<rocksdb::Slice> ends;
    ends.reserve(2 * ranges.size());
    for (const auto& [begin, end] : ranges) {
      ends.emplace_back(begin);
      ends.emplace_back(end);
      whole.emplace_back(&ends[ends.size() - 2], &ends.back());
    }
    if (!whole.empty())
      if (const auto status = rocksdb::DeleteFilesInRanges(&body_->db(), body_->of(f), whole.data(),
                                                           whole.size(), false);
          !status.ok())
        return fail(to_error(status, "remove files of shapes"));
  }
  return {};
}

result<void> store::remove_shape(shape_id id, bool last_word) {
  const removal one{id, last_word};
  return remove_shapes({&one, 1});
}

result<void> store::remove_all_shapes() {
  const auto begin = shape_prefix(shape_id{0});
  const auto end = shape_prefix(shape_id{~std::uint64_t{0}});
  rocksdb::WriteBatch writes;
  // Marks of removal stay: a snapshot that is still being written may finish after this.
  for (const char kind : {'p', 's', 't', 'u'})
    writes.DeleteRange(body_->of(family::directory), shape_key(kind, shape_id{0}),
                       shape_key(kind, shape_id{~std::uint64_t{0}}));
  writes.DeleteRange(body_->of(family::log), begin, end);
  writes.DeleteRange(body_->of(family::chunks), begin, end);
  writes.DeleteRange(body_->of(family::sets), begin, end);
  writes.DeleteRange(body_->of(family::node), open_prefix, open_prefix_end);
  rocksdb::WriteOptions options;
  options.sync = true;
  if (const auto status = body_->put_through(options, writes); !status.ok())
    return fail(to_error(status, "remove all shapes"));
  return {};
}

result<std::vector<shape_id>> store::removed_shapes() const {
  std::vector<shape_id> found;
  const auto it = body_->look_over(family::directory);
  for (it->Seek("x"); it->Valid() && it->key().starts_with("x"); it->Next())
    if (const auto id = parse_shape_key(view(it->key())))
      found.push_back(*id);
  if (!it->status().ok())
    return fail(to_error(it->status(), "find removed shapes"));
  return found;
}

result<std::vector<shape_id>> store::ownerless_shapes() const {
  std::vector<shape_id> found;
  for (const auto f : {family::log, family::chunks, family::sets}) {
    const auto it = body_->look_over(f);
    for (it->SeekToFirst(); it->Valid() && it->key().size() >= 8;) {
      const shape_id id{read_be64(it->key().data())};
      if (to_number(id) >= body_->first_id)
        break; // made by this process
      std::string record;
      if (body_->get(family::directory, shape_key('s', id), record).IsNotFound())
        found.push_back(id);
      it->Seek(shape_prefix(shape_id{to_number(id) + 1}));
    }
    if (!it->status().ok())
      return fail(to_error(it->status(), "find data without an owner"));
  }
  return found;
}

// -- when shapes were last read -------------------------------------------------------------------

result<void> store::put_usage(std::span<const std::pair<shape_id, shape_usage>> shapes) {
  if (follows())
    return {};
  if (auto room = body_->room_for(shapes.size() * 32); !room)
    return room;
  rocksdb::WriteBatch writes;
  for (const auto& [id, usage] : shapes) {
    std::string text;
    append_be64(text, usage.read_micros);
    append_be64(text, usage.bytes);
    writes.Put(body_->of(family::directory), shape_key('u', id), text);
  }
  if (const auto status = body_->put_through({}, writes); !status.ok())
    return fail(to_error(status, "write when shapes were read"));
  return {};
}

} // namespace busbar::storage
