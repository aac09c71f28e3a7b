#include "cluster/hello.hpp"

#include <algorithm>

namespace busbar::cluster {
namespace {

std::string range(const hello& h) {
  return std::to_string(h.oldest_protocol) + " to " + std::to_string(h.newest_protocol);
}

/// "<what> differs: 'a' at one, 'b' at the other"; nullopt if it does not.
std::optional<std::string> difference(const hello& one, const hello& other, std::string what,
                                      const std::string& a, const std::string& b) {
  if (a == b)
    return std::nullopt;
  return std::move(what) + " " + a + " at " + one.name + ", " + b + " at " + other.name;
}

bool reads_format_of(const hello& reader, const hello& writer) {
  const auto oldest =
      reader.oldest_storage_format > 0 ? reader.oldest_storage_format : reader.storage_format;
  return writer.storage_format >= oldest && writer.storage_format <= reader.storage_format;
}

} // namespace

const char* name_of(purpose p) noexcept {
  return p == purpose::follow ? "follow" : p == purpose::copy ? "copy" : "peer";
}

std::optional<std::string> disagreement(const hello& answers, const hello& dials) {
  const auto& one = answers;
  const auto& other = dials;
  if (std::min(one.newest_protocol, other.newest_protocol) <
      std::max(one.oldest_protocol, other.oldest_protocol))
    return "no common version of the cluster's protocol: " + one.name + " (Busbar " + one.version +
           ") speaks " + range(one) + ", " + other.name + " (Busbar " + other.version +
           ") speaks " + range(other);
  if (auto found = difference(one, other, "BUSBAR_REPLICATION_STREAM_ID differs:", one.stream_id,
                              other.stream_id))
    return found;
  if (!one.system_id.empty() && !other.system_id.empty())
    if (auto found = difference(one, other, "they follow different PostgreSQL clusters: system",
                                one.system_id, other.system_id))
      return found;
  const bool is_readable = reads_format_of(dials, answers) ||
                           (dials.why == purpose::peer && reads_format_of(answers, dials));
  if (!is_readable) {
    auto found = difference(answers, dials,
                            "the storage format differs:", std::to_string(answers.storage_format),
                            std::to_string(dials.storage_format));
    return std::move(*found) + ", which needs a build that reads both";
  }
  if (one.instance != other.instance && one.name == other.name)
    return "two members call themselves " + one.name +
           ": BUSBAR_CLUSTER_ADDRESS must be different on each";
  return std::nullopt;
}

} // namespace busbar::cluster
