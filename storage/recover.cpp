// What a store finds of shapes at start, and what it clears away first; and what a follower's,
// which clears nothing away, finds at any time.
#include "base/bytes.hpp"
#include "shapes/entry_block.hpp"
#include "storage/store_body.hpp"

#include <rocksdb/snapshot.h>
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

/// Transactions that were written in part.
result<std::set<std::uint64_t>> open_transactions(rocksdb::Iterator& it) {
  std::set<std::uint64_t> open;
  for (it.Seek(open_prefix); it.Valid() && it.key().starts_with(open_prefix); it.Next())
    if (it.value().size() == 8)
      open.insert(read_be64(it.value().data()));
  if (!it.status().ok())
    return fail(to_error(it.status(), "recover"));
  return open;
}

/// Behind all that a log can hold.
constexpr log_offset log_end{~std::uint64_t{0}, log_offset::infinite};

/// The transaction that a shape's log ends with; 0 if it is empty.
result<std::uint64_t> last_transaction(rocksdb::Iterator& log, shape_id id) {
  log.SeekForPrev(log_key(id, log_end));
  if (!log.status().ok())
    return fail(to_error(log.status(), "the end of its log"));
  if (!log.Valid() || !view(log.key()).starts_with(shape_prefix(id)))
    return 0;
  const auto last = parse_log_key(view(log.key()));
  return last ? last->tx : 0;
}

/// The end of a shape's log, and whether it has a finished chunk. What the log ends with does not
/// count if it is one of the `hidden` transactions; if another follows it, it is whole, and only
/// another shape's part of it is not. Errors are errc::corrupt if the bytes are to blame.
class log_ends {
public:
  log_ends(store_view look, std::set<std::uint64_t> hidden)
      : look_{std::move(look)}, hidden_{std::move(hidden)} {
    renew();
  }

  result<void> read(recovered_shape& shape) {
    auto done = try_read(shape);
    if (!done)
      renew(); // an iterator that has met damage may not be asked again
    return done;
  }

private:
  result<void> try_read(recovered_shape& shape) {
    const auto tx = last_transaction(*log_, shape.id);
    if (!tx)
      return fail(error{tx.error()});
    const auto limit = hidden_.contains(*tx) ? log_offset{*tx, -1} : log_end;
    log_->SeekForPrev(log_key(shape.id, limit));
    if (log_->Valid() && view(log_->key()).starts_with(shape_prefix(shape.id))) {
      const auto last = parse_log_key(view(log_->key()));
      const auto block = block_view::open(view(log_->value()));
      if (!last || !block)
        return fail(errc::corrupt, "the end of its log is damaged");
      shape.head = *last;
      shape.open_chunk_bytes = block->chunk_bytes_after();
    }
    chunks_->Seek(boundary_key(shape.id, log_offset::snapshot_end()));
    shape.has_boundaries = chunks_->Valid() &&
                           view(chunks_->key()).starts_with(chunk_prefix(shape.id, 'b')) &&
                           view(chunks_->key()) < boundary_key(shape.id, limit);
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
  const std::set<std::uint64_t> hidden_;
  std::unique_ptr<rocksdb::Iterator> log_;
  std::unique_ptr<rocksdb::Iterator> chunks_;
};

std::uint64_t read_position(std::string_view value) {
  return value.size() == 8 ? read_be64(value.data()) : 0;
}
shape_usage read_usage(std::string_view value) {
  return value.size() == 16 ? shape_usage{read_be64(value.data()), read_be64(value.data() + 8)}
                            : shape_usage{};
}

} // namespace

result<std::vector<recovered_shape>> store::recover(recovery how) {
  const bool looks = how == recovery::look;
  if (!looks && follows())
    return fail(errc::unavailable, "storage: a follower repairs nothing of what its leader wrote");
  // Who only looks may do so while batches arrive; who repairs is alone, and sees his own repair.
  rocksdb::ManagedSnapshot moment{&body_->db()};
  const auto* as_of = looks ? moment.snapshot() : nullptr;
  const auto look_over = [this, as_of](family f) { return body_->look_over(f, as_of); };
  const auto open = open_transactions(*look_over(family::node));
  if (!open)
    return fail(error{open.error()});

  std::vector<recovered_shape> shapes;
  rocksdb::WriteBatch marks; // of what was found, but is no shape
  const auto drop = [&](shape_id id) {
    marks.Put(body_->of(family::directory), shape_key('x', id), {});
  };
  {
    const auto it = look_over(family::directory);
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
    if (!looks) {
      auto [used, unused] = tables.sort_out();
      body_->tables_stored = std::move(used);
      for (const auto& key : unused)
        marks.Delete(body_->of(family::directory), key);
    }
  }

  if (!looks && !open->empty())
    if (auto done = body_->take_back(shapes, *open); !done)
      return fail(std::move(done).error());
  log_ends ends{look_over, looks ? *open : std::set<std::uint64_t>{}};
  values_by_shape passed{look_over(family::directory), 'p'};
  values_by_shape known{look_over(family::directory), 't'};
  values_by_shape used{look_over(family::directory), 'u'};
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
    shape.splice_passed = read_position(passed.of(shape.id).value_or(std::string_view{}));
    shape.usage = read_usage(used.of(shape.id).value_or(std::string_view{}));
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
  if (looks)
    return shapes;
  if (const auto status = body_->put_through({}, marks); !status.ok())
    return fail(to_error(status, "recover"));
  return shapes;
}

