#include "http/body_files.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace busbar::http {

namespace {

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written > 0)
      bytes.remove_prefix(static_cast<std::size_t>(written));
    else if (written == 0 || errno != EINTR)
      return false;
  }
  return true;
}

/// Null if the kernel has no room: then the body is copied as any other.
body_file write_file(std::string_view bytes) {
  owned_fd file{::memfd_create("body", MFD_CLOEXEC)};
  if (file.get() < 0 || !write_all(file.get(), bytes) || !write_all(file.get(), {&body_end, 1}))
    return nullptr;
  return std::make_shared<const owned_fd>(std::move(file));
}

} // namespace

body_file body_files::find(const shared_bytes& body) {
  if (!body || body->size() < body_bytes_min || body->size() > bytes_max_)
    return nullptr;
  const std::lock_guard guard{mutex_};
  auto& known = note(body);
  known.recent = true;
  if (known.file || ++known.sends <= sends_before_file)
    return known.file;
  known.sends = 0; // if there is no room now, try again after as many sends
  if (!make_room(body->size()))
    return nullptr;
  known.file = write_file(*body);
  if (known.file) {
    known.file_bytes = body->size();
    bytes_ += known.file_bytes;
  }
  return known.file;
}

/// The entry of this body, new if need be.
body_files::entry& body_files::note(const shared_bytes& body) {
  if (const auto found = by_address_.find(body.get()); found != by_address_.end()) {
    if (found->second->body.lock() == body)
      return *found->second;
    forget(found->second); // another body lay at this address
  }
  if (entries_.size() >= entries_max)
    forget(std::prev(entries_.end()));
  auto& added = entries_.emplace_front();
  added.body = body;
  added.address = body.get();
  by_address_.emplace(body.get(), entries_.begin());
  return added;
}

/// False if all files are of bodies that were sent since room was last needed: then a new one would
/// only push out another that is as hot, and be pushed out in its turn.
bool body_files::make_room(std::size_t bytes) {
  for (auto left = entries_.size(); bytes_ + bytes > bytes_max_ && left > 0; --left) {
    const auto last = std::prev(entries_.end());
    if (last->body.expired() || !last->recent) {
      forget(last);
      continue;
    }
    last->recent = false;
    entries_.splice(entries_.begin(), entries_, last);
  }
  return bytes_ + bytes <= bytes_max_;
}

void body_files::forget(entry_list::iterator which) {
  bytes_ -= which->file_bytes;
  by_address_.erase(which->address);
  entries_.erase(which);
}

} // namespace busbar::http
