// storage/node_record.hpp: the bytes of a node's identity.
#pragma once

#include "storage/store.hpp"

#include <string>
#include <string_view>

namespace busbar::storage {

std::string encode(const node_identity& who);
/// errc::corrupt if the bytes are not an identity.
result<node_identity> decode_identity(std::string_view bytes);

} // namespace busbar::storage
