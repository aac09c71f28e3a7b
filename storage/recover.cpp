// What a store finds of shapes at start, and what it clears away first.
#include "base/bytes.hpp"
#include "shapes/entry_block.hpp"
#include "storage/store_body.hpp"

#include <spdlog/spdlog.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace busbar::storage {

namespace {

using table_ptr = std::shared_ptr<const table_info>;

/// The tables that shapes were defined on, by digest.
class stored_tables {
public:
  result<void> read(rocksdb::Iterator& it) {
    for (it.Seek(table_prefix); it.Valid() && it.key().starts_with(table_prefix); it.Next()) {
      auto table = decode_table(view(it.value()));
      if (!table)
        return fail(std::move(table).error().with_context("recover"));
      auto digest = view(it.key()).substr(sizeof table_prefix - 1);
      known_[std::string{digest}].table = std::make_shared<const table_info>(std::move(*table));
    }
    return {};
  }
  table_ptr use(std::string_view digest) {
    const auto found = known_.find(digest);
    if (found == known_.end())
      return nullptr;
    found->second.used = true;
    return found->second.table;
  }
  /// An equal one, if that was the last of its oid. Older records have each their own.
  table_ptr share(const table_ptr& table) {
    auto& last = last_[table->oid];
    if (!last || (last != table && *last != *table))
      last = table;
    return last;
  }
  /// Those in use, and what is to be deleted.
  std::pair<std::set<std::string>, std::vector<std::string>> sort_out() const {
    std::pair<std::set<std::string>, std::vector<std::string>> all;
    for (const auto& [digest, one] : known_)
      if (one.used)
        all.first.insert(digest);
      else
        all.second.push_back(table_prefix + digest);
    return all;
  }

private:
  struct entry {
    table_ptr table;
    bool used = false;
  };
  std::map<std::string, entry, std::less<>> known_;
  std::map<std::uint32_t, table_ptr> last_;
};

/// The values of one kind in the directory, of shapes that are asked for in the order of their ids.
class values_by_shape {
public:
  values_by_shape(std::unique_ptr<rocksdb::Iterator> it, char kind)
      : it_{std::move(it)}, kind_{kind} {
    it_->Seek(shape_key(kind, shape_id{0}));
  }
  /// Valid until the next question; nullopt if there is none.
  std::optional<std::string_view> of(shape_id id) {
    const auto key = shape_key(kind_, id);
    while (it_->Valid() && view(it_->key()) < key)
      it_->Next();
    if (!it_->Valid() || view(it_->key()) != key)
      return std::nullopt;
    return view(it_->value());
  }
  const std::unique_ptr<rocksdb::Iterator>& iterator() const { return it_; }

private:
  std::unique_ptr<rocksdb::Iterator> it_;
  char kind_;
};

/// Shapes that know the same of one table, which are most, share it.
class facts_reader {
public:
  result<known_ptr> read(std::string_view bytes, const table_ptr& table) {
    auto& last = last_[table];
    if (last.known && last.bytes == bytes)
      return last.known;
    auto read = decode_known_facts(bytes, *table);
    if (!read)
      return fail(std::move(read).error());
    if (last.known && *last.known->facts == *read->facts)
      read->facts = last.known->facts;
    last.bytes = bytes;
    last.known = std::make_shared<const known_facts>(std::move(*read));
    return last.known;
  }

private:
  struct entry {
    std::string bytes;
    known_ptr known;
  };
  std::map<table_ptr, entry> last_;
};

} // namespace

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
    const auto it = body_->look_over(family::directory);
    stored_tables tables;
    if (auto read = tables.read(*it); !read)
      return fail(std::move(read).error());
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
      if (it->value().empty()) {
        unfinished.insert(*id);
        continue;
      }
      auto record = decode_shape_record(
          view(it->value()), [&](std::string_view digest) { return tables.use(digest); });
      if (!record || !record->snapshot_complete) {
        if (!record)
          spdlog::error("shape {} is dropped: {}", to_number(*id), record.error().message);
        unfinished.insert(*id);
        continue;
      }
      record->table = tables.share(record->table);
      shapes.push_back(
          {.id = *id, .record = std::move(*record), .head = log_offset::snapshot_end()});
    }
    if (!it->status().ok())
      return fail(to_error(it->status(), "recover"));
    auto [used, unused] = tables.sort_out();
    body_->tables_stored = std::move(used);
    for (const auto& key : unused)
      if (const auto status = db.Delete({}, body_->of(family::directory), key); !status.ok())
        return fail(to_error(status, "recover"));
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

  const auto log = body_->look_over(family::log);
  const auto chunks = body_->look_over(family::chunks);
  values_by_shape passed{body_->look_over(family::directory), 'p'};
  values_by_shape known{body_->look_over(family::directory), 't'};
  facts_reader facts;
  std::size_t sound = 0;
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
    if (const auto position = passed.of(shape.id); position && position->size() == 8)
      shape.splice_passed = read_be64(position->data());
    chunks->Seek(boundary_key(shape.id, log_offset::snapshot_end()));
    shape.has_boundaries =
        chunks->Valid() && view(chunks->key()).starts_with(chunk_prefix(shape.id, 'b'));
    if (const auto bytes = known.of(shape.id)) {
      auto read = facts.read(*bytes, shape.record.table);
      if (read)
        shape.known = std::move(*read);
      else
        spdlog::error("shape {}: {}", shape.record.handle, read.error().message);
    }
    if (auto& place = shapes[sound++]; &place != &shape)
      place = std::move(shape);
  }
  shapes.resize(sound);
  for (const auto* it : {log.get(), chunks.get(), passed.iterator().get(), known.iterator().get()})
    if (!it->status().ok())
      return fail(to_error(it->status(), "recover"));
  return shapes;
}

} // namespace busbar::storage
