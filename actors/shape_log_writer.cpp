#include "actors/shape_log_writer.hpp"

namespace busbar {

namespace {
/// A block is what a reader gets at least; larger ones cost a reader in the middle more.
constexpr std::size_t block_bytes_max = 64 * 1024;
/// Beyond this, watchers read the log themselves, piece by piece.
constexpr std::size_t news_bytes_max = 256 * 1024;
} // namespace

bool shape_log_writer::append(std::uint64_t tx, encoded_entry entry, storage::batch& writes) {
  if (!work_)
    work_ = std::make_unique<work>();
  const bool first = !work_->held_back;
  if (!first)
    seal(tx, false, writes);
  work_->last_op = entry.op;
  work_->held_back = std::move(entry);
  return first;
}

void shape_log_writer::append_move(std::uint64_t tx, std::string json, storage::batch& writes) {
  if (!work_)
    work_ = std::make_unique<work>();
  if (work_->held_back)
    seal(tx, true, writes);
  else
    work_->last_op = committed_.tx == tx ? committed_.op : -1;
  work_->held_back = encoded_entry{.op = ++work_->last_op, .json = std::move(json)};
}

void shape_log_writer::seal(std::uint64_t tx, bool last, storage::batch& writes) {
  auto& entry = *work_->held_back;
  if (last && entry.last_at > 0)
    entry.json.insert(entry.last_at, last_header);
  work_->block.add(entry.op, entry.json);
  chunk_bytes_ += entry.json.size();
  if (!watched_) {
    work_->news_incomplete = true; // who begins to watch now must not get the rest for the whole
  } else if (!work_->news_incomplete) {
    auto& news = work_->news;
    if (!news.empty())
      news.push_back(',');
    news += entry.json;
    work_->news_ends.push_back(static_cast<std::uint32_t>(news.size()));
    work_->news_incomplete = news.size() > news_bytes_max;
  }
  work_->held_back.reset();
  if (chunk_bytes_ >= chunk_bytes_max_) {
    chunk_bytes_ = 0;
    writes.mark_boundary(shape_->id(), {tx, work_->block.last_op()});
    work_->boundary_open = true;
    flush(tx, writes);
  } else if (work_->block.size_bytes() >= block_bytes_max) {
    flush(tx, writes);
  }
}

void shape_log_writer::flush(std::uint64_t tx, storage::batch& writes) {
  if (work_->block.empty())
    return;
  const auto& block = work_->block.finish(chunk_bytes_);
  writes.append_block(shape_->id(), {tx, work_->block.last_op()}, block);
  shape_->add_bytes(block.size());
  work_->block.clear();
}

void shape_log_writer::flush_open(std::uint64_t tx, storage::batch& writes) {
  if (work_)
    flush(tx, writes);
}

void shape_log_writer::commit(std::uint64_t tx, storage::batch& writes) {
  const auto last_op = work_->held_back->op;
  seal(tx, true, writes);
  flush(tx, writes);
  committed_ = {tx, last_op};
  committed_chunk_bytes_ = chunk_bytes_;
  boundary_ |= work_->boundary_open;
  work_->boundary_open = false;
}

void shape_log_writer::abandon() noexcept {
  work_.reset();
  chunk_bytes_ = committed_chunk_bytes_;
}

std::optional<head_move> shape_log_writer::publish() {
  if (committed_ == published_)
    return std::nullopt;
  head_move move{
      .shape = shape_->id(), .from = published_, .to = committed_, .seen = 0, .body = nullptr};
  const auto now = shape_->update([&](shape_progress& p) {
    p.head = committed_;
    p.has_boundaries |= boundary_;
  });
  move.seen = promised(now, committed_.tx);
  if (work_) {
    // In the middle of a transaction the news would hold entries that nobody may see yet.
    const bool in_transaction = work_->held_back.has_value();
    if (watched_ && !boundary_ && !work_->news_incomplete && !in_transaction)
      move.body =
          std::make_shared<const move_body>(std::move(work_->news), std::move(work_->news_ends));
    if (!in_transaction) {
      work_.reset();
    } else {
      work_->news.clear();
      work_->news_ends.clear();
      work_->news_incomplete = true; // its beginning is missing
    }
  }
  boundary_ = false;
  published_ = committed_;
  return move;
}

} // namespace busbar
