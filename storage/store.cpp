#include "base/bytes.hpp"
#include "schema/records.capnp.h"
#include "shapes/definition.hpp"
#include "storage/store_body.hpp"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <system_error>

namespace busbar::storage {

namespace {

constexpr char identity_name[] = "identity";
constexpr char control_key_name[] = "control key";
constexpr char durable_name[] = "durable";
constexpr char newest_xid_name[] = "newest xid";
constexpr char next_shape_name[] = "next shape";
constexpr std::size_t control_key_bytes = 32;

std::string number_text(std::uint64_t x) {
  std::string text;
  append_be64(text, x);
  return text;
}

std::string open_key(std::uint32_t writer) {
  std::string key = open_prefix;
  append_be32(key, writer);
  return key;
}

/// Names a table by what is stored of it.
std::string digest_of(std::string_view table) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> hash;
  SHA256(reinterpret_cast<const unsigned char*>(table.data()), table.size(), hash.data());
  return {reinterpret_cast<const char*>(hash.data()), table_digest_bytes};
}

std::string encode(const node_identity& who) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::NodeRecord>();
  out.setFormatVersion(format_version);
  out.setSystemId(who.system_id);
  out.setTimeline(who.timeline);
  out.setDatabase(who.database);
  out.setStreamId(who.stream_id);
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

result<node_identity> decode_identity(std::string_view bytes) {
  node_identity who;
  std::uint32_t version = 0;
  auto problem = kj::runCatchingExceptions([&] {
    auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
    std::memcpy(words.begin(), bytes.data(), words.size() * sizeof(capnp::word));
    capnp::FlatArrayMessageReader reader{words.asPtr()};
    const auto in = reader.getRoot<schema::NodeRecord>();
    version = in.getFormatVersion();
    who = {in.getSystemId().cStr(), in.getTimeline(), in.getDatabase().cStr(),
           in.getStreamId().cStr()};
  });
  KJ_IF_MAYBE (what, problem)
    return fail(errc::corrupt, std::string{"storage: identity: "} + what->getDescription().cStr());
  if (version != format_version)
    return fail(errc::misconfigured, "storage has format " + std::to_string(version) +
                                         ", this build reads format " +
                                         std::to_string(format_version));
  return who;
}

} // namespace

namespace {

/// RocksDB tries to go on by itself when there is room again. It can do so after a refused table
/// file, but not after a refused piece of its log: Debian's build then fails an assertion.
class trouble_listener final : public rocksdb::EventListener {
public:
  explicit trouble_listener(std::function<void(const error&)> on_fatal)
      : on_fatal_{std::move(on_fatal)} {}

  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* status) override {
    const bool in_log = reason == rocksdb::BackgroundErrorReason::kWriteCallback ||
                        reason == rocksdb::BackgroundErrorReason::kMemTable;
    if (in_log && !log_broken_.exchange(true) && on_fatal_)
      on_fatal_(to_error(*status, "the disk refuses to write the log, so this process cannot go "
                                  "on; it starts again from what is stored"));
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    if (log_broken_)
      *auto_recovery = false;
  }

private:
  const std::function<void(const error&)> on_fatal_;
  std::atomic<bool> log_broken_{false};
};

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
bool batch::empty() const noexcept {
  return body_->writes.Count() == 0;
}
std::size_t batch::size_bytes() const noexcept {
  return body_->writes.GetDataSize();
}

store::store(std::unique_ptr<body> b) : body_{std::move(b)} {}
store::~store() = default;

result<std::unique_ptr<store>> store::open(const store_settings& settings) {
  std::error_code problem;
  std::filesystem::create_directories(settings.directory, problem);
  if (problem)
    return fail(errc::misconfigured, "storage directory " + settings.directory +
                                         " cannot be created: " + problem.message());

  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.max_background_jobs = 2;
  options.db_write_buffer_size = settings.write_buffer_bytes;
  options.max_total_wal_size = 256u << 20;
  options.bytes_per_sync = 1u << 20; // spreads write-back instead of one burst at the sync
  options.wal_bytes_per_sync = 1u << 20;
  options.keep_log_file_num = 3;
  options.max_log_file_size = 4u << 20;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.max_open_files = 512;
#ifdef __SANITIZE_THREAD__
  // No thread writes another's batch then: it may, but ThreadSanitizer does not see what allows it.
  options.max_write_batch_group_size_bytes = 1;
#endif
  options.listeners.push_back(std::make_shared<trouble_listener>(settings.on_fatal));

  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(settings.cache_bytes);
  table.cache_index_and_filter_blocks = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  rocksdb::ColumnFamilyOptions common;
  common.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  common.write_buffer_size = settings.write_buffer_bytes / 2;
  common.compression = rocksdb::kNoCompression;
  rocksdb::ColumnFamilyOptions large = common;
  large.enable_blob_files = true; // entry blocks are large: compaction then moves keys only
  large.min_blob_size = 8 * 1024;
  large.enable_blob_garbage_collection = true;

  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (std::size_t i = 0; i < family_names.size(); ++i) {
    const auto f = static_cast<family>(i);
    const bool bulky = f == family::log || f == family::chunks || f == family::frames;
    descriptors.emplace_back(std::string{family_names[i]}, bulky ? large : common);
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  const auto status =
      rocksdb::DB::Open(options, settings.directory, descriptors, &handles, &opened);
  if (!status.ok()) {
    const auto text = status.ToString();
    // By RocksDB's own words: the file lock of another process, or that of this one.
    if (status.IsIOError() && (text.find("While lock file") != std::string::npos ||
                               text.find("lock hold by current process") != std::string::npos))
      return fail(errc::misconfigured,
                  "storage directory " + settings.directory + " is in use by another process");
    return fail(status.IsCorruption() ? errc::corrupt : errc::misconfigured,
                "storage directory " + settings.directory + " cannot be opened: " + text);
  }
  auto b = std::make_unique<body>();
  b->db.reset(opened);
  b->must_refuse = settings.refuses;
  for (std::size_t i = 0; i < handles.size(); ++i) {
    b->families[i].reset(handles[i]);
    if (handles[i]->GetID() != i)
      return fail(errc::corrupt, "storage directory " + settings.directory +
                                     " has its column families in another order");
  }
  std::string value;
  const auto found = b->get(family::node, next_shape_name, value);
  if (found.ok() && value.size() == 8)
    b->next_id = b->reserved_until = read_be64(value.data());
  return std::unique_ptr<store>{new store{std::move(b)}};
}

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
  const auto status = body_->db->Put(options, body_->of(family::node), identity_name, encode(who));
  if (!status.ok())
    return fail(to_error(status, "write identity"));
  return {};
}

