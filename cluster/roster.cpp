#include "cluster/roster.hpp"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <memory>
#include <mutex>
#include <set>
#include <system_error>
#include <utility>

namespace busbar::cluster {
namespace {

using std::chrono::steady_clock;

constexpr int look_ups_max = 32;
constexpr std::chrono::seconds look_up_time{5};

/// What the thread that asks the resolver and the one that waits for it share. The first may
/// outlive everything else: getaddrinfo() cannot be called back.
struct question {
  interrupt answered;
  std::mutex mutex;
  std::vector<std::string> addresses;
  std::string trouble;
};

/// Of the process, as its resolver is.
std::atomic<int>& under_way() {
  static std::atomic<int> count{0};
  return count;
}

/// "address:port" of each, or the resolver's trouble.
result<std::vector<std::string>> resolve(const host_port& where, int flags) {
  addrinfo hints{};
  hints.ai_flags = flags | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(where.host.c_str(), where.port.c_str(), &hints, &found))
    return fail(errc::unavailable, ::gai_strerror(code));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all{found, &::freeaddrinfo};
  std::set<std::string> out;
  for (const auto* one = all.get(); one != nullptr; one = one->ai_next) {
    char host[NI_MAXHOST];
    if (::getnameinfo(one->ai_addr, one->ai_addrlen, host, sizeof host, nullptr, 0,
                      NI_NUMERICHOST) == 0)
      out.insert(join_address(host, where.port));
  }
  return std::vector<std::string>{out.begin(), out.end()};
}

} // namespace

result<host_port> split_address(std::string_view address) {
  const auto wrong = [&] {
    return fail(errc::invalid_argument,
                "'" + std::string{address} + "' is not host:port with a port from 1 to 65535");
  };
  const auto colon = address.rfind(':');
  if (colon == std::string_view::npos || address.size() > 300)
    return wrong();
  auto host = address.substr(0, colon);
  const auto port = address.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find_first_of(":[]") != std::string_view::npos)
    return wrong();
  const auto is_named = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view{".-_:%"}.find(c) != std::string_view::npos;
  };
  unsigned number = 0;
  const auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (host.empty() || !std::ranges::all_of(host, is_named) || problem != std::errc{} ||
      end != port.data() + port.size() || number == 0 || number > 65'535)
    return wrong();
  return host_port{std::string{host}, std::string{port}};
}

std::string join_address(std::string_view host, std::string_view port) {
  const bool is_v6 = host.find(':') != std::string_view::npos;
  return (is_v6 ? "[" : "") + std::string{host} + (is_v6 ? "]:" : ":") + std::string{port};
}

result<std::vector<std::string>> look_up(const std::string& address, deadline until,
                                         const interrupt& stop) {
  const auto where = split_address(address);
  if (!where)
    return fail(where.error());
  if (auto numeric = resolve(*where, AI_NUMERICHOST))
    return numeric;
  const auto wrong = [&](const std::string& why) {
    return fail(errc::unavailable, "look up " + where->host + ": " + why);
  };
  if (++under_way() > look_ups_max) {
    --under_way();
    return wrong("the resolver hangs");
  }
  auto shared = std::make_shared<question>();
  try {
    std::thread{[shared, where = *where] {
      auto found = resolve(where, 0);
      --under_way();
      const std::lock_guard lock{shared->mutex};
      if (found)
        shared->addresses = std::move(*found);
      else
        shared->trouble = found.error().message;
      shared->answered.raise();
    }}.detach();
  } catch (const std::system_error&) {
    --under_way();
    return wrong("no thread");
  }
  switch (wait_for(shared->answered.descriptor(), POLLIN, until, &stop)) {
  case woken_by::time:
    return wrong("no answer in time");
  case woken_by::interrupt:
    return wrong("interrupted");
  case woken_by::descriptor:
    break;
  }
  const std::lock_guard lock{shared->mutex};
  if (!shared->trouble.empty() || shared->addresses.empty())
    return wrong(shared->trouble.empty() ? "it has no address" : shared->trouble);
  return std::move(shared->addresses);
}

roster::roster(roster_settings settings, std::string self,
               std::function<void(std::vector<std::string>)> on_members)
    : settings_{std::move(settings)}, self_{std::move(self)}, on_members_{std::move(on_members)} {
  if (settings_.dns.empty())
    tell(settings_.addresses);
  else
    thread_ = std::thread{[this] { keep_looking(); }};
}

roster::~roster() {
  stop_.raise();
  if (thread_.joinable())
    thread_.join();
}

void roster::tell(std::vector<std::string> addresses) {
  std::erase(addresses, self_);
  if (addresses.size() > members_max)
    addresses.resize(members_max);
  on_members_(std::move(addresses));
}

void roster::keep_looking() {
  std::vector<std::string> known;
  do {
    auto found = look_up(settings_.dns, steady_clock::now() + look_up_time, stop_);
    if (found && *found != known) {
      known = *found;
      tell(std::move(*found));
    }
  } while (!stop_.wait_until(steady_clock::now() + settings_.refresh));
}

} // namespace busbar::cluster
