// actors/frame_spool.hpp: frames that have to be kept, and for which there is no memory, on the
// disk.
#pragma once

#include "schema/frame.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace busbar {

/// Of one thread. A frame that comes out of here is like any other, but its bytes lie in a file:
/// the kernel reads them when they are looked at, and lets go of them when memory is short. The
/// files have no names, so nothing is left of them after a crash; each holds the frames of a while
/// and goes with the last of them. (A disk that cannot read them back ends the process, as it would
/// for pages of the program itself.)
class frame_spool {
public:
  struct settings {
    std::string directory;
    std::size_t bytes_max = 0; ///< Of all files together.
    /// Whether the disk has room for so many bytes more.
    std::function<bool(std::size_t)> has_room;
  };
  explicit frame_spool(settings how) : how_{std::move(how)} {}

  /// The same frame from the disk; empty if there is no room for it.
  frame put(const frame& whole);
  /// Nobody looks at this frame for a while.
  static void cool(const frame& spooled) noexcept;

private:
  class file;
  std::size_t held_bytes();

  const settings how_;
  std::shared_ptr<file> open_; ///< The one that is being filled.
  std::vector<std::weak_ptr<file>> files_;
};

} // namespace busbar
