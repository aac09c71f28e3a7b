// cluster/hello.hpp: the first message in both directions of every link: may these two talk?
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace busbar::cluster {

/// The versions of schema/link.capnp that this program speaks.
inline constexpr std::uint32_t protocol_oldest = 1;
inline constexpr std::uint32_t protocol_newest = 1;

/// What a link is for. Only the dialler says so.
enum class purpose : std::uint8_t {
  peer,   ///< Heartbeats, questions and answers.
  follow, ///< The leader's write-ahead log.
  copy,   ///< A checkpoint of the leader's storage.
};
const char* name_of(purpose p) noexcept;

struct hello {
  std::uint32_t oldest_protocol = protocol_oldest;
  std::uint32_t newest_protocol = protocol_newest;
  std::uint32_t storage_format = 0;
  /// A leader of this format, or a later one up to storage_format, it can follow, and copy. 0: said
  /// by a build that does not know of it, which can follow one of its own alone.
  std::uint32_t oldest_storage_format = 0;
  std::string stream_id;
  std::string system_id;      ///< Of PostgreSQL; empty while unknown.
  std::string name;           ///< The address that it advertises.
  std::uint64_t instance = 0; ///< Random, of this process: tells a restart, and oneself.
  std::string version;        ///< Of its Busbar, for humans.
  purpose why = purpose::peer;

  friend bool operator==(const hello&, const hello&) = default;
};

/// Why these two must not talk, in words that hold on both sides; nullopt if they may. Who follows
/// another, or copies from it, must read the format of its storage; others may talk if one of them
/// reads the other's, because then one of them may follow.
std::optional<std::string> disagreement(const hello& answers, const hello& dials);

} // namespace busbar::cluster
