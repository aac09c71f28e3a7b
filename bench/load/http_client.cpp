#include "bench/load/http_client.hpp"

#include <sys/socket.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace busbar::bench {
namespace {

constexpr std::size_t line_bytes_max = 64 * 1024;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == y; });
}

error malformed(const std::string& what) {
  return {errc::corrupt, "malformed HTTP response: " + what};
}

} // namespace

bool http_response::has_header(std::string_view name) const {
  std::string_view rest = head;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    if (same_name(line.substr(0, line.find(':')), name))
      return true;
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  return false;
}

std::string http_response::header(std::string_view name) const {
  std::string_view rest = head;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && same_name(line.substr(0, colon), name)) {
      const std::string_view value = line.substr(colon + 1);
      const std::size_t first = value.find_first_not_of(" \t\r");
      if (first == std::string_view::npos)
        return {};
      return std::string{value.substr(first, value.find_last_not_of(" \t\r") + 1 - first)};
    }
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  return {};
}

result<http_response> http_client::get(const std::string& path, const body_sink& sink) {
  const std::string request = "GET " + path + " HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: */*\r\n\r\n";
  const bool reused = static_cast<bool>(connection_);
  auto response = exchange(request, sink);
  // A server may close a kept connection at any moment; that is no failure, only a reason to open
  // a new one. Nothing of the response has been seen then.
  if (!response && reused && response.error().code == errc::not_found)
    response = exchange(request, sink);
  if (!response || same_name(response->header("connection"), "close"))
    connection_.reset();
  return response;
}

result<http_response> http_client::exchange(const std::string& request, const body_sink& sink) {
  if (!connection_) {
    auto connection = connect_blocking(port_, patience_s_);
    if (!connection)
      return fail(connection.error());
    connection_ = std::move(*connection);
    begin_ = end_ = 0;
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
  auto line = read_line();
  if (!line)
    return fail(line.error());
  const std::string status_line = *line;
  const std::string_view code =
      std::string_view{status_line}.substr(std::min<std::size_t>(status_line.size(), 9), 3);
  if (!status_line.starts_with("HTTP/1.1 ") ||
      std::from_chars(code.data(), code.data() + code.size(), response.status).ec != std::errc{})
    return fail(malformed(status_line));
  for (;;) {
    line = read_line();
    if (!line)
      return fail(malformed("the head ends early"));
    if (line->empty())
      break;
    response.head += *line + '\n';
  }
  if (auto done = read_body(response, sink); !done)
    return fail(done.error());
  return response;
}

result<void> http_client::read_body(http_response& response, const body_sink& sink) {
  if (response.status == 204 || response.status == 304)
    return {};
  if (same_name(response.header("transfer-encoding"), "chunked"))
    return read_chunked(response, sink);
  const std::string length = response.header("content-length");
  std::uint64_t bytes = 0;
  if (std::from_chars(length.data(), length.data() + length.size(), bytes).ec != std::errc{})
    return fail(malformed("neither content-length nor chunked"));
  return take(response, bytes, sink);
}

result<void> http_client::read_chunked(http_response& response, const body_sink& sink) {
  for (;;) {
    const auto line = read_line();
    if (!line)
      return fail(malformed("the body ends early"));
    std::uint64_t bytes = 0;
    if (std::from_chars(line->data(), line->data() + line->size(), bytes, 16).ec != std::errc{})
      return fail(malformed("chunk size " + *line));
    if (auto done = take(response, bytes, sink); !done)
      return done;
    const auto end = read_line(); // closes the chunk; after the last one, the (empty) trailer
    if (!end || !end->empty())
      return fail(malformed("chunk without an end"));
    if (bytes == 0)
      return {};
  }
}

result<void> http_client::take(http_response& response, std::uint64_t bytes,
                               const body_sink& sink) {
  while (bytes > 0) {
    if (begin_ == end_)
      if (auto done = fill(); !done)
        return fail(malformed("the body ends early"));
    if (response.first_body_ns == 0)
      response.first_body_ns = wall_ns();
    const std::size_t here =
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes, end_ - begin_));
    const std::string_view piece{buffer_.data() + begin_, here};
    if (sink)
      sink(piece);
    if (response.body_start.size() < kept_bytes_max)
      response.body_start.append(piece.substr(0, kept_bytes_max - response.body_start.size()));
    response.body_bytes += here;
    begin_ += here;
    bytes -= here;
  }
  return {};
}

result<std::string> http_client::read_line() {
  std::string line;
  for (;;) {
    if (begin_ == end_)
      if (auto done = fill(); !done)
        return fail(done.error());
    const char c = buffer_[begin_++];
    if (c == '\n') {
      if (line.ends_with('\r'))
        line.pop_back();
      return line;
    }
    line += c;
    if (line.size() > line_bytes_max)
      return fail(malformed("a line without end"));
  }
}

result<void> http_client::fill() {
  for (;;) {
    const ssize_t got = ::recv(connection_.get(), buffer_.data(), buffer_.size(), 0);
    if (got > 0) {
      begin_ = 0;
      end_ = static_cast<std::size_t>(got);
      return {};
    }
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0 && errno == EAGAIN)
      return fail(errc::unavailable, "no answer in " + std::to_string(patience_s_) + " s");
    return fail(errc::not_found, "the server has closed the connection");
  }
}

} // namespace busbar::bench
