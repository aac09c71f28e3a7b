#include "base/bytes.hpp"
#include "shapes/definition.hpp"
#include "storage/node_record.hpp"
#include "storage/store_body.hpp"

#include <openssl/rand.h>
#include <openssl/sha.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <map>
#include <mutex>

namespace busbar::storage {

namespace {

constexpr std::size_t control_key_bytes = 32;

std::string number_text(std::uint64_t x) {
  std::string text;
  append_be64(text, x);
  return text;
}

/// Names a table by what is stored of it.
std::string digest_of(std::string_view table) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> hash;
  SHA256(reinterpret_cast<const unsigned char*>(table.data()), table.size(), hash.data());
  return {reinterpret_cast<const char*>(hash.data()), table_digest_bytes};
}

} // namespace

batch::batch() : body_{std::make_unique<body>()} {}
batch::batch(batch&&) noexcept = default;
batch& batch::operator=(batch&&) noexcept = default;
batch::~batch() = default;

void batch::append_block(shape_id shape, log_offset last, std::string_view block) {
  numbered_family log{family::log};
  body_->writes.Put(&log, log_key(shape, last), slice(block));
}
void batch::mark_boundary(shape_id shape, log_offset end) {
  numbered_family chunks{family::chunks};
  body_->writes.Put(&chunks, boundary_key(shape, end), {});
}
void batch::mark_splice_passed(shape_id shape, std::uint64_t commit_lsn) {
  numbered_family directory{family::directory};
  body_->writes.Put(&directory, shape_key('p', shape), number_text(commit_lsn));
}
void batch::put_facts(std::span<const shape_id> shapes, const table_facts& facts,
                      const snapshot& seen, const table_info& defined) {
  numbered_family directory{family::directory};
  const auto encoded = encode(facts, seen, defined);
  for (const auto shape : shapes)
    body_->writes.Put(&directory, shape_key('t', shape), encoded);
}
void batch::mark_removed(shape_id shape) {
  numbered_family directory{family::directory};
  body_->writes.Put(&directory, shape_key('x', shape), {});
}
void batch::open_transaction(std::uint32_t writer, std::uint64_t commit_lsn) {
  numbered_family node{family::node};
  body_->writes.Put(&node, open_key(writer), number_text(commit_lsn));
}
void batch::close_transaction(std::uint32_t writer) {
  numbered_family node{family::node};
  body_->writes.Delete(&node, open_key(writer));
}
void batch::drop_transaction(shape_id shape, std::uint64_t commit_lsn) {
  numbered_family log{family::log};
  numbered_family chunks{family::chunks};
  const log_offset first{commit_lsn, -1};
  const log_offset behind{commit_lsn + 1, -1};
  body_->writes.DeleteRange(&log, log_key(shape, first), log_key(shape, behind));
  body_->writes.DeleteRange(&chunks, boundary_key(shape, first), boundary_key(shape, behind));
}
void batch::note(std::uint32_t writer, std::string_view bytes) {
  numbered_family frames{family::frames};
  body_->writes.Put(&frames, note_key(writer), slice(bytes));
}
bool batch::empty() const noexcept {
  return body_->writes.Count() == 0;
}
std::size_t batch::size_bytes() const noexcept {
  return body_->writes.GetDataSize();
}

store::store(std::unique_ptr<body> b) : body_{std::move(b)} {}
store::~store() = default;

result<std::optional<node_identity>> store::identity() const {
  std::string value;
  const auto status = body_->get(family::node, identity_name, value);
  if (status.IsNotFound())
    return std::optional<node_identity>{};
  if (!status.ok())
    return fail(to_error(status, "read identity"));
  auto who = decode_identity(value);
  if (!who)
    return fail(std::move(who).error());
  return std::optional<node_identity>{std::move(*who)};
}

result<void> store::set_identity(const node_identity& who) {
  rocksdb::WriteOptions options;
  options.sync = true;
  const auto status = body_->put(options, family::node, identity_name, encode(who));
  if (!status.ok())
    return fail(to_error(status, "write identity"));
  return {};
}