result<std::string> store::control_key() {
  std::string key;
  auto status = body_->get(family::node, control_key_name, key);
  if (status.ok() && key.size() == control_key_bytes)
    return key;
  if (!status.ok() && !status.IsNotFound())
    return fail(to_error(status, "read control key"));
  key.resize(control_key_bytes);
  if (RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), static_cast<int>(key.size())) != 1)
    return fail(errc::unavailable, "the system has no random numbers for the control key");
  rocksdb::WriteOptions options;
  options.sync = true;
  status = body_->db->Put(options, body_->of(family::node), control_key_name, key);
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
  if (remainder)
    body_->next_id += (*remainder + shape_groups - body_->next_id % shape_groups) % shape_groups;
  if (body_->next_id >= body_->reserved_until) {
    rocksdb::WriteOptions options;
    options.sync = true;
    const auto status = body_->db->Put(options, body_->of(family::node), next_shape_name,
                                       number_text(body_->next_id + run));
    if (!status.ok())
      return fail(to_error(status, "reserve shape ids"));
    body_->reserved_until = body_->next_id + run;
  }
  return shape_id{body_->next_id++};
}

result<void> store::begin_shapes(std::span<const shape_id> ids) {
  rocksdb::WriteBatch writes;
  for (const auto id : ids)
    writes.Put(body_->of(family::directory), shape_key('s', id), {});
  if (const auto status = body_->db->Write({}, &writes); !status.ok())
    return fail(to_error(status, "begin shapes"));
  return {};
}

result<void> store::mark_removed(shape_id id) {
  const auto status = body_->db->Put({}, body_->of(family::directory), shape_key('x', id), {});
  if (!status.ok())
    return fail(to_error(status, "mark shape as removed"));
  return {};
}

result<void> store::remove_shape(shape_id id, bool last_word) {
  const auto begin = shape_prefix(id);
  const auto end = shape_prefix(shape_id{to_number(id) + 1});
  rocksdb::WriteBatch writes;
  writes.Delete(body_->of(family::directory), shape_key('s', id));
  writes.Delete(body_->of(family::directory), shape_key('p', id));
  writes.Delete(body_->of(family::directory), shape_key('t', id));
  if (last_word)
    writes.Delete(body_->of(family::directory), shape_key('x', id));
  writes.DeleteRange(body_->of(family::log), begin, end);
  writes.DeleteRange(body_->of(family::chunks), begin, end);
  writes.DeleteRange(body_->of(family::sets), begin, end);
  if (const auto status = body_->db->Write({}, &writes); !status.ok())
    return fail(to_error(status, "remove shape"));
  return {};
}

result<void> store::remove_all_shapes() {
  const auto begin = shape_prefix(shape_id{0});
  const auto end = shape_prefix(shape_id{~std::uint64_t{0}});
  rocksdb::WriteBatch writes;
  writes.DeleteRange(body_->of(family::directory), "p", "u");
  writes.DeleteRange(body_->of(family::log), begin, end);
  writes.DeleteRange(body_->of(family::chunks), begin, end);
  writes.DeleteRange(body_->of(family::sets), begin, end);
  writes.DeleteRange(body_->of(family::node), open_prefix, open_prefix_end);
  rocksdb::WriteOptions options;
  options.sync = true;
  if (const auto status = body_->db->Write(options, &writes); !status.ok())
    return fail(to_error(status, "remove all shapes"));
  return {};
}

bool store::accepts_writes() const noexcept {
  return !body_->refuses.load(std::memory_order_relaxed);
}

result<void> store::commit(batch& writes) {
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
  rocksdb::WriteOptions options;
  options.disableWAL = !logged; // finish_snapshot() flushes; until then the shape does not count
  const auto status =
      body_->db->Put(options, body_->of(family::chunks), piece_key(id, chunk, piece), slice(block));
  if (!status.ok())
    return fail(to_error(status, "write snapshot"));
  return {};
}

result<void> store::put_snapshots(std::span<const shape_id> ids, std::string_view only_piece) {
  rocksdb::WriteBatch writes;
  for (const auto id : ids)
    writes.Put(body_->of(family::chunks), piece_key(id, 0, 0), slice(only_piece));
  if (const auto status = body_->db->Write({}, &writes); !status.ok())
    return fail(to_error(status, "write snapshots"));
  return {};
}

result<void> store::finish_snapshots(std::span<const finished_shape> shapes, bool flush) {
  if (flush)
    if (const auto status = body_->db->Flush({}, body_->of(family::chunks)); !status.ok())
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
  if (const auto status = body_->db->Write(options, &writes); !status.ok())
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
  const std::unique_ptr<rocksdb::Iterator> it{body_->db->NewIterator({}, body_->of(family::log))};
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
      body_->db->NewIterator({}, body_->of(family::chunks))};
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
