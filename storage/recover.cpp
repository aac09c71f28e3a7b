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
using store_view = std::function<std::unique_ptr<rocksdb::Iterator>(family)>;

/// The tables that shapes were defined on, by digest.
class stored_tables {
public:
  void read(rocksdb::Iterator& it) {
    for (it.Seek(table_prefix); it.Valid() && it.key().starts_with(table_prefix); it.Next()) {
      auto table = decode_table(view(it.value()));
      if (!table) { // its shapes will miss it
        spdlog::error("recover: {}", table.error().message);
        continue;
      }
      auto digest = view(it.key()).substr(sizeof table_prefix - 1);
      known_[std::string{digest}].table = std::make_shared<const table_info>(std::move(*table));
    }
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

/// The end of a shape's log, and whether it has a finished chunk. Errors are errc::corrupt if the
/// bytes are to blame.
class log_ends {
public:
  explicit log_ends(store_view look) : look_{std::move(look)} { renew(); }

  result<void> read(recovered_shape& shape) {
    auto done = try_read(shape);
    if (!done)
      renew(); // an iterator that has met damage may not be asked again
    return done;
  }

private:
  result<void> try_read(recovered_shape& shape) {
    log_->SeekForPrev(log_key(shape.id, {~std::uint64_t{0}, log_offset::infinite}));
    if (log_->Valid() && view(log_->key()).starts_with(shape_prefix(shape.id))) {
      const auto last = parse_log_key(view(log_->key()));
      const auto block = block_view::open(view(log_->value()));
      if (!last || !block)
        return fail(errc::corrupt, "the end of its log is damaged");
      shape.head = *last;
      shape.open_chunk_bytes = block->chunk_bytes_after();
    }
    chunks_->Seek(boundary_key(shape.id, log_offset::snapshot_end()));
    shape.has_boundaries =
        chunks_->Valid() && view(chunks_->key()).starts_with(chunk_prefix(shape.id, 'b'));
    for (const auto* it : {log_.get(), chunks_.get()})
      if (!it->status().ok())
        return fail(to_error(it->status(), "the end of its log"));
    return {};
  }
  void renew() {
    log_ = look_(family::log);
    chunks_ = look_(family::chunks);
  }

  store_view look_;
  std::unique_ptr<rocksdb::Iterator> log_;
  std::unique_ptr<rocksdb::Iterator> chunks_;
};

} // namespace

result<std::vector<recovered_shape>> store::recover() {
  auto& db = body_->db();
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
  rocksdb::WriteBatch marks; // of what was found, but is no shape
  const auto drop = [&](shape_id id) {
    marks.Put(body_->of(family::directory), shape_key('x', id), {});
  };
  {
    const auto it = body_->look_over(family::directory);
    stored_tables tables;
    tables.read(*it);
    std::set<shape_id> removed;
    for (it->Seek("x"); it->Valid() && it->key().starts_with("x"); it->Next())
      if (const auto id = parse_shape_key(view(it->key())))
        removed.insert(*id);
    for (it->Seek("s"); it->Valid() && it->key().starts_with("s"); it->Next()) {
      const auto id = parse_shape_key(view(it->key()));
      if (!id || removed.contains(*id))
        continue;
      if (it->value().empty()) {
        drop(*id);
        continue;
      }
      auto record = decode_shape_record(
          view(it->value()), [&](std::string_view digest) { return tables.use(digest); });
      if (!record || !record->snapshot_complete) {
        if (!record)
          spdlog::error("shape {} is dropped: {}", to_number(*id), record.error().message);
        drop(*id);
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
      marks.Delete(body_->of(family::directory), key);
  }

  if (!open.empty())
    if (auto done = body_->take_back(shapes, open); !done)
      return fail(std::move(done).error());

  log_ends ends{[this](family f) { return body_->look_over(f); }};
  values_by_shape passed{body_->look_over(family::directory), 'p'};
  values_by_shape known{body_->look_over(family::directory), 't'};
  values_by_shape used{body_->look_over(family::directory), 'u'};
  facts_reader facts;
  std::size_t sound = 0;
  for (auto& shape : shapes) {
    if (auto read = ends.read(shape); !read) {
      if (read.error().code != errc::corrupt)
        return fail(std::move(read).error().with_context("recover"));
      spdlog::error("shape {} is dropped: {}", shape.record.handle, read.error().message);
      drop(shape.id);
      continue;
    }
    if (const auto position = passed.of(shape.id); position && position->size() == 8)
      shape.splice_passed = read_be64(position->data());
    if (const auto usage = used.of(shape.id); usage && usage->size() == 16)
      shape.usage = {read_be64(usage->data()), read_be64(usage->data() + 8)};
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
  for (const auto* it : {passed.iterator().get(), known.iterator().get(), used.iterator().get()})
    if (!it->status().ok())
      return fail(to_error(it->status(), "recover"));
  if (const auto status = db.Write({}, &marks); !status.ok())
    return fail(to_error(status, "recover"));
  return shapes;
}

/// The process died between two batches of one transaction: its first part is on disk. It has not
/// been acknowledged, so it will be sent again, and may then be cut into other blocks.
result<void> store::body::take_back(std::span<const recovered_shape> shapes,
                                    const std::set<std::uint64_t>& open) {
  batch repair;
  auto it = look_over(family::log);
  for (const auto& shape : shapes)
    for (const auto tx : open) {
      const log_offset first{tx, -1};
      it->Seek(log_key(shape.id, first));
      const auto next = it->Valid() ? parse_log_key(view(it->key())) : result<log_offset>{};
      const bool is_part_there = it->Valid() && next && next->tx == tx &&
                                 view(it->key()).starts_with(shape_prefix(shape.id));
      if (!it->status().ok() || is_part_there) // what cannot be read is deleted unseen
        repair.drop_transaction(shape.id, tx);
      if (!it->status().ok())
        it = look_over(family::log);
    }
  repair.body_->writes.DeleteRange(of(family::node), open_prefix, open_prefix_end);
  rocksdb::WriteOptions options;
  options.sync = true;
  if (const auto status = db().Write(options, &repair.body_->writes); !status.ok())
    return fail(to_error(status, "recover: drop a transaction written in part"));
  return {};
}

} // namespace busbar::storage
