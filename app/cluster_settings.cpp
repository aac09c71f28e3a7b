#include "app/cluster_settings.hpp"

#include "app/setting_values.hpp"
#include "cluster/roster.hpp"

#include <algorithm>
#include <utility>

namespace busbar::app {
namespace {

using namespace std::chrono_literals;
constexpr std::size_t secret_characters_min = 16;

setting row(std::string name, std::string meaning, std::string takes) {
  setting out;
  out.name = std::move(name);
  out.meaning = std::move(meaning);
  out.takes = std::move(takes);
  return out;
}

tl::unexpected<error> wrong(std::string message, std::string name = {}) {
  return fail(errc::misconfigured, std::move(message), std::move(name));
}

setting peers() {
  auto out = row("BUSBAR_CLUSTER_PEERS",
                 "The addresses of all members of the cluster, this one's too, the same list on "
                 "each. Without it and BUSBAR_CLUSTER_DNS this is a single node.",
                 "host:port,host:port,…");
  out.shown_default = "none";
  out.read = [](draft& d, std::string_view value) -> result<void> {
    std::vector<std::string> list;
    for (bool more = true; more;) {
      const auto one = value.substr(0, value.find(','));
      more = one.size() < value.size();
      value.remove_prefix(one.size() + (more ? 1 : 0));
      if (const auto parts = cluster::split_address(one); !parts)
        return wrong(parts.error().message);
      if (std::ranges::find(list, one) != list.end())
        return wrong("'" + std::string{one} + "' is there twice");
      list.emplace_back(one);
    }
    if (list.size() > cluster::members_max)
      return wrong("more than " + std::to_string(cluster::members_max) + " members");
    d.config.cluster_peers = std::move(list);
    return {};
  };
  out.write = [](const settings& s) {
    std::string list;
    for (const auto& one : s.cluster_peers)
      list += (list.empty() ? "" : ",") + one;
    return list;
  };
  return out;
}

setting address(std::string name, std::string meaning, std::string settings::*field) {
  auto out = row(std::move(name), std::move(meaning), "host:port");
  out.shown_default = "none";
  out.read = [field](draft& d, std::string_view value) -> result<void> {
    if (const auto parts = cluster::split_address(value); !parts)
      return wrong(parts.error().message);
    d.config.*field = std::string{value};
    return {};
  };
  out.write = [field](const settings& s) { return s.*field; };
  return out;
}

setting secret() {
  auto out = row("BUSBAR_CLUSTER_SECRET",
                 "What makes a node a member, the same on each; what they say to each other is "
                 "encrypted by it. Needed with BUSBAR_CLUSTER_PEERS or BUSBAR_CLUSTER_DNS. As a "
                 "flag it shows in the list of processes: prefer the environment.",
                 "at least " + std::to_string(secret_characters_min) + " characters");
  out.shown_default = "none";
  out.read = [](draft& d, std::string_view value) -> result<void> {
    if (value.size() < secret_characters_min)
      return wrong("it has fewer than " + std::to_string(secret_characters_min) + " characters");
    d.config.cluster_secret = std::string{value};
    return {};
  };
  out.write = [](const settings& s) {
    return std::string{s.cluster_secret.empty() ? "" : "********"};
  };
  return out;
}

setting grace() {
  auto out = row("BUSBAR_CLUSTER_GRACE",
                 "How long PostgreSQL keeps WAL for a follower that has gone or hangs. After that "
                 "it counts no more until it has caught up.",
                 "a duration with ms, s or m, a bare number means ms; 0ms to 24h");
  out.read = [](draft& d, std::string_view text) -> result<void> {
    return read_duration(text, 1ms, 0ms, 24h).map([&](auto value) {
      d.config.cluster_grace = value;
    });
  };
  out.write = [](const settings& s) { return write_duration(s.cluster_grace); };
  return out;
}

setting log_bytes() {
  constexpr bounds allowed{1u << 20, std::uint64_t{1} << 40};
  auto out = row("BUSBAR_CLUSTER_LOG_BYTES",
                 "How much of what was written is kept for followers that come back; one that was "
                 "away for longer copies the leader's storage.",
                 "a size in bytes, or with KB, MB, GB, KiB, MiB or GiB; " +
                     write_size(allowed.least) + " to " + write_size(allowed.most));
  out.read = [allowed](draft& d, std::string_view text) -> result<void> {
    return read_size(text, allowed).map([&](auto bytes) { d.config.cluster_log_bytes = bytes; });
  };
  out.write = [](const settings& s) { return write_size(s.cluster_log_bytes); };
  return out;
}

/// What is set for nothing.
result<void> check_single(const settings& config) {
  const std::pair<const char*, bool> given[] = {
      {"BUSBAR_CLUSTER_ADDRESS", !config.cluster_address.empty()},
      {"BUSBAR_CLUSTER_SECRET", !config.cluster_secret.empty()}};
  for (const auto& [name, is_set] : given)
    if (is_set)
      return wrong(std::string{name} +
                       " is set, but not who the members are: set BUSBAR_CLUSTER_PEERS or "
                       "BUSBAR_CLUSTER_DNS too, or none of them for a single node",
                   name);
  return {};
}

} // namespace

std::vector<setting> cluster_settings() {
  return {peers(),
          address("BUSBAR_CLUSTER_DNS",
                  "Instead of BUSBAR_CLUSTER_PEERS: each address that this name has is a member's, "
                  "looked up every 5s; for example a headless service of Kubernetes.",
                  &settings::cluster_dns),
          address("BUSBAR_CLUSTER_ADDRESS",
                  "Where the other members reach this one, by which name they know it, and at "
                  "which port it listens for them; one of BUSBAR_CLUSTER_PEERS, if those are set.",
                  &settings::cluster_address),
          secret(),
          grace(),
          log_bytes()};
}

result<void> check_cluster(const settings& config) {
  if (!config.clustered())
    return check_single(config);
  const auto& peers = config.cluster_peers;
  const auto& address = config.cluster_address;
  if (!peers.empty() && !config.cluster_dns.empty())
    return wrong("BUSBAR_CLUSTER_PEERS and BUSBAR_CLUSTER_DNS both say who the members are: set "
                 "only one of them",
                 "BUSBAR_CLUSTER_DNS");
  if (config.cluster_secret.empty())
    return wrong("set BUSBAR_CLUSTER_SECRET to the secret that all members of the cluster share",
                 "BUSBAR_CLUSTER_SECRET");
  if (address.empty())
    return wrong("set BUSBAR_CLUSTER_ADDRESS to the host:port at which the other members reach "
                 "this one",
                 "BUSBAR_CLUSTER_ADDRESS");
  if (!peers.empty() && std::ranges::find(peers, address) == peers.end())
    return wrong("BUSBAR_CLUSTER_ADDRESS " + address +
                     " is none of BUSBAR_CLUSTER_PEERS: every member must be listed, this one too",
                 "BUSBAR_CLUSTER_ADDRESS");
  const auto port = address.substr(address.rfind(':') + 1);
  const std::pair<const char*, std::uint16_t> others[] = {
      {"BUSBAR_PORT", config.port}, {"BUSBAR_METRICS_PORT", config.metrics_port}};
  for (const auto& [name, taken] : others)
    if (port == std::to_string(taken))
      return wrong("BUSBAR_CLUSTER_ADDRESS and " + std::string{name} + " have the same port " +
                       port + ": they must differ",
                   "BUSBAR_CLUSTER_ADDRESS");
  if (config.temporary_slot)
    return wrong("BUSBAR_TEMPORARY_REPLICATION_SLOT and a cluster contradict each other: whoever "
                 "leads next would have no slot to go on from",
                 "BUSBAR_TEMPORARY_REPLICATION_SLOT");
  return {};
}

} // namespace busbar::app
