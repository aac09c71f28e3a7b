// http/body_files.hpp: large bodies that are sent again and again, kept as files in memory.
// sendfile() hands the kernel their pages, so that nothing is copied for each client, which is most
// of what a large body costs.
#pragma once

#include "base/bytes.hpp"
#include "http/event_loop.hpp"

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace busbar::http {

/// A file in memory that holds the bytes of one body and then body_end. Never changes.
using body_file = std::shared_ptr<const owned_fd>;

/// What most often follows a body that is sent whole. In a packet of its own this one byte would
/// cost more than ten thousand in the one before.
inline constexpr char body_end = ']';

/// Thread-safe. The files hold second copies, hence the limit, and hence only bodies get one that
/// are asked for again.
class body_files {
public:
  static constexpr std::size_t body_bytes_min = 64 * 1024; ///< Less is copied as quickly.

  explicit body_files(std::size_t bytes_max) : bytes_max_{bytes_max} {}

  /// Call it each time that `body` is about to be sent. Null if it has no file (yet).
  body_file find(const shared_bytes& body);

private:
  static constexpr unsigned sends_before_file = 2;
  static constexpr std::size_t entries_max = 4096;

  struct entry {
    std::weak_ptr<const std::string> body; // keeps the address, not the bytes
    const std::string* address = nullptr;
    unsigned sends = 0;
    bool recent = false; // asked for since room was last needed
    body_file file;
    std::size_t file_bytes = 0;
  };
  using entry_list = std::list<entry>;

  entry& note(const shared_bytes& body);
  bool make_room(std::size_t bytes);
  void forget(entry_list::iterator which);

  std::mutex mutex_;
  const std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  entry_list entries_; // the one noted or spared last comes first
  std::unordered_map<const std::string*, entry_list::iterator> by_address_;
};

} // namespace busbar::http
