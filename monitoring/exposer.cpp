#include "monitoring/exposer.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <prometheus/exposer.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

namespace busbar::monitoring {
namespace {

/// Opens and closes a connection to our own port; that it fails is as good.
void knock(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::ignore = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  ::close(fd);
}

} // namespace

exposer::exposer(std::unique_ptr<prometheus::Exposer> server, std::uint16_t port)
    : server_{std::move(server)}, port_{port} {}

exposer::~exposer() {
  // The library's server looks at its stop flag only between two connections or every two seconds.
  // Knocking at the port until it has noticed makes the end of the process prompt.
  const std::jthread knocker{[port = port_](const std::stop_token& stopped) {
    std::mutex mutex;
    std::condition_variable_any ended;
    std::unique_lock lock{mutex};
    do {
      knock(port);
    } while (!ended.wait_for(lock, stopped, std::chrono::milliseconds{10},
                             [&stopped] { return stopped.stop_requested(); }));
  }};
  server_.reset();
}

result<std::unique_ptr<exposer>>
exposer::start(std::uint16_t port, const std::shared_ptr<prometheus::Collectable>& registry) {
  constexpr std::size_t threads = 2; // One may be busy with a slow scraper.
  try {
    auto server = std::make_unique<prometheus::Exposer>("0.0.0.0:" + std::to_string(port), threads);
    server->RegisterCollectable(registry, "/metrics");
    const auto ports = server->GetListeningPorts();
    const auto opened = ports.empty() ? port : static_cast<std::uint16_t>(ports.front());
    return std::unique_ptr<exposer>{new exposer{std::move(server), opened}};
  } catch (const std::exception&) {
    // The library only says that its server could not be made; the port is the one thing it needs.
    return fail(errc::misconfigured,
                "cannot open port " + std::to_string(port) +
                    " for metrics, another program may use it: set BUSBAR_METRICS_PORT to a free "
                    "port, or to 0 for no metrics",
                "BUSBAR_METRICS_PORT");
  }
}

} // namespace busbar::monitoring
