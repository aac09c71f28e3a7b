// actors/entity_tag.hpp: the tag of a slice, and If-None-Match against it (spec
// shape-protocol 13.4).
#pragma once

#include "actors/reader.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace busbar {

/// Without quotes. A chunk that ends at the head has one of its own: its body says up-to-date, and
/// later, when the log goes on behind the chunk, the same request's body will not.
inline std::string entity_tag(const log_slice& slice) {
  return slice.handle + ':' + (slice.now ? "now" : to_string(slice.requested)) + ':' +
         to_string(slice.end) + (slice.chunk_at_head ? ":head" : "");
}

enum class tag_match : std::uint8_t { none, strong, weak };

/// `tag` is without quotes, `header` as it came. A body that is compressed has a weak tag (W/"…"),
/// because its bytes are others; for If-None-Match they are the same (RFC 9110 13.1.2).
tag_match matching_tag(std::string_view header, std::string_view tag) noexcept;

} // namespace busbar
