// cluster/control_message.hpp: what nodes tell each other through the WAL, signed, because any SQL
// user may write a logical message (format: schema/control.capnp).
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace busbar::cluster {

/// From the commit of its message on, transactions belong into the log of this shape.
struct create_shape {
  std::string handle;
  std::string identity;
};
/// Those that are asked for at the same time share a message.
using create_shapes = std::vector<create_shape>;
/// The shape is gone for every node.
struct drop_shape {
  std::string handle;
};

/// All that committed before this has been streamed once this comes by.
struct fence {
  std::string token;
};

struct control_message {
  std::uint64_t term = 0;
  std::variant<create_shapes, drop_shape, fence> what;
};

/// The key that a cluster of this secret begins with; 32 bytes.
std::string control_key_of(std::string_view cluster_secret);

/// Signs and checks the messages of one stream. Immutable; any thread.
class control_codec {
public:
  control_codec(std::string key, std::string stream_id)
      : key_{std::move(key)}, stream_id_{std::move(stream_id)} {}

  std::string encode(const control_message& message) const;
  /// errc::invalid_argument for a message that is not ours: forged, foreign or malformed.
  result<control_message> decode(std::string_view content) const;

private:
  std::string key_;
  std::string stream_id_;
};

} // namespace busbar::cluster
