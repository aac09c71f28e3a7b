// actors/move_body.hpp: the newest entries of a shape's log, on their way to whoever waits for
// them.
#pragma once

#include "actors/body_piece.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace busbar {

/// The entries of a move, encoded once and framed or compressed at most once a way, however many
/// clients and I/O threads send them. Any thread.
class move_body {
public:
  /// `ends` are the ends of the entries in `json` (comma between).
  move_body(std::string json, std::vector<std::uint32_t> ends)
      : json_{share(std::move(json))}, ends_{std::move(ends)} {}

  shared_bytes json_elements() const { return json_; }
  body_piece json_elements(coding c) const {
    if (c == coding::identity)
      return {json_};
    auto& one = c == coding::gzip ? gzip_ : zstd_;
    std::call_once(one.once, [&] { one.piece = piece_in(c, json_); });
    return one.piece;
  }
  shared_bytes sse_events() const {
    std::call_once(sse_once_, [this] {
      std::string events;
      events.reserve(json_->size() + ends_.size() * 8);
      std::uint32_t begin = 0;
      for (const auto end : ends_) {
        events += "data: ";
        events.append(*json_, begin, end - begin);
        events += "\n\n";
        begin = end + 1; // behind the comma
      }
      sse_ = share(std::move(events));
    });
    return sse_;
  }

private:
  struct coded {
    std::once_flag once;
    body_piece piece;
  };

  shared_bytes json_;
  std::vector<std::uint32_t> ends_;
  mutable std::once_flag sse_once_;
  mutable shared_bytes sse_;
  mutable coded gzip_;
  mutable coded zstd_;
};

} // namespace busbar
