#include "actors/waiting_room.hpp"

#include <algorithm>

namespace busbar {

namespace {

constexpr std::chrono::seconds snapshot_patience{60};
/// A deadline is looked at no sooner than this: those that are near are taken together.
constexpr std::chrono::milliseconds tick_min{10};

} // namespace

void waiting_room::park(shape_reader& reader, shape_reader::wait kind) {
  unlink(reader);
  auto& entry = watched_[reader.shape_->id()];
  if (!entry.shape) {
    entry.shape = reader.shape_;
    ring_.watch(entry.shape);
  }
  reader.waits_for_ = kind;
  entry.readers.push_back(reader);
  if (reader.open_)
    return; // a stream's life is limited by HTTP
  // Within a kind all wait equally long, so each list is in the order of its deadlines.
  reader.deadline_ = clock::now() + patience(kind);
  deadlines_[static_cast<std::size_t>(kind)].push_back(reader);
  schedule(reader.deadline_);
}

void waiting_room::unlink(shape_reader& reader) noexcept {
  auto& by_shape = static_cast<by_shape_hook&>(reader);
  if (by_shape.is_linked())
    by_shape.unlink();
  if (reader.by_deadline_.is_linked())
    reader.by_deadline_.unlink();
}

waiting_room::reader_list waiting_room::take(storage::shape_id id) {
  reader_list readers;
  const auto found = watched_.find(id);
  if (found == watched_.end())
    return readers;
  readers.swap(found->second.readers);
  if (readers.empty()) {
    ring_.unwatch(id);
    watched_.erase(found);
  }
  return readers;
}

void waiting_room::put_back(shape_reader& reader) {
  static_cast<by_shape_hook&>(reader).unlink();
  watched_[reader.shape_->id()].readers.push_back(reader);
}

std::vector<waiting_room::reader_list> waiting_room::take_all() {
  std::vector<reader_list> all;
  for (auto& [id, entry] : watched_) {
    all.emplace_back();
    all.back().swap(entry.readers);
  }
  return all;
}

shape_ptr waiting_room::shape(storage::shape_id id) const {
  const auto found = watched_.find(id);
  return found == watched_.end() ? nullptr : found->second.shape;
}

void waiting_room::count(std::unordered_map<storage::shape_id, std::size_t>& readers) const {
  for (const auto& [id, entry] : watched_)
    if (!entry.readers.empty())
      readers[id] += entry.readers.size();
}

void waiting_room::forget_if_empty(storage::shape_id id) {
  const auto found = watched_.find(id);
  if (found != watched_.end() && found->second.readers.empty())
    watched_.erase(found);
}

bool waiting_room::has_last(const shape_reader& reader, storage::shape_id id) const {
  const auto found = watched_.find(id);
  return found != watched_.end() && !found->second.readers.empty() &&
         &found->second.readers.back() == &reader;
}

std::chrono::milliseconds waiting_room::patience(shape_reader::wait kind) const {
  switch (kind) {
  case shape_reader::wait::live:
    return long_poll_;
  case shape_reader::wait::out_of_bounds:
    return long_poll_ / 2;
  case shape_reader::wait::snapshot:
  case shape_reader::wait::more:
    break;
  }
  return snapshot_patience;
}

void waiting_room::schedule(clock::time_point when) {
  const auto now = clock::now();
  when = std::max(when, now + tick_min);
  if (next_tick_ != clock::time_point{} && next_tick_ <= when)
    return;
  next_tick_ = when;
  ring_.wake_after(std::chrono::duration_cast<std::chrono::milliseconds>(when - now) +
                   std::chrono::milliseconds{1});
}

} // namespace busbar
