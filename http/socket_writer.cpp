#include "http/socket_writer.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace busbar::http {

namespace {

iovec vector_of(std::string_view bytes) noexcept {
  return {const_cast<char*>(bytes.data()), bytes.size()}; // sendmsg() only reads
}

/// Bytes taken by the kernel; 0 if it has no room; negative if the connection is broken.
ssize_t send_some(int fd, iovec* vectors, std::size_t count) noexcept {
  msghdr message{};
  message.msg_iov = vectors;
  message.msg_iovlen = count;
  while (true) {
    const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0)
      return sent;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
      return 0;
    if (errno != EINTR)
      return -1;
  }
}

} // namespace

socket_writer::outcome socket_writer::send(int fd, std::span<const fragment> fragments,
                                           std::uint64_t& sent_bytes) {
  if (backlog_) {
    queue(fragments, 0);
    return outcome::stalled;
  }
  std::array<iovec, fragments_max> vectors;
  std::size_t count = 0;
  std::size_t total = 0;
  for (const auto& fragment : fragments) {
    if (fragment.bytes.empty())
      continue;
    vectors[count++] = vector_of(fragment.bytes);
    total += fragment.bytes.size();
  }
  if (total == 0)
    return outcome::sent;
  const ssize_t sent = send_some(fd, vectors.data(), count);
  if (sent < 0)
    return outcome::broken;
  sent_bytes += static_cast<std::uint64_t>(sent);
  if (static_cast<std::size_t>(sent) == total)
    return outcome::sent;
  queue(fragments, static_cast<std::size_t>(sent));
  return outcome::stalled;
}

void socket_writer::queue(std::span<const fragment> fragments, std::size_t already_sent) {
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
    backlog_->bytes += rest.size();
    backlog_->pieces.push_back({std::move(owner), rest});
  }
}

socket_writer::outcome socket_writer::flush(int fd, std::uint64_t& sent_bytes) {
  while (backlog_) {
    auto& pieces = backlog_->pieces;
    std::array<iovec, 64> vectors;
    const auto count = std::min(vectors.size(), pieces.size() - backlog_->first);
    std::size_t offered = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const auto rest = pieces[backlog_->first + i].rest;
      vectors[i] = vector_of(rest);
      offered += rest.size();
    }
    const ssize_t sent = send_some(fd, vectors.data(), count);
    if (sent < 0)
      return outcome::broken;
    auto taken = static_cast<std::size_t>(sent);
    sent_bytes += taken;
    backlog_->bytes -= taken;
    const bool all = taken == offered;
    while (taken > 0) {
      auto& front = pieces[backlog_->first];
      const auto part = std::min(taken, front.rest.size());
      front.rest.remove_prefix(part);
      taken -= part;
      if (!front.rest.empty())
        break;
      front.owner.reset();
      ++backlog_->first;
    }
    if (backlog_->first == pieces.size())
      backlog_.reset();
    else if (!all)
      return outcome::stalled;
  }
  return outcome::sent;
}

} // namespace busbar::http
