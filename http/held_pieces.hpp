// http/held_pieces.hpp: how much memory waits for clients that do not take it, each stretch of
// bytes counted once, however many clients it waits for.
#pragma once

#include "base/bytes.hpp"

#include <cstddef>
#include <unordered_map>
#include <utility>

namespace busbar::http {

/// Of one I/O thread, and used by it alone. Outlives what it has given out.
class held_pieces {
public:
  /// Counts one piece for as long as it lives.
  class hold {
  public:
    hold() = default;
    hold(hold&& other) noexcept
        : of_{std::exchange(other.of_, nullptr)}, piece_{std::exchange(other.piece_, nullptr)} {}
    hold& operator=(hold&& other) noexcept {
      std::swap(of_, other.of_);
      std::swap(piece_, other.piece_);
      return *this;
    }
    ~hold() {
      if (of_)
        of_->release(piece_);
    }

  private:
    friend class held_pieces;
    hold(held_pieces& of, const std::string* piece) noexcept : of_{&of}, piece_{piece} {}
    held_pieces* of_ = nullptr;
    const std::string* piece_ = nullptr;
  };

  hold take(const shared_bytes& piece) {
    auto& held = pieces_[piece.get()];
    if (++held.holders == 1)
      bytes_ += held.size = piece->size();
    return {*this, piece.get()};
  }
  std::size_t bytes() const noexcept { return bytes_; }

private:
  void release(const std::string* piece) noexcept {
    const auto found = pieces_.find(piece);
    if (--found->second.holders > 0)
      return;
    bytes_ -= found->second.size;
    pieces_.erase(found);
  }

  struct held {
    std::size_t holders = 0;
    std::size_t size = 0;
  };
  std::unordered_map<const std::string*, held> pieces_; ///< Its keys may be gone already.
  std::size_t bytes_ = 0;
};

} // namespace busbar::http
