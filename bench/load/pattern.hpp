// bench/load/pattern.hpp: counts a word in a stream of bytes that comes in pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace busbar::bench {

/// Knuth–Morris–Pratt: what is remembered between two pieces is one small number per stream, so
/// that many thousand streams share one pattern.
class pattern {
public:
  using progress = std::uint8_t; ///< How much of the word the stream ends with. Starts at 0.

  /// `word` has 1 to 255 bytes.
  explicit pattern(std::string word) : word_{std::move(word)}, border_(word_.size() + 1, 0) {
    for (std::size_t i = 1, length = 0; i < word_.size(); ++i) {
      while (length > 0 && word_[i] != word_[length])
        length = border_[length];
      if (word_[i] == word_[length])
        ++length;
      border_[i + 1] = static_cast<progress>(length);
    }
  }

  /// How often the word ends in this piece. `at_match` gets the position behind each end.
  template <class AtMatch>
  std::size_t count(progress& state, std::string_view piece, AtMatch at_match) const {
    std::size_t matches = 0;
    std::size_t length = state;
    for (std::size_t i = 0; i < piece.size(); ++i) {
      while (length > 0 && piece[i] != word_[length])
        length = border_[length];
      if (piece[i] == word_[length])
        ++length;
      if (length == word_.size()) {
        ++matches;
        at_match(i + 1);
        length = border_[length];
      }
    }
    state = static_cast<progress>(length);
    return matches;
  }
  std::size_t count(progress& state, std::string_view piece) const {
    return count(state, piece, [](std::size_t) {});
  }

private:
  std::string word_;
  std::vector<progress> border_; ///< Longest proper border of each prefix.
};

} // namespace busbar::bench