result<std::string> store::control_key(std::string_view first) {
  std::string key;
  auto status = body_->get(family::node, control_key_name, key);
  if (status.ok() && key.size() == control_key_bytes)
    return key;
  if (!status.ok() && !status.IsNotFound())
    return fail(to_error(status, "read control key"));
  key.assign(first);
  if (follows() && key.size() == control_key_bytes)
    return key;
  const bool is_given = key.size() == control_key_bytes;
  key.resize(control_key_bytes);
  if (!is_given &&
      RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), static_cast<int>(key.size())) != 1)
    return fail(errc::unavailable, "the system has no random numbers for the control key");
  rocksdb::WriteOptions options;
  options.sync = true;
  status = body_->put(options, family::node, control_key_name, key);
  if (!status.ok())
    return fail(to_error(status, "write control key"));
  return key;
}

result<lsn> store::durable() const {
  std::string value;
  const auto status = body_->get(family::node, durable_name, value);
  if (status.IsNotFound())
    return lsn{0};
  if (!status.ok())
    return fail(to_error(status, "read durable position"));
  if (value.size() != 8)
    return fail(errc::corrupt, "durable position of " + std::to_string(value.size()) + " bytes");
  return lsn{read_be64(value.data())};
}

result<std::uint64_t> store::newest_xid() const {
  std::string value;
  const auto status = body_->get(family::node, newest_xid_name, value);
  if (status.IsNotFound())
    return std::uint64_t{0};
  if (!status.ok())
    return fail(to_error(status, "read the newest transaction id"));
  if (value.size() != 8)
    return fail(errc::corrupt, "transaction id of " + std::to_string(value.size()) + " bytes");
  return read_be64(value.data());
}

result<shape_id> store::next_shape_id(std::optional<std::uint32_t> remainder) {
  // Ids are reserved in runs, so that a creation does not pay a synced write of its own.
  constexpr std::uint64_t run = 1024;
  const std::lock_guard guard{body_->ids};
  if (follows())
    return fail(errc::unavailable, "storage: only the leader gives ids to shapes");
  if (remainder)
    body_->next_id += (*remainder + shape_groups - body_->next_id % shape_groups) % shape_groups;
  if (body_->next_id >= body_->reserved_until) {
    rocksdb::WriteOptions options;
    options.sync = true;
    const auto status =
        body_->put(options, family::node, next_shape_name, number_text(body_->next_id + run));
    if (!status.ok())
      return fail(to_error(status, "reserve shape ids"));
    body_->reserved_until = body_->next_id + run;
  }
  return shape_id{body_->next_id++};
}

result<void> store::begin_shapes(std::span<const shape_id> ids) {
  if (auto room = body_->room_for(0); !room)
    return room;
  rocksdb::WriteBatch writes;
  for (const auto id : ids)
    writes.Put(body_->of(family::directory), shape_key('s', id), {});
  if (const auto status = body_->put_through({}, writes); !status.ok())
    return fail(to_error(status, "begin shapes"));
  return {};
}

bool store::accepts_writes() const noexcept {
  return !body_->refuses.load(std::memory_order_relaxed) && body_->space->has_room();
}

bool store::can_spare(std::size_t bytes) const noexcept {
  return body_->space->can_spare(bytes);
}

result<void> store::commit(batch& writes) {
  if (auto room = body_->room_for(writes.size_bytes()); !room)
    return room;
  const auto status = body_->write({}, writes.body_->writes);
  if (!status.ok())
    return fail(to_error(status, "commit")); // `writes` is as it was, for another try
  writes.body_->writes.Clear();
  return {};
}

result<void> store::sync(lsn position, std::uint64_t newest_xid) {
  rocksdb::WriteBatch writes;
  writes.Put(body_->of(family::node), durable_name, number_text(busbar::to_number(position)));
  if (newest_xid > 0)
    writes.Put(body_->of(family::node), newest_xid_name, number_text(newest_xid));
  rocksdb::WriteOptions options;
  options.sync = true; // syncs the whole log up to and including this record
  const auto status = body_->write(options, writes);
  if (!status.ok())
    return fail(to_error(status, "sync"));
  return {};
}

result<void> store::put_snapshot_piece(shape_id id, std::uint64_t chunk, std::uint32_t piece,
                                       std::string_view block, bool logged) {
  if (auto room = body_->room_for(block.size()); !room)
    return room;
  rocksdb::WriteOptions options;
  options.disableWAL = !logged; // finish_snapshot() flushes; until then the shape does not count
  const auto status = body_->put(options, family::chunks, piece_key(id, chunk, piece), block);
  if (!status.ok())
    return fail(to_error(status, "write snapshot"));
  return {};
}

