// storage/copy_sound.hpp: copies from a damaged store what can be trusted.
#pragma once

#include "base/result.hpp"
#include "storage/rocks.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace busbar::storage {

struct copied_shapes {
  std::size_t kept = 0;
  std::size_t dropped = 0;
};

/// Ids from `first` to `last`.
struct lost_stretch {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

/// Takes table files that are missing, or cannot even be opened, off the store's list, because all
/// reads of their family would fail. Returns whose data they held. errc::corrupt if one of them
/// told what there is, or the list cannot be read.
result<std::vector<lost_stretch>> strike_lost_files(const std::string& directory);

/// `to` is new and empty. A shape is copied whole or not at all: what hides behind a damaged block
/// may be its end, or the word that it has been removed. errc::corrupt if the node's own keys
/// cannot be read, another error if `to` cannot be written.
result<copied_shapes> copy_sound(database& from, database& to,
                                 const std::vector<lost_stretch>& lost);

} // namespace busbar::storage
