#include "postgres/session.hpp"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netdb.h>

#include <condition_variable>
#include <mutex>
#include <thread>

namespace busbar::postgres {

namespace {

/// Shared by the caller and the thread that looks the name up; whoever comes last frees it.
struct lookup {
  std::mutex guard;
  std::condition_variable done_changed;
  bool done = false;
  int status = 0;
  std::vector<std::string> addresses;
};

void run_lookup(const std::shared_ptr<lookup>& shared, const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int status = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  std::vector<std::string> addresses;
  for (const auto* a = found; a != nullptr; a = a->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
      addresses.emplace_back(text);
  }
  if (found != nullptr)
    freeaddrinfo(found);
  const std::lock_guard lock{shared->guard};
  shared->status = status;
  shared->addresses = std::move(addresses);
  shared->done = true;
  shared->done_changed.notify_all();
}

/// getaddrinfo() cannot be interrupted, so it runs on a thread of its own, which is left to itself
/// (it ends with the resolver's own timeouts) when the deadline comes first.
pg_result_of<std::vector<std::string>> look_up(const std::string& host, deadline until) {
  auto shared = std::make_shared<lookup>();
  std::thread{[shared, host] { run_lookup(shared, host); }}.detach();
  std::unique_lock lock{shared->guard};
  if (!shared->done_changed.wait_until(lock, until, [&] { return shared->done; }))
    return tl::unexpected<pg_error>{timed_out("looking up host \"" + host + "\"")};
  if (shared->status != 0 || shared->addresses.empty()) {
    const bool unknown = shared->status == EAI_NONAME || shared->status == EAI_FAIL;
    return tl::unexpected<pg_error>{pg_error{unknown ? trouble::fatal : trouble::transient,
                                             {},
                                             "could not translate host name \"" + host +
                                                 "\": " + gai_strerror(shared->status)}};
  }
  return std::move(shared->addresses);
}

bool needs_no_lookup(const std::string& host) {
  in6_addr scratch{};
  return host.empty() || host[0] == '/' || host[0] == '@' ||
         inet_pton(AF_INET, host.c_str(), &scratch) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &scratch) == 1;
}

std::vector<std::string> split_list(std::string_view list) {
  std::vector<std::string> parts;
  for (;;) {
    const auto comma = list.find(',');
    parts.emplace_back(list.substr(0, comma));
    if (comma == std::string_view::npos)
      return parts;
    list.remove_prefix(comma + 1);
  }
}

} // namespace

pg_result_of<std::string> look_up_hosts(const std::string& conninfo, deadline until) {
  PQconninfoOption* options = PQconninfoParse(conninfo.c_str(), nullptr);
  std::string hosts_given;
  std::string ports_given;
  bool has_addresses = false;
  for (const auto* o = options; o != nullptr && o->keyword != nullptr; ++o) {
    const std::string_view keyword = o->keyword;
    const std::string_view value = o->val == nullptr ? std::string_view{} : o->val;
    if (keyword == "host")
      hosts_given = value;
    else if (keyword == "port")
      ports_given = value;
    else if (keyword == "hostaddr")
      has_addresses = !value.empty();
  }
  PQconninfoFree(options);
  const auto hosts = split_list(hosts_given);
  const auto ports = split_list(ports_given);
  bool anything = false;
  for (const auto& host : hosts)
    anything = anything || !needs_no_lookup(host);
  if (!anything || has_addresses)
    return std::string{};

  // One entry for each address; libpq tries them in this order and checks certificates by `host`.
  std::string host_list;
  std::string address_list;
  std::string port_list;
  const auto add = [&](const std::string& host, const std::string& address, std::size_t i) {
    const char* comma = host_list.empty() ? "" : ",";
    host_list += comma + host;
    address_list += comma + address;
    port_list += comma + (ports.size() == 1 ? ports[0] : ports[i]);
  };
  std::optional<pg_error> last;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    if (needs_no_lookup(hosts[i])) {
      add(hosts[i], "", i); // an empty address makes libpq use the host as it is
      continue;
    }
    auto addresses = look_up(hosts[i], until);
    if (addresses)
      for (const auto& address : *addresses)
        add(hosts[i], address, i);
    else if (!last || addresses.error().kind == trouble::transient)
      last = std::move(addresses).error();
  }
  if (host_list.empty())
    return tl::unexpected<pg_error>{*last};
  std::string out;
  append_option(out, "host", host_list);
  append_option(out, "hostaddr", address_list);
  append_option(out, "port", port_list);
  return " " + out;
}

} // namespace busbar::postgres
