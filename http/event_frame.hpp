// http/event_frame.hpp: pieces of chunked bodies and of SSE streams (spec shape-protocol 10).
#pragma once

#include "actors/reader.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace busbar::http {

inline constexpr std::string_view last_chunk = "0\r\n\r\n";
inline constexpr std::string_view keepalive_comment = ": keep-alive\n\n";

/// What stands before `bytes` bytes in chunked transfer coding.
std::string chunk_head(std::size_t bytes);

/// The up-to-date event of a slice, or nothing if it is not up to date.
std::string up_to_date_event(const log_slice& slice);

/// All events of a slice whose entries are at hand, as one chunk.
std::string chunked_events(const log_slice& slice);

} // namespace busbar::http
