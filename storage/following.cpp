// The store of a cluster's member: how it takes its leader's writes, and how it becomes the
// leader's.
#include "base/bytes.hpp"
#include "storage/batch_bytes.hpp"
#include "storage/files.hpp"
#include "storage/format.hpp"
#include "storage/replication.hpp"
#include "storage/store_body.hpp"

#include <optional>
#include <string>

namespace busbar::storage {

namespace {

std::optional<std::uint64_t> number_in(std::string_view value) {
  return value.size() == 8 ? std::optional{read_be64(value.data())} : std::nullopt;
}

/// Goes through the bytes of a batch before RocksDB does, which would end the process over some
/// that it does not expect, and take others for a damage of its own.
class change_reader {
public:
  /// nullopt unless there are exactly so many changes, all of kinds that the store writes.
  static std::optional<applied_changes> read(const replicated_batch& batch) {
    if (batch.bytes.size() < batch_head_bytes)
      return std::nullopt;
    auto rest = std::string_view{batch.bytes}.substr(batch_head_bytes);
    change_reader reader;
    std::uint32_t count = 0;
    while (!rest.empty()) {
      const auto change = take_change(rest);
      if (!change || !reader.read(*change))
        return std::nullopt;
      ++count;
    }
    return count == batch.count ? std::optional{std::move(reader.changes_)} : std::nullopt;
  }

private:
  bool read(const batch_change& change) {
    if (change.family == 0 || change.family >= family_names.size()) // the first stays empty
      return false;
    const auto in = static_cast<family>(change.family);
    return change.what == batch_change::deletion ? true
           : change.what == batch_change::value  ? put(in, change.key, change.second)
                                                 : delete_range(in, change.key, change.second);
  }
  bool put(family in, std::string_view key, std::string_view with) {
    if (in == family::directory)
      return put_in_directory(key, !with.empty());
    if (in == family::frames) {
      const auto writer = parse_note_key(key);
      if (writer)
        changes_.notes.emplace_back(*writer, with);
      return writer.has_value();
    }
    if (in == family::node && key == durable_name)
      if (const auto position = number_in(with))
        changes_.durable = lsn{*position};
    if (in == family::node && key == newest_xid_name)
      changes_.newest_xid = number_in(with).value_or(changes_.newest_xid);
    return true;
  }
  bool put_in_directory(std::string_view key, bool has_value) {
    const char of = key.empty() ? '\0' : key[0];
    auto* list = of == 's' && has_value ? &changes_.finished
                 : of == 'x'            ? &changes_.removed
                 : of == 't'            ? &changes_.facts
                                        : nullptr;
    if (!list)
      return true;
    const auto id = parse_shape_key(key);
    if (id)
      list->push_back(*id);
    return id.has_value();
  }
  bool delete_range(family in, std::string_view begin, std::string_view end) {
    if (in == family::directory && begin.starts_with('s'))
      changes_.purged = true; // only remove_all_shapes() does that
    return begin <= end;
  }

  applied_changes changes_;
};

} // namespace

result<lineage> store::body::read_lineage() const {
  std::string value;
  const auto status = get(family::node, lineage_name, value);
  if (status.IsNotFound())
    return storage::lineage{};
  if (!status.ok())
    return fail(to_error(status, "read lineage"));
  return decode_lineage(value);
}

result<void> store::body::settle_logs(const std::vector<std::uint64_t>& live_before) {
  if (!logs_all) {
    drop_log_archive(directory);
    return {};
  }
  const auto terms = read_lineage();
  if (!terms)
    return fail(error{terms.error()});
  drop_dead_logs(directory, live_before, db().GetLatestSequenceNumber());
  if (terms->empty())
    archive->clear(); // nobody can follow from there, and what is in it may have gaps
  archive->trim();
  return {};
}

std::uint64_t store::sequence() const noexcept {
  return body_->db().GetLatestSequenceNumber();
}

bool store::follows() const noexcept {
  return body_->follows.load(std::memory_order_relaxed);
}

result<lineage> store::lineage() const {
  return body_->read_lineage();
}

result<void> store::begin_term(std::uint64_t term) {
  const std::lock_guard guard{body_->following};
  auto terms = body_->read_lineage();
  if (!terms)
    return fail(std::move(terms).error());
  if (!terms->empty() && terms->back().term >= term)
    terms->clear(); // the database has gone back: nothing that was written before leads to here
  terms->push_back({.term = term, .first = sequence()});
  if (terms->size() > lineage_terms_max)
    terms->erase(terms->begin());
  if (auto done = bring_to_format(body_->rocks, false); !done)
    return done;
  rocksdb::WriteOptions synced;
  synced.sync = true;
  rocksdb::WriteBatch writes;
  writes.Put(body_->of(family::node), lineage_name, encode(*terms));
  const auto status = body_->db().Write(synced, &writes);
  if (status.ok())
    body_->growth->tell(writes.Data());
  if (!status.ok())
    return fail(to_error(status, "begin a term"));
  {
    const std::lock_guard ids{body_->ids};
    body_->read_next_id();
  }
  {
    const std::lock_guard tables{body_->tables};
    body_->tables_stored.clear();
  }
  body_->follows = false;
  return {};
}

result<applied_changes> store::apply(const replicated_batch& next) {
  const std::lock_guard guard{body_->following};
  if (!follows())
    return fail(errc::unavailable, "storage: this node leads, and takes what no other stores");
  if (next.first != sequence() + 1)
    return fail(errc::invalid_argument, "storage: change " + std::to_string(next.first) +
                                            " cannot follow " + std::to_string(sequence()));
  auto changes = change_reader::read(next);
  rocksdb::WriteBatch writes{changes ? next.bytes : std::string{}};
  if (!changes || next.count == 0 || writes.Count() != next.count)
    return fail(errc::corrupt, "storage: the batch of change " + std::to_string(next.first) +
                                   " is none that a store writes");
  if (auto room = body_->room_for(next.bytes.size()); !room)
    return fail(std::move(room).error());
  const auto status = body_->judged([&] { return body_->db().Write({}, &writes); });
  if (status.ok())
    body_->growth->tell(writes.Data());
  if (!status.ok())
    return fail(to_error(status, "apply a batch"));
  if (sequence() != next.last())
    return fail(errc::corrupt, "storage: after change " + std::to_string(next.last()) +
                                   " the store is at " + std::to_string(sequence()));
  return std::move(*changes);
}

result<void> store::sync_log() {
  const auto status = body_->judged([this] { return body_->db().SyncWAL(); });
  if (!status.ok())
    return fail(to_error(status, "sync the log"));
  return {};
}

} // namespace busbar::storage
