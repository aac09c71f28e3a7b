// bench/load/delivery_board.hpp: counts how many clients each change has reached.
#pragma once

#include "bench/load/commands.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::bench {

/// Prints a line when all clients are ready, and one when a delivery has reached the last of them.
class delivery_board {
public:
  explicit delivery_board(const delivery_options& options)
      : options_{options}, reached_(options.deliveries + 1, 0) {}

  void say_ready(double seconds) const;
  /// A client has received its n-th delivery (from 1).
  result<void> delivered(std::size_t n);
  bool complete() const noexcept { return reached_.back() == options_.clients.count; }
  /// The last word; an error if not all deliveries came.
  result<void> finish() const;

  void count_bytes(std::size_t bytes) noexcept { bytes_ += bytes; }
  void save(std::string_view bytes) { saved_.append(bytes); } ///< Of the delivery to be saved.

private:
  const delivery_options options_;
  std::vector<std::size_t> reached_; ///< [n]: how many clients have got their n-th delivery.
  std::string saved_;
  std::uint64_t bytes_ = 0;
};

} // namespace busbar::bench