result<void> store::put_snapshots(std::span<const shape_id> ids, std::string_view only_piece) {
  if (auto room = body_->room_for(ids.size() * only_piece.size()); !room)
    return room;
  rocksdb::WriteBatch writes;
  for (const auto id : ids)
    writes.Put(body_->of(family::chunks), piece_key(id, 0, 0), slice(only_piece));
  if (const auto status = body_->put_through({}, writes); !status.ok())
    return fail(to_error(status, "write snapshots"));
  return {};
}

result<void> store::finish_snapshots(std::span<const finished_shape> shapes, bool flush) {
  if (flush && !body_->logs_all)
    if (const auto status = body_->db().Flush({}, body_->of(family::chunks)); !status.ok())
      return fail(to_error(status, "flush snapshot"));
  rocksdb::WriteBatch writes;
  std::map<std::shared_ptr<const table_info>, std::string> digests;
  for (const auto& [id, record] : shapes) {
    auto& digest = digests[record.table];
    if (digest.empty()) {
      const auto table = encode(*record.table);
      digest = digest_of(table);
      const std::lock_guard guard{body_->tables};
      if (!body_->tables_stored.contains(digest))
        writes.Put(body_->of(family::directory), table_prefix + digest, table);
    }
    writes.Put(body_->of(family::directory), shape_key('s', id), encode(record, digest));
  }
  rocksdb::WriteOptions options;
  options.sync = true;
  if (const auto status = body_->put_through(options, writes); !status.ok())
    return fail(to_error(status, "write definitions"));
  const std::lock_guard guard{body_->tables};
  for (auto& [table, digest] : digests)
    body_->tables_stored.insert(std::move(digest));
  return {};
}

result<shared_bytes> store::read_snapshot_piece(shape_id id, std::uint64_t chunk,
                                                std::uint32_t piece) const {
  std::string value;
  const auto status = body_->get(family::chunks, piece_key(id, chunk, piece), value);
  if (status.IsNotFound())
    return shared_bytes{};
  if (!status.ok())
    return fail(to_error(status, "read snapshot"));
  return share(std::move(value));
}

result<void> store::read_log(shape_id id, log_offset after, log_offset upto,
                             const std::function<bool(log_offset, std::string_view)>& visit) const {
  // Behind the shape's last block lies the next shape's first, which may be damaged.
  const auto behind = shape_prefix(shape_id{to_number(id) + 1});
  const rocksdb::Slice bound{behind};
  rocksdb::ReadOptions only_this;
  only_this.iterate_upper_bound = &bound;
  const std::unique_ptr<rocksdb::Iterator> it{
      body_->db().NewIterator(only_this, body_->of(family::log))};
  const auto prefix = shape_prefix(id);
  for (it->Seek(
           log_key(id, {after.tx, after.op == log_offset::infinite ? after.op : after.op + 1}));
       it->Valid() && view(it->key()).starts_with(prefix); it->Next()) {
    const auto last = parse_log_key(view(it->key()));
    if (!last)
      return fail(error{last.error()}.with_context("read log"));
    if (*last <= after)
      continue;
    if (*last > upto)
      break; // blocks end at commits and chunk ends, as `upto` does
    if (!visit(*last, view(it->value())))
      break;
  }
  if (!it->status().ok())
    return fail(to_error(it->status(), "read log"));
  return {};
}

result<std::optional<log_offset>> store::chunk_end_after(shape_id id, log_offset after) const {
  const std::unique_ptr<rocksdb::Iterator> it{
      body_->db().NewIterator({}, body_->of(family::chunks))};
  const auto prefix = chunk_prefix(id, 'b');
  for (it->Seek(boundary_key(id, after)); it->Valid() && view(it->key()).starts_with(prefix);
       it->Next()) {
    const auto end = parse_boundary_key(view(it->key()));
    if (!end)
      return fail(error{end.error()}.with_context("read chunk ends"));
    if (*end > after)
      return std::optional<log_offset>{*end};
  }
  if (!it->status().ok())
    return fail(to_error(it->status(), "read chunk ends"));
  return std::optional<log_offset>{};
}

} // namespace busbar::storage
