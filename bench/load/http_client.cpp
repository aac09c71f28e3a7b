#include "bench/load/http_client.hpp"

#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>

namespace busbar::bench {

result<http_response> http_client::ask(std::string_view method, const std::string& path,
                                       const body_sink& sink) {
  const std::string request =
      std::string{method} + ' ' + path + " HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: */*\r\n\r\n";
  const bool reused = static_cast<bool>(connection_);
  auto response = exchange(request, sink);
  // A server may close a kept connection at any moment; that is no failure, only a reason to open
  // a new one. Nothing of the response has been seen then.
  if (!response && reused && response.error().code == errc::not_found)
    response = exchange(request, sink);
  if (!response || response->header("connection") == "close")
    connection_.reset();
  return response;
}

result<http_response> http_client::exchange(const std::string& request, const body_sink& sink) {
  if (!connection_) {
    auto connection = connect_blocking(port_, patience_s_);
    if (!connection)
      return fail(connection.error());
    connection_ = std::move(*connection);
  }
  const ssize_t sent = ::send(connection_.get(), request.data(), request.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(request.size())) {
    connection_.reset();
    return fail(errc::not_found, "the server has closed the connection");
  }
  auto response = read_response(sink);
  if (!response)
    connection_.reset();
  return response;
}

result<http_response> http_client::read_response(const body_sink& sink) {
  http_response response;
  response_reader reader;
  const auto keep = [&response, &sink](std::string_view piece) {
    if (response.first_body_ns == 0)
      response.first_body_ns = wall_ns();
    if (sink)
      sink(piece);
    if (response.body_start.size() < kept_bytes_max)
      response.body_start.append(piece.substr(0, kept_bytes_max - response.body_start.size()));
  };
  while (!reader.complete()) {
    const auto bytes = receive();
    if (!bytes && bytes.error().code == errc::not_found && reader.begun())
      return fail(errc::corrupt, "the response ends early");
    if (!bytes)
      return fail(bytes.error());
    const auto used = reader.take(*bytes, keep);
    if (!used)
      return fail(used.error());
    if (*used < bytes->size())
      return fail(errc::corrupt, "the server says more than was asked");
  }
  response.status = reader.status();
  response.head = reader.head();
  response.body_bytes = reader.body_bytes();
  return response;
}

result<std::string_view> http_client::receive() {
  for (;;) {
    const ssize_t got = ::recv(connection_.get(), buffer_.data(), buffer_.size(), 0);
    if (got > 0)
      return std::string_view{buffer_.data(), static_cast<std::size_t>(got)};
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0 && errno == EAGAIN)
      return fail(errc::unavailable, "no answer in " + std::to_string(patience_s_) + " s");
    return fail(errc::not_found, "the server has closed the connection");
  }
}

} // namespace busbar::bench
