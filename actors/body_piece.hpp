// actors/body_piece.hpp: a stretch of a response body as it goes out, shared by all who send it.
#pragma once

#include "base/bytes.hpp"
#include "base/coding.hpp"

namespace busbar {

struct body_piece {
  shared_bytes bytes; ///< Null if there is nothing.
  coding in = coding::identity;
  part_sum sum = {}; ///< For coded_body::add().
};

/// `text` as a piece in this coding; as it is, if it is too short to be worth it.
inline body_piece piece_in(coding c, shared_bytes text) {
  if (c == coding::identity || text->size() < coding_bytes_min)
    return {std::move(text)};
  auto part = compress(c, *text);
  return {share(std::move(part.bytes)), c, part.sum};
}

} // namespace busbar
