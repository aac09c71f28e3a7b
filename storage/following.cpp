// The store of a cluster's member: how it takes its leader's writes, and how it becomes the
// leader's.
#include "base/bytes.hpp"
#include "storage/files.hpp"
#include "storage/format.hpp"
#include "storage/replication.hpp"
#include "storage/store_body.hpp"

#include <optional>
#include <string>

namespace busbar::storage {

namespace {

/// Of a serialized WriteBatch: its sequence number and its count.
constexpr std::size_t batch_head_bytes = 12;

std::optional<std::uint64_t> number_in(const rocksdb::Slice& value) {
  return value.size() == 8 ? std::optional{read_be64(value.data())} : std::nullopt;
}

/// Goes through a batch before it is written: RocksDB would take one that it does not understand
/// for a damage of its own.
class change_reader final : public rocksdb::WriteBatch::Handler {
public:
  explicit change_reader(applied_changes& into) : into_{into} {}

  rocksdb::Status PutCF(std::uint32_t number, const rocksdb::Slice& key,
                        const rocksdb::Slice& value) override {
    switch (static_cast<family>(number)) {
    case family::directory:
      return in_directory(view(key), !value.empty());
    case family::frames:
      return in_frames(view(key), value);
    case family::node:
      if (view(key) == durable_name)
        if (const auto position = number_in(value))
          into_.durable = lsn{*position};
      if (view(key) == newest_xid_name)
        into_.newest_xid = number_in(value).value_or(into_.newest_xid);
      return rocksdb::Status::OK();
    default:
      return known(number);
    }
  }
  rocksdb::Status DeleteCF(std::uint32_t number, const rocksdb::Slice&) override {
    return known(number);
  }
  rocksdb::Status DeleteRangeCF(std::uint32_t number, const rocksdb::Slice& begin,
                                const rocksdb::Slice& end) override {
    if (view(begin) > view(end))
      return rocksdb::Status::InvalidArgument("a range that ends before it begins");
    if (static_cast<family>(number) == family::directory && begin.starts_with("s"))
      into_.purged = true; // only remove_all_shapes() does that
    return known(number);
  }
  rocksdb::Status SingleDeleteCF(std::uint32_t, const rocksdb::Slice&) override {
    return rocksdb::Status::InvalidArgument("a single deletion");
  }
  rocksdb::Status MergeCF(std::uint32_t, const rocksdb::Slice&, const rocksdb::Slice&) override {
    return rocksdb::Status::InvalidArgument("a merge");
  }
  rocksdb::Status MarkNoop(bool) override { return rocksdb::Status::OK(); }

private:
  static rocksdb::Status known(std::uint32_t number) {
    return number < family_names.size()
               ? rocksdb::Status::OK()
               : rocksdb::Status::InvalidArgument("a family that is not known");
  }
  rocksdb::Status in_directory(std::string_view key, bool has_value) {
    const char kind = key.empty() ? '\0' : key[0];
    auto* list = kind == 's' && has_value ? &into_.finished
                 : kind == 'x'            ? &into_.removed
                 : kind == 't'            ? &into_.facts
                                          : nullptr;
    if (!list)
      return rocksdb::Status::OK();
    const auto id = parse_shape_key(key);
    if (!id)
      return rocksdb::Status::InvalidArgument(id.error().message);
    list->push_back(*id);
    return rocksdb::Status::OK();
  }
  rocksdb::Status in_frames(std::string_view key, const rocksdb::Slice& value) {
    const auto writer = parse_note_key(key);
    if (!writer)
      return rocksdb::Status::InvalidArgument(writer.error().message);
    into_.notes.emplace_back(*writer, value.ToString());
    return rocksdb::Status::OK();
  }

  applied_changes& into_;
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
    return fail(errc::invalid_argument, "storage: term " + std::to_string(term) + " is not above " +
                                            std::to_string(terms->back().term));
  terms->push_back({.term = term, .first = sequence()});
  if (terms->size() > lineage_terms_max)
    terms->erase(terms->begin());
  if (auto done = bring_to_format(body_->rocks, false); !done)
    return done;
  rocksdb::WriteOptions synced;
  synced.sync = true;
  const auto status =
      body_->db().Put(synced, body_->of(family::node), lineage_name, encode(*terms));
  body_->growth->tell();
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
  const auto broken = [&next](const std::string& why) {
    return fail(errc::corrupt,
                "storage: the batch of change " + std::to_string(next.first) + ": " + why);
  };
  if (next.bytes.size() < batch_head_bytes)
    return broken("it has " + std::to_string(next.bytes.size()) + " bytes");
  rocksdb::WriteBatch writes{next.bytes};
  if (next.count == 0 || writes.Count() != next.count)
    return broken("it has another count");
  applied_changes changes;
  change_reader reader{changes};
  if (const auto status = writes.Iterate(&reader); !status.ok())
    return broken(status.ToString());
  if (auto room = body_->room_for(next.bytes.size()); !room)
    return fail(std::move(room).error());
  const auto status = body_->judged([&] { return body_->db().Write({}, &writes); });
  body_->growth->tell();
  if (!status.ok())
    return fail(to_error(status, "apply a batch"));
  if (sequence() != next.last())
    return fail(errc::corrupt, "storage: after change " + std::to_string(next.last()) +
                                   " the store is at " + std::to_string(sequence()));
  return changes;
}

result<void> store::sync_log() {
  const auto status = body_->judged([this] { return body_->db().SyncWAL(); });
  if (!status.ok())
    return fail(to_error(status, "sync the log"));
  return {};
}

} // namespace busbar::storage
