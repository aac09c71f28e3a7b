#include "actors/deletion_desk.hpp"

namespace busbar {

void deletion_desk::remove(shape_reader& reader, const std::string& handle,
                           const std::optional<shape_request>& definition) {
  if (!definition)
    return drop(reader, index_.find(handle));
  const auto ticket = ++last_ticket_;
  waiting_.emplace(ticket, &reader);
  run_.resolve(*definition, [this, ticket, handle, words = *definition](const auto& defined) {
    finish(ticket, handle, words, defined);
  });
}

void deletion_desk::cancel(const shape_reader& reader) noexcept {
  std::erase_if(waiting_, [&](const auto& entry) { return entry.second == &reader; });
}

void deletion_desk::finish(std::uint64_t ticket, const std::string& handle,
                           const shape_request& words, const result<definition_ptr>& defined) {
  const auto waiting = waiting_.extract(ticket);
  if (waiting.empty())
    return; // so the client is gone, and may not have meant it
  auto& reader = *waiting.mapped();
  shape_ptr shape;
  if (defined)
    shape = index_.find_identity((*defined)->identity());
  else if (defined.error().code == errc::unavailable)
    shape = words_.defined_by(words.cache_key(), words); // as a GET finds it without PostgreSQL
  if (!defined && !shape)
    return reader.on_refused({defined.error(), cause::creation});
  if (shape && !handle.empty() && shape->handle() != handle)
    return reader.on_refused(
        {{errc::invalid_argument, "the handle is not that of the shape defined"}});
  drop(reader, shape);
}

void deletion_desk::drop(shape_reader& reader, const shape_ptr& shape) {
  const bool found = shape && !shape->progress().gone;
  if (found) {
    shape->update([](shape_progress& p) { p.gone = true; });
    run_.drop(shape);
  }
  reader.on_dropped(found);
}

} // namespace busbar
