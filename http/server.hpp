// http/server.hpp: the HTTP/1.1 server of the Shape API (spec shape-protocol).
#pragma once

#include "actors/client_session.hpp"
#include "base/result.hpp"
#include "monitoring/metrics.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gate/gatekeeper.hpp"

namespace busbar::http {

struct server_settings {
  std::string address = "0.0.0.0";
  std::uint16_t port = 3000;
  std::size_t io_threads = 1;
  std::optional<std::string> secret;           ///< nullopt = insecure mode.
  std::vector<std::string> more_secrets = {};  ///< That are as good.
  gate::gatekeeper* gate = nullptr;            ///< Borrowed; null: there are no tokens.
  bool allow_delete = false;                   ///< DELETE /v1/shape.
  bool compression = true;                     ///< Bodies, for clients that accept it.
  std::chrono::milliseconds long_poll{20'000}; ///< For cursors; the session keeps the time.
  std::chrono::seconds sse_lifetime{60};
  std::chrono::seconds sse_keepalive{21};
  std::chrono::seconds send_timeout{30};       ///< A write that makes no progress this long: drop.
  std::chrono::seconds idle_timeout{60};       ///< Keep-alive connection between requests.
  std::chrono::seconds head_timeout{10};       ///< From a request's first byte to its head's end.
  std::chrono::seconds body_timeout{60};       ///< From a head's end to its body's.
  std::chrono::seconds readiness_timeout{5};   ///< A request for a new shape waits for the service.
  std::size_t request_line_bytes_max = 10'000; ///< Longer: 414.
  std::size_t header_bytes_max = 10'000;       ///< Of one header line.
  std::size_t headers_max = 50;
  std::size_t connections_max = 200'000;
  std::size_t initial_requests_max = 300; ///< Admission, class "initial"; beyond: 503.
  std::size_t existing_requests_max = 10'000;
  std::chrono::seconds cache_max_age{60};
  std::chrono::seconds cache_stale_age{300};
  std::size_t body_file_bytes_max = 16u << 20; ///< Of hot bodies kept as files (body_files.hpp).
  /// Of bytes that clients do not take: beyond it, who has taken nothing for longest is dropped.
  std::size_t held_bytes_max = 128u << 20;
  std::string version; ///< For the electric-server header.
  /// The members as JSON, for GET /v1/cluster; null: there is no such path. Any I/O thread.
  std::function<std::string()> cluster_report = nullptr;
};

/// Starts the session of one I/O thread. `post` runs a task on that thread; any thread may call it,
/// for as long as the session lives.
using post_function = std::function<void(std::function<void()>)>;
using session_factory = std::function<std::unique_ptr<client_session>(post_function post)>;

/// Listens from start() until stop(). Thread-safe.
class server {
public:
  /// errc::misconfigured if the address cannot be bound; the message says why.
  static result<std::unique_ptr<server>>
  start(server_settings settings, const session_factory& sessions, monitoring::metrics& metrics);
  virtual ~server() = default;

  virtual std::uint16_t port() const noexcept = 0; ///< The bound one, if settings said 0.

  /// No new connections; waiting readers are answered now; returns when all responses are written
  /// or `patience` has passed.
  virtual void drain(std::chrono::milliseconds patience) = 0;
  /// Closes everything and joins the I/O threads. The sessions are destroyed on them.
  virtual void stop() = 0;
};

} // namespace busbar::http
