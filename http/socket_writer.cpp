#include "http/socket_writer.hpp"

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace busbar::http {

namespace {

constexpr std::size_t stretches_max = 64; // in one system call

/// Bytes to send, from memory or from a file.
struct stretch {
  std::string_view bytes;
  int file = -1;
  std::size_t offset = 0; // in the file
  bool ends_file = false; // but for body_end
};

stretch stretch_of(std::string_view bytes, const shared_bytes* owner, const body_file& file) {
  if (!file)
    return {bytes};
  const auto offset = static_cast<std::size_t>(bytes.data() - (*owner)->data());
  return {bytes, file->get(), offset, offset + bytes.size() == (*owner)->size()};
}

// The two below: bytes taken by the kernel, fewer if it has no room; negative if the connection is
// broken.

/// `more` tells the kernel that it need not hurry with a packet that is not full.
ssize_t send_memory(int fd, std::span<const stretch> run, bool more) noexcept {
  const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
  std::array<iovec, stretches_max> vectors;
  for (std::size_t i = 0; i < run.size(); ++i) // sendmsg() only reads
    vectors[i] = {const_cast<char*>(run[i].bytes.data()), run[i].bytes.size()};
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = run.size();
  while (true) {
    // An event to thousands of streams is one stretch, and the plain call is cheaper.
    const ssize_t sent = run.size() == 1
                             ? ::send(fd, run[0].bytes.data(), run[0].bytes.size(), flags)
                             : ::sendmsg(fd, &message, flags);
    if (sent >= 0)
      return sent;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
      return 0;
    if (errno != EINTR)
      return -1;
  }
}

/// Goes on until the kernel says that it has no room: only then will epoll tell when it has some.
/// The thread has SIGPIPE blocked, which sendfile() cannot be told to withhold.
ssize_t send_file(int fd, int file, std::size_t offset, std::size_t bytes) noexcept {
  auto at = static_cast<off_t>(offset);
  const auto end = static_cast<off_t>(offset + bytes);
  while (at < end) {
    const ssize_t sent = ::sendfile(fd, file, &at, static_cast<std::size_t>(end - at));
    if (sent > 0 || (sent < 0 && errno == EINTR))
      continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      break;
    return -1;
  }
  return at - static_cast<off_t>(offset);
}

/// How many of the stretches one call can send: a file and, if that comes next, the byte that it
/// ends with; or all up to the next file.
std::size_t first_run(std::span<const stretch> stretches) noexcept {
  if (stretches[0].file >= 0) {
    const bool goes_on = stretches[0].ends_file && stretches.size() > 1 &&
                         stretches[1].bytes == std::string_view{&body_end, 1};
    return goes_on ? 2 : 1;
  }
  const auto file = std::find_if(stretches.begin(), stretches.end(),
                                 [](const stretch& s) { return s.file >= 0; });
  return static_cast<std::size_t>(file - stretches.begin());
}

/// All stretches in order, up to `most` bytes of them.
ssize_t send_some(int fd, std::span<stretch> rest, std::size_t most) noexcept {
  ssize_t total = 0;
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (auto& part = rest[i]; part.bytes.size() > most) {
      part.bytes = part.bytes.substr(0, most);
      part.ends_file = false;
      rest = rest.first(i + (most > 0 ? 1 : 0));
    } else {
      most -= part.bytes.size();
    }
  }
  while (!rest.empty()) {
    const auto now = rest.first(first_run(rest));
    rest = rest.subspan(now.size());
    std::size_t offered = 0;
    for (const auto& part : now)
      offered += part.bytes.size();
    const ssize_t sent = now[0].file >= 0 ? send_file(fd, now[0].file, now[0].offset, offered)
                                          : send_memory(fd, now, !rest.empty());
    if (sent < 0)
      return sent;
    total += sent;
    if (static_cast<std::size_t>(sent) < offered)
      break;
  }
  return total;
}

} // namespace

socket_writer::outcome socket_writer::send(int fd, std::span<const fragment> fragments,
                                           std::uint64_t& sent_bytes, held_pieces& held) {
  if (backlog_) {
    queue(fragments, 0, held);
    return outcome::stalled;
  }
  std::array<stretch, fragments_max> stretches;
  std::size_t count = 0;
  std::size_t total = 0;
  for (const auto& fragment : fragments) {
    if (fragment.bytes.empty())
      continue;
    stretches[count++] = stretch_of(fragment.bytes, fragment.owner, fragment.file);
    total += fragment.bytes.size();
  }
  if (total == 0)
    return outcome::sent;
  const ssize_t sent = send_some(fd, {stretches.data(), count}, turn_bytes_max);
  if (sent < 0)
    return outcome::broken;
  sent_bytes += static_cast<std::uint64_t>(sent);
  if (static_cast<std::size_t>(sent) == total)
    return outcome::sent;
  queue(fragments, static_cast<std::size_t>(sent), held);
  return rest(static_cast<std::size_t>(sent));
}

void socket_writer::queue(std::span<const fragment> fragments, std::size_t already_sent,
                          held_pieces& held) {
  if (!backlog_)
    backlog_ = std::make_unique<backlog>();
  for (const auto& fragment : fragments) {
    const auto skipped = std::min(already_sent, fragment.bytes.size());
    already_sent -= skipped;
    auto rest = fragment.bytes.substr(skipped);
    if (rest.empty())
      continue;
    shared_bytes owner = fragment.owner ? *fragment.owner : share(std::string{rest});
    if (!fragment.owner)
      rest = *owner;
    // A file's bytes are the kernel's.
    auto counted = fragment.file ? held_pieces::hold{} : held.take(owner);
    backlog_->bytes += rest.size();
    backlog_->pieces.push_back({std::move(owner), rest, fragment.file, std::move(counted)});
  }
}

socket_writer::outcome socket_writer::flush(int fd, std::uint64_t& sent_bytes) {
  std::size_t sent_now = 0;
  while (backlog_) {
    if (sent_now >= turn_bytes_max)
      return outcome::paused;
    const auto waiting = std::span{backlog_->pieces}.subspan(backlog_->first);
    std::array<stretch, stretches_max> stretches;
    const auto count = std::min(stretches.size(), waiting.size());
    std::size_t offered = 0;
    for (std::size_t i = 0; i < count; ++i) {
      stretches[i] = stretch_of(waiting[i].rest, &waiting[i].owner, waiting[i].file);
      offered += waiting[i].rest.size();
    }
    const ssize_t sent = send_some(fd, {stretches.data(), count}, turn_bytes_max - sent_now);
    if (sent < 0)
      return outcome::broken;
    sent_now += static_cast<std::size_t>(sent);
    sent_bytes += static_cast<std::uint64_t>(sent);
    take_off(static_cast<std::size_t>(sent));
    if (backlog_->first == backlog_->pieces.size())
      backlog_.reset();
    else if (static_cast<std::size_t>(sent) < offered)
      return rest(sent_now);
  }
  return outcome::sent;
}

/// Takes sent bytes off the front of the backlog.
void socket_writer::take_off(std::size_t sent) noexcept {
  backlog_->bytes -= sent;
  while (sent > 0) {
    auto& front = backlog_->pieces[backlog_->first];
    const auto part = std::min(sent, front.rest.size());
    front.rest.remove_prefix(part);
    sent -= part;
    if (!front.rest.empty())
      break;
    front = {};
    ++backlog_->first;
  }
}

} // namespace busbar::http
