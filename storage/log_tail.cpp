// Reading the write-ahead log as it grows. What was written last is in memory; what is not is read
// from the files. RocksDB's iterator is good for what was there when it was made, and for what came
// since into the same file; it is made anew after that.
//
// In the files, writes of one moment are one batch, in memory they are not; so who has read some of
// them here may go on in the middle of a batch there, also at another node.
#include "storage/batch_bytes.hpp"
#include "storage/replication.hpp"
#include "storage/store_body.hpp"

#include <rocksdb/transaction_log.h>

#include <atomic>

namespace busbar::storage {

namespace {

/// So often a log that cannot be read is tried again: files move while they are being opened.
constexpr int attempts_max = 20;
constexpr std::chrono::milliseconds attempt_pause{10};
/// Between the moment at which a write is seen and that at which its writer tells of it. To begin
/// to read a file costs more.
constexpr std::chrono::milliseconds telling_patience{5};

} // namespace

struct log_tail::body {
  body(rocksdb::DB& rocks, std::shared_ptr<log_growth> told_by, std::uint64_t after)
      : db{rocks}, growth{std::move(told_by)}, position{after} {
    growth->join([this] { return db.GetLatestSequenceNumber(); });
  }
  ~body() { growth->leave(); }
  body(const body&) = delete;
  body& operator=(const body&) = delete;

  bool has_more() const { return db.GetLatestSequenceNumber() > position; }

  /// One step of the iterator. Something is known to be there.
  rocksdb::Status step() {
    if (log) {
      log->Next();
    } else if (auto status = db.GetUpdatesSince(position + 1, &log); !status.ok()) {
      log.reset();
      return status;
    }
    if (log->Valid())
      return rocksdb::Status::OK();
    auto status = log->status();
    log.reset();
    return status.ok() ? rocksdb::Status::TryAgain() : status;
  }

  rocksdb::DB& db;
  const std::shared_ptr<log_growth> growth;
  std::uint64_t position;
  std::unique_ptr<rocksdb::TransactionLogIterator> log; ///< Null, or at the batch read last.
  std::atomic<bool> woken{false};
};

log_tail::log_tail(std::unique_ptr<body> b) : body_{std::move(b)} {}
log_tail::~log_tail() = default;

result<std::optional<replicated_batch>>
log_tail::next(std::chrono::steady_clock::time_point until) {
  auto& b = *body_;
  for (int attempts = 0;;) {
    std::shared_ptr<const replicated_batch> recent;
    const auto is_kept = [&] { return (recent = b.growth->find(b.position + 1)) != nullptr; };
    bool expected = false;
    b.growth->wait(until, [&] {
      expected = b.growth->expects(b.position + 1);
      return b.woken.load() || is_kept() || b.has_more();
    });
    if (!recent && expected && b.has_more())
      b.growth->wait(std::chrono::steady_clock::now() + telling_patience,
                     [&] { return b.woken.load() || is_kept(); });
    if (b.woken.exchange(false) || !b.has_more())
      return std::nullopt;
    if (recent) {
      b.log.reset();
      b.position = recent->last();
      return *recent;
    }
    if (const auto status = b.step(); !status.ok()) {
      if (++attempts == attempts_max)
        return fail(errc::unavailable, "storage: the log does not reach back to " +
                                           std::to_string(b.position + 1) + ": " +
                                           status.ToString());
      if (attempts > 1) // the first time it was only at the end of a file
        b.growth->wait(std::chrono::steady_clock::now() + attempt_pause,
                       [&b] { return b.woken.load(); });
      continue;
    }
    auto read = b.log->GetBatch();
    const auto count = read.writeBatchPtr->Count();
    if (count == 0)
      continue;
    std::optional<replicated_batch> found{
        {.first = read.sequence, .count = count, .bytes = read.writeBatchPtr->Data()}};
    if (found->first <= b.position && b.position < found->last())
      found = without_first(*found, static_cast<std::uint32_t>(b.position + 1 - found->first));
    if (!found || found->first != b.position + 1)
      return fail(errc::unavailable, "storage: the log does not reach back to " +
                                         std::to_string(b.position + 1) + ": it begins at " +
                                         std::to_string(read.sequence));
    b.position = found->last();
    return found;
  }
}

void log_tail::wake() {
  body_->woken = true;
  body_->growth->disturb();
}

std::uint64_t log_tail::position() const noexcept {
  return body_->position;
}

result<std::unique_ptr<log_tail>> store::tail(std::uint64_t after) {
  if (!body_->logs_all)
    return fail(errc::unavailable, "storage: no log is kept for followers");
  return std::unique_ptr<log_tail>{
      new log_tail{std::make_unique<log_tail::body>(body_->db(), body_->growth, after)}};
}

} // namespace busbar::storage