result<std::optional<recovered_shape>> store::find_shape(shape_id id) const {
  rocksdb::ManagedSnapshot moment{&body_->db()};
  rocksdb::ReadOptions as_of;
  as_of.snapshot = moment.snapshot();
  auto trouble = rocksdb::Status::OK();
  const auto get = [&](std::string_view key) -> std::optional<std::string> {
    std::string value;
    const auto status = body_->db().Get(as_of, body_->of(family::directory), slice(key), &value);
    if (status.ok())
      return value;
    if (!status.IsNotFound())
      trouble = status;
    return std::nullopt;
  };
  const auto bytes = get(shape_key('s', id));
  const bool is_removed = get(shape_key('x', id)).has_value();
  if (!trouble.ok())
    return fail(to_error(trouble, "find a shape"));
  if (!bytes || bytes->empty() || is_removed)
    return std::nullopt;

  std::string table_digest;
  const auto find_table = [&](std::string_view digest) {
    table_digest = digest;
    return body_->finds.tables.find(table_digest, [&]() -> table_ptr {
      auto table = decode_table(get(table_prefix + table_digest).value_or(std::string{}));
      return table ? std::make_shared<const table_info>(std::move(*table)) : nullptr;
    });
  };
  auto record = decode_shape_record(*bytes, find_table);
  if (!record)
    return fail(std::move(record).error().with_context("shape " + std::to_string(to_number(id))));
  if (!record->snapshot_complete)
    return std::nullopt;
  recovered_shape shape{.id = id, .record = std::move(*record), .head = log_offset::snapshot_end()};

  const auto look = [this, &as_of](family f) { return body_->look_over(f, as_of.snapshot); };
  auto open = open_transactions(*look(family::node));
  if (!open)
    return fail(std::move(open).error());
  log_ends ends{look, std::move(*open)};
  if (auto read = ends.read(shape); !read)
    return fail(std::move(read).error());
  shape.splice_passed = read_position(get(shape_key('p', id)).value_or(std::string{}));
  shape.usage = read_usage(get(shape_key('u', id)).value_or(std::string{}));
  if (table_digest.empty()) // as in format 1
    table_digest = encode(*shape.record.table);
  if (const auto facts = get(shape_key('t', id)))
    shape.known = body_->finds.known.find(table_digest + *facts, [&]() -> known_ptr {
      auto known = decode_known_facts(*facts, *shape.record.table);
      return known ? std::make_shared<const known_facts>(std::move(*known)) : nullptr;
    });
  if (!trouble.ok())
    return fail(to_error(trouble, "find a shape"));
  return shape;
}

/// The process died between two batches of one transaction: its first part is on disk. It has not
/// been acknowledged, so it will be sent again, and may then be cut into other blocks. A shape
/// whose writer was further, which shows by a later transaction, has it whole, and takes it no
/// second time.
result<void> store::body::take_back(std::span<const recovered_shape> shapes,
                                    const std::set<std::uint64_t>& open) {
  batch repair;
  auto it = look_over(family::log);
  for (const auto& shape : shapes) {
    const auto last = last_transaction(*it, shape.id);
    if (!last)
      it = look_over(family::log);
    for (const auto tx : open)
      if (!last || *last == tx) // what cannot be read is deleted unseen
        repair.drop_transaction(shape.id, tx);
  }
  repair.body_->writes.DeleteRange(of(family::node), open_prefix, open_prefix_end);
  rocksdb::WriteOptions options;
  options.sync = true;
  if (const auto status = put_through(options, repair.body_->writes); !status.ok())
    return fail(to_error(status, "recover: drop a transaction written in part"));
  return {};
}

} // namespace busbar::storage
