#include "actors/subset_desk.hpp"

#include <algorithm>

namespace busbar {

namespace {

/// Queries of one session that wait for a reader; beyond this new ones are turned away.
constexpr std::size_t waiting_max = 1'000;

} // namespace

bool subset_desk::read(shape_reader& reader, const shape_progress& progress) {
  if (load_.empty() || waiting_.size() >= waiting_max)
    return false;
  // Where the client goes on reading the log; told before the rows are read, so that what happens
  // meanwhile comes after it.
  const auto end = reader.now_                                ? progress.head
                   : reader.requested_ == log_offset::start() ? log_offset{0, 0}
                                                              : reader.requested_;
  const auto task = reader.subset_;
  task->seen = lsn{end.tx};
  task->give_up = std::chrono::steady_clock::now() + subset_patience;
  task->asked = std::chrono::steady_clock::now();
  task->ticket = ++last_ticket_;
  waiting_.emplace(task->ticket, &reader);
  // Not in turn: one that works on a large sort should not be waited for.
  const auto least = std::min_element(load_.begin(), load_.end());
  const auto who = static_cast<std::size_t>(least - load_.begin());
  ++load_[who];
  ask_(who, task, [this, task, end, who](const subset_outcome& outcome) {
    --load_[who];
    finish(task->ticket, end, outcome);
  });
  return true;
}

void subset_desk::cancel(shape_reader& reader) noexcept {
  if (!reader.subset_)
    return;
  reader.subset_->abandoned = true;
  waiting_.erase(reader.subset_->ticket);
  reader.subset_.reset();
}

std::vector<shape_reader*> subset_desk::abandon_all() {
  std::vector<shape_reader*> readers;
  for (const auto& [ticket, reader] : std::exchange(waiting_, {})) {
    reader->subset_->abandoned = true;
    readers.push_back(reader);
  }
  return readers;
}

void subset_desk::finish(std::uint64_t ticket, log_offset end, const subset_outcome& outcome) {
  const auto found = waiting_.find(ticket);
  if (found == waiting_.end())
    return; // cancelled
  auto& reader = *found->second;
  waiting_.erase(found);
  const auto shape = std::exchange(reader.shape_, nullptr);
  reader.subset_->abandoned = true;
  reader.subset_.reset();
  if (shape->progress().gone)
    reader.on_gone(std::nullopt);
  else if (!outcome.body)
    reader.on_refused({outcome.why, outcome.unreachable ? cause::database : cause::busy,
                       outcome.said_by_postgres});
  else {
    if (auto* tenant = shape->tenant())
      tenant->note_sent(outcome.body->size());
    reader.on_subset({.handle = shape->handle(),
                      .schema_json = reader.live_ ? nullptr : shape->schema_json(),
                      .end = end,
                      .body = outcome.body,
                      .in = outcome.in});
  }
}

} // namespace busbar
