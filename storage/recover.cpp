// What a store finds of shapes at start, and what it clears away first.
#include "base/bytes.hpp"
#include "shapes/entry_block.hpp"
#include "storage/store_body.hpp"

#include <spdlog/spdlog.h>

#include <set>

namespace busbar::storage {

result<std::vector<recovered_shape>> store::recover() {
  auto& db = *body_->db;
  std::set<std::uint64_t> open;
  {
    const std::unique_ptr<rocksdb::Iterator> it{db.NewIterator({}, body_->of(family::node))};
    for (it->Seek(open_prefix); it->Valid() && it->key().starts_with(open_prefix); it->Next())
      if (it->value().size() == 8)
        open.insert(read_be64(it->value().data()));
    if (!it->status().ok())
      return fail(to_error(it->status(), "recover"));
  }

  std::vector<recovered_shape> shapes;
  std::set<shape_id> unfinished; // and removed ones, of which something may be left
  {
    const std::unique_ptr<rocksdb::Iterator> it{db.NewIterator({}, body_->of(family::directory))};
    for (it->Seek("x"); it->Valid() && it->key().starts_with("x"); it->Next()) {
      const auto id = parse_shape_key(view(it->key()));
      if (!id)
        return fail(error{id.error()}.with_context("recover"));
      unfinished.insert(*id);
    }
    for (it->Seek("s"); it->Valid() && it->key().starts_with("s"); it->Next()) {
      const auto id = parse_shape_key(view(it->key()));
      if (!id)
        return fail(error{id.error()}.with_context("recover"));
      if (unfinished.contains(*id))
        continue;
      auto record = decode_shape_record(view(it->value()));
      if (!record || !record->snapshot_complete) {
        if (!record)
          spdlog::error("shape {} is dropped: {}", to_number(*id), record.error().message);
        unfinished.insert(*id);
        continue;
      }
      shapes.push_back(
          {.id = *id, .record = std::move(*record), .head = log_offset::snapshot_end()});
    }
    if (!it->status().ok())
      return fail(to_error(it->status(), "recover"));
  }
  for (const auto id : unfinished)
    if (auto removed = remove_shape(id, true); !removed)
      return fail(std::move(removed).error());

  if (!open.empty()) {
    // The process died between two batches of one transaction: its first part is on disk. It has
    // not been acknowledged, so it will be sent again, and may then be cut into other blocks.
    batch repair;
    for (const auto& shape : shapes)
      for (const auto tx : open)
        repair.drop_transaction(shape.id, tx);
    repair.body_->writes.DeleteRange(body_->of(family::node), open_prefix, open_prefix_end);
    rocksdb::WriteOptions options;
    options.sync = true;
    if (const auto status = db.Write(options, &repair.body_->writes); !status.ok())
      return fail(to_error(status, "recover: drop a transaction written in part"));
  }

  const std::unique_ptr<rocksdb::Iterator> log{db.NewIterator({}, body_->of(family::log))};
  std::vector<recovered_shape> sound;
  sound.reserve(shapes.size());
  for (auto& shape : shapes) {
    log->SeekForPrev(log_key(shape.id, {~std::uint64_t{0}, log_offset::infinite}));
    bool intact = true;
    if (log->Valid() && view(log->key()).starts_with(shape_prefix(shape.id))) {
      const auto last = parse_log_key(view(log->key()));
      const auto block = block_view::open(view(log->value()));
      intact = last && block;
      if (intact) {
        shape.head = *last;
        shape.open_chunk_bytes = block->chunk_bytes_after();
      }
    }
    if (!log->status().ok())
      return fail(to_error(log->status(), "recover"));
    if (!intact) {
      spdlog::error("shape {} is dropped: the end of its log is damaged", shape.record.handle);
      if (auto removed = remove_shape(shape.id, true); !removed)
        return fail(std::move(removed).error());
      continue;
    }
    std::string passed;
    if (body_->get(family::directory, shape_key('p', shape.id), passed).ok() && passed.size() == 8)
      shape.splice_passed = read_be64(passed.data());
    std::string known;
    if (body_->get(family::directory, shape_key('t', shape.id), known).ok()) {
      auto read = decode_known_facts(known, shape.record.table);
      if (read)
        shape.known = std::move(*read);
      else
        spdlog::error("shape {}: {}", shape.record.handle, read.error().message);
    }
    sound.push_back(std::move(shape));
  }
  return sound;
}

} // namespace busbar::storage
