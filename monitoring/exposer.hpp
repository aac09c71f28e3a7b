// monitoring/exposer.hpp: the HTTP port from which Prometheus scrapes the series of metrics.hpp.
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <memory>

namespace prometheus {
class Collectable;
class Exposer;
} // namespace prometheus

namespace busbar::monitoring {

/// Serves `GET /metrics` on all IPv4 addresses.
/// Life: start() opens the port, the destructor closes it and joins the two threads behind it.
/// Threads: any; a scrape never blocks those who count.
class exposer {
public:
  /// Port 0 takes any free port. Borrows nothing: the exposer keeps only a weak reference, and a
  /// scrape after the registry's end is empty.
  static result<std::unique_ptr<exposer>>
  start(std::uint16_t port, const std::shared_ptr<prometheus::Collectable>& registry);

  ~exposer();
  exposer(const exposer&) = delete;
  exposer& operator=(const exposer&) = delete;

  std::uint16_t port() const noexcept { return port_; } ///< The port that was opened.

private:
  exposer(std::unique_ptr<prometheus::Exposer> server, std::uint16_t port);

  std::unique_ptr<prometheus::Exposer> server_;
  std::uint16_t port_;
};

} // namespace busbar::monitoring
