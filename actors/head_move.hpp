// actors/head_move.hpp: the news that a shape's log has grown, with the new entries at hand.
#pragma once

#include "base/bytes.hpp"
#include "shapes/offset.hpp"
#include "storage/keys.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace busbar {

/// The entries of a move, encoded once and framed at most once a way, however many clients and I/O
/// threads send them. Any thread.
class move_body {
public:
  /// `ends` are the ends of the entries in `json` (comma between).
  move_body(std::string json, std::vector<std::uint32_t> ends)
      : json_{share(std::move(json))}, ends_{std::move(ends)} {}

  shared_bytes json_elements() const { return json_; }
  shared_bytes sse_events() const {
    std::call_once(once_, [this] {
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
  shared_bytes json_;
  std::vector<std::uint32_t> ends_;
  mutable std::once_flag once_;
  mutable shared_bytes sse_;
};

struct head_move {
  storage::shape_id shape{};
  log_offset from;                       ///< The head before.
  log_offset to;                         ///< The head now.
  std::shared_ptr<const move_body> body; ///< Null if it is too large, or a chunk ends inside.
};

} // namespace busbar
