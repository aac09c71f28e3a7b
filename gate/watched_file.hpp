// gate/watched_file.hpp: a file that is read again when it has changed.
#pragma once

#include "base/result.hpp"

#include <cstddef>
#include <optional>
#include <string>

namespace busbar::gate {

/// One thread.
class watched_file {
public:
  explicit watched_file(std::string path, std::size_t bytes_max = 1u << 20)
      : path_{std::move(path)}, bytes_max_{bytes_max} {}

  const std::string& path() const noexcept { return path_; }
  /// Its contents; nullopt if it is as it was at the last call.
  result<std::optional<std::string>> read_if_changed();

private:
  std::string path_;
  std::size_t bytes_max_;
  std::string seen_; ///< What tells one state of it from another; empty: none yet.
};

} // namespace busbar::gate
