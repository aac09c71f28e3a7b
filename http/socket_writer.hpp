// http/socket_writer.hpp: gathered writes that never block. What the kernel does not take at once
// waits here, shared bytes uncopied; bytes that also lie in a file are sent from there.
#pragma once

#include "base/bytes.hpp"
#include "http/body_files.hpp"
#include "http/held_pieces.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace busbar::http {

/// A stretch of a message. Without an owner its bytes are copied if they have to wait.
struct fragment {
  std::string_view bytes;
  const shared_bytes* owner = nullptr;
  body_file file = {}; ///< If given, it holds the bytes of `owner`.
};

class socket_writer {
public:
  /// Stalled: call flush() when the socket can be written to. Paused: it was enough for this turn,
  /// call flush() in the next one; the socket may not tell.
  enum class outcome { sent, stalled, paused, broken };

  /// A call sends so much at most, or a few large bodies would keep the others of the thread
  /// waiting: the kernel takes megabytes from whoever reads fast.
  static constexpr std::size_t turn_bytes_max = 256 * 1024;

  /// At most `fragments_max` fragments. What waits is counted in `held`.
  outcome send(int fd, std::span<const fragment> fragments, std::uint64_t& sent_bytes,
               held_pieces& held);
  outcome flush(int fd, std::uint64_t& sent_bytes);

  bool idle() const noexcept { return !backlog_; }
  std::size_t backlog_bytes() const noexcept { return backlog_ ? backlog_->bytes : 0; }
  void drop() noexcept { backlog_.reset(); }

  static constexpr std::size_t fragments_max = 8;

private:
  struct piece {
    shared_bytes owner;
    std::string_view rest;
    body_file file;
    held_pieces::hold counted = {};
  };
  struct backlog {
    std::vector<piece> pieces;
    std::size_t first = 0; // pieces before it are sent
    std::size_t bytes = 0;
  };

  static outcome rest(std::size_t sent_now) noexcept {
    return sent_now >= turn_bytes_max ? outcome::paused : outcome::stalled;
  }
  void queue(std::span<const fragment> fragments, std::size_t already_sent, held_pieces& held);
  void take_off(std::size_t sent) noexcept;

  std::unique_ptr<backlog> backlog_; // only while stalled: idle clients should cost nothing
};

} // namespace busbar::http
