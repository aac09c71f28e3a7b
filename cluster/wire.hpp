// cluster/wire.hpp: the messages of peer links as bytes (schema/link.capnp).
#pragma once

#include "base/result.hpp"
#include "cluster/hello.hpp"
#include "cluster/member.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace busbar::cluster::wire {

/// Instead of, or after a hello: why the link is closed.
struct refusal {
  std::string reason;
};

struct heartbeat {
  member_status status;
  std::uint64_t number = 0;      ///< Counts up on this link, from 1.
  std::uint64_t echo = 0;        ///< The last number that came the other way, …
  std::uint64_t held_micros = 0; ///< … and how long ago.
};

struct request {
  std::uint64_t id = 0;
  std::string body;
};

struct reply {
  std::uint64_t id = 0;
  std::string body;
  std::string failure = {}; ///< If not empty: there is no answer, and this is why.
};

using message = std::variant<hello, refusal, heartbeat, request, reply>;

std::string encode(const message& what);

/// nullopt for a kind that a newer version knows: ignore it. errc::corrupt for bytes that are none.
result<std::optional<message>> decode(std::string_view bytes);

} // namespace busbar::cluster::wire
