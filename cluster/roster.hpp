// cluster/roster.hpp: the addresses at which members may be.
#pragma once

#include "base/result.hpp"
#include "cluster/link.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace busbar::cluster {

inline constexpr std::size_t members_max = 64;

struct host_port {
  std::string host; ///< Without the brackets of "[::1]:7000".
  std::string port;
};
/// errc::invalid_argument unless it is a host, a colon and a port from 1 to 65535.
result<host_port> split_address(std::string_view address);
/// An IPv6 address gets brackets.
std::string join_address(std::string_view host, std::string_view port);

/// Every address that a name has, as "address:port", sorted. Asks on a thread of its own, so that a
/// resolver that hangs costs no more than `until`; at most 32 such questions are under way.
result<std::vector<std::string>> look_up(const std::string& address, deadline until,
                                         const interrupt& stop);

struct roster_settings {
  std::vector<std::string> addresses; ///< BUSBAR_CLUSTER_PEERS: fixed.
  std::string dns;                    ///< BUSBAR_CLUSTER_DNS: else whatever this name has.
  std::chrono::milliseconds refresh{5'000};
};

/// Tells `on_members` the addresses, `self` left out, at the start and whenever they change: a
/// fixed list from the constructor, a name's from a thread of its own. While a name cannot be
/// looked up, the last answer holds.
class roster {
public:
  roster(roster_settings settings, std::string self,
         std::function<void(std::vector<std::string>)> on_members);
  ~roster(); ///< Ends the thread.
  roster(const roster&) = delete;
  roster& operator=(const roster&) = delete;

private:
  void tell(std::vector<std::string> addresses);
  void keep_looking();

  const roster_settings settings_;
  const std::string self_;
  const std::function<void(std::vector<std::string>)> on_members_;
  interrupt stop_;
  std::thread thread_;
};

} // namespace busbar::cluster
