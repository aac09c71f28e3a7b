// actors/entity_tag.hpp: If-None-Match against the tag of a slice (spec shape-protocol 13.4).
#pragma once

#include <cstdint>
#include <string_view>

namespace busbar {

enum class tag_match : std::uint8_t { none, strong, weak };

/// `tag` is without quotes, `header` as it came. A body that is compressed has a weak tag (W/"…"),
/// because its bytes are others; for If-None-Match they are the same (RFC 9110 13.1.2).
tag_match matching_tag(std::string_view header, std::string_view tag) noexcept;

} // namespace busbar
