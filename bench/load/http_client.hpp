// bench/load/http_client.hpp: a blocking HTTP/1.1 client over loopback that keeps its connection
// and does not keep the bodies.
#pragma once

#include "base/result.hpp"
#include "bench/load/response_reader.hpp"
#include "bench/sockets.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::bench {

struct http_response {
  int status = 0;
  std::string head;
  std::string body_start; ///< The first bytes of the body, up to kept_bytes_max.
  std::uint64_t body_bytes = 0;
  std::int64_t first_body_ns = 0; ///< wall_ns() when the body's first byte came; 0 if none came.

  std::string header(std::string_view name) const { return std::string{header_in(head, name)}; }
};

/// One connection, opened when first needed and again when the server has closed it.
class http_client {
public:
  static constexpr std::size_t kept_bytes_max = 4096;
  using body_sink = response_reader::body_sink;

  http_client(std::uint16_t port, int patience_s) : port_{port}, patience_s_{patience_s} {}

  result<http_response> get(const std::string& path, const body_sink& sink = {}) {
    return ask("GET", path, sink);
  }
  result<http_response> ask(std::string_view method, const std::string& path,
                            const body_sink& sink = {});

private:
  result<http_response> exchange(const std::string& request, const body_sink& sink);
  result<http_response> read_response(const body_sink& sink);
  result<std::string_view> receive();

  std::uint16_t port_;
  int patience_s_;
  unique_fd connection_;
  std::vector<char> buffer_ = std::vector<char>(256 * 1024);
};

} // namespace busbar::bench
