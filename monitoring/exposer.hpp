// monitoring/exposer.hpp: the HTTP port for those who operate the process: Prometheus' series, and
// whatever else main() wants to show there.
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace busbar::monitoring {

/// What `GET path` answers.
struct page {
  std::string path;
  std::string type; ///< content-type
  /// Made for each request, on a thread of the exposer's; two may run at once. What it borrows must
  /// outlive the exposer.
  std::function<std::string()> body;
};

/// Serves pages, compressed for whom it helps; 404 for everything else.
/// Life: start() opens the port, the destructor closes it and joins the threads behind it.
/// Threads: any; a request never blocks those who count.
class exposer {
public:
  /// Port 0 takes any free port.
  static result<std::unique_ptr<exposer>> start(const std::string& address, std::uint16_t port,
                                                std::vector<page> pages);

  ~exposer();
  exposer(const exposer&) = delete;
  exposer& operator=(const exposer&) = delete;

  std::uint16_t port() const noexcept { return port_; } ///< The port that was opened.

private:
  struct server;
  explicit exposer(std::unique_ptr<server> running);

  std::unique_ptr<server> server_;
  std::uint16_t port_ = 0;
};

} // namespace busbar::monitoring
