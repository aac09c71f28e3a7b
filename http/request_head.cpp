#include "http/request_head.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace busbar::http {

namespace {

constexpr auto token_bytes = [] {
  std::array<bool, 256> table{};
  for (unsigned char c = '0'; c <= '9'; ++c)
    table[c] = true;
  for (unsigned char c = 'a'; c <= 'z'; ++c)
    table[c] = true;
  for (unsigned char c = 'A'; c <= 'Z'; ++c)
    table[c] = true;
  for (const char c : std::string_view{"!#$%&'*+-.^_`|~"})
    table[static_cast<unsigned char>(c)] = true;
  return table;
}();

bool is_token_byte(char c) noexcept {
  return token_bytes[static_cast<unsigned char>(c)];
}

method method_of(std::string_view name) noexcept {
  if (name == "GET")
    return method::get;
  if (name == "HEAD")
    return method::head;
  if (name == "POST")
    return method::post;
  if (name == "DELETE")
    return method::delete_;
  if (name == "OPTIONS")
    return method::options;
  return method::other;
}

parsed<void> parse_request_line(std::string_view line, request_head& head) {
  const auto space = line.find(' ');
  const auto last = line.rfind(' ');
  if (space == std::string_view::npos || space == last || !is_token(line.substr(0, space)))
    return tl::unexpected{400};
  head.verb = method_of(line.substr(0, space));
  head.target = line.substr(space + 1, last - space - 1);
  const bool clean = std::all_of(head.target.begin(), head.target.end(), [](char c) {
    return static_cast<unsigned char>(c) > ' ' && c != '\x7f';
  });
  if (head.target.empty() || !clean)
    return tl::unexpected{400};
  const auto version = line.substr(last + 1);
  if (!version.starts_with("HTTP/") || version.size() != 8)
    return tl::unexpected{400};
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    return tl::unexpected{505};
  head.http_1_1 = version == "HTTP/1.1";
  head.keep_alive = head.http_1_1;
  return {};
}

/// What only a look at all headers can tell.
struct seen_headers {
  bool host = false;
  bool content_length = false;
  bool transfer_encoding = false;
  bool authorization = false;
};

parsed<void> parse_connection(std::string_view value, request_head& head) {
  bool close = false;
  while (!value.empty()) {
    const auto option = next_list_element(value);
    close = close || equals_ignoring_case(option, "close");
    if (equals_ignoring_case(option, "keep-alive"))
      head.keep_alive = true;
  }
  if (close)
    head.keep_alive = false;
  return {};
}

parsed<void> take_header(std::string_view name, std::string_view value, request_head& head,
                         seen_headers& seen) {
  switch (name.size()) {
  case 4:
    if (equals_ignoring_case(name, "host")) {
      if (std::exchange(seen.host, true))
        return tl::unexpected{400};
      head.host = value;
    }
    return {};
  case 6:
    if (equals_ignoring_case(name, "origin"))
      head.origin = value;
    else if (equals_ignoring_case(name, "expect"))
      head.expects_continue = equals_ignoring_case(value, "100-continue");
    return {};
  case 10:
    if (equals_ignoring_case(name, "connection"))
      return parse_connection(value, head);
    return {};
  case 11:
    if (equals_ignoring_case(name, "traceparent"))
      head.traceparent = value;
    return {};
  case 12:
    if (equals_ignoring_case(name, "x-request-id"))
      head.request_id = value;
    return {};
  case 13:
    if (equals_ignoring_case(name, "if-none-match"))
      head.if_none_match.add(value);
    if (equals_ignoring_case(name, "authorization")) {
      head.authorized_twice = std::exchange(seen.authorization, true);
      head.authorization = head.authorized_twice ? std::string_view{} : value;
    }
    return {};
  case 14:
    if (equals_ignoring_case(name, "content-length")) {
      if (std::exchange(seen.content_length, true) || value.empty() ||
          value.find_first_not_of("0123456789") != std::string_view::npos)
        return tl::unexpected{400};
      const char* end = value.data() + value.size();
      if (std::from_chars(value.data(), end, head.content_length).ec != std::errc{})
        return tl::unexpected{400};
    }
    return {};
  case 15:
    if (equals_ignoring_case(name, "accept-encoding"))
      head.accept_encoding.add(value);
    return {};
  case 17:
    if (equals_ignoring_case(name, "transfer-encoding")) {
      if (std::exchange(seen.transfer_encoding, true) || !equals_ignoring_case(value, "chunked"))
        return tl::unexpected{400};
      head.chunked = true;
    }
    return {};
  case 30:
    if (equals_ignoring_case(name, "access-control-request-headers"))
      head.preflight_headers = value;
    return {};
  default:
    return {};
  }
}

parsed<void> parse_header_line(std::string_view line, request_head& head, seen_headers& seen) {
  // A name must begin the line (no obs-fold) and touch its colon.
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
    return tl::unexpected{400};
  const auto value = trim(line.substr(colon + 1));
  const bool clean = std::all_of(value.begin(), value.end(), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' ? c != '\x7f' : c == '\t';
  });
  if (!clean)
    return tl::unexpected{400};
  return take_header(line.substr(0, colon), value, head, seen);
}

} // namespace

bool is_token(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_byte);
}

bool equals_ignoring_case(std::string_view text, std::string_view lower) noexcept {
  return text.size() == lower.size() &&
         std::equal(text.begin(), text.end(), lower.begin(), [](char c, char expected) {
           return (c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c) == expected;
         });
}

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

std::string_view next_list_element(std::string_view& list) noexcept {
  const auto comma = std::min(list.find(','), list.size());
  const auto element = trim(list.substr(0, comma));
  list.remove_prefix(std::min(comma + 1, list.size()));
  return element;
}

parsed<std::size_t> head_scanner::scan(std::string_view bytes, const head_limits& limits) {
  while (true) {
    const bool first = lines_ == 0;
    const std::size_t line_max = first ? limits.request_line_bytes_max : limits.header_bytes_max;
    const int too_long = first ? 414 : 431;
    // What cannot begin a request is refused at once, not after a timeout.
    if (first && line_ < bytes.size() && bytes[line_] != '\r' && !is_token_byte(bytes[line_]))
      return tl::unexpected{400};
    const char* from = bytes.data() + scanned_;
    const auto* newline =
        static_cast<const char*>(std::memchr(from, '\n', bytes.size() - scanned_));
    if (!newline) {
      scanned_ = static_cast<std::uint32_t>(bytes.size());
      if (bytes.size() - line_ > line_max + 1)
        return tl::unexpected{too_long};
      return 0;
    }
    const auto end = static_cast<std::size_t>(newline - bytes.data());
    // As long as it was without its end: the same is said however the bytes arrive.
    if (end - line_ > line_max + 1)
      return tl::unexpected{too_long};
    if (end == line_ || bytes[end - 1] != '\r')
      return tl::unexpected{400};
    const std::size_t length = end - 1 - line_;
    scanned_ = static_cast<std::uint32_t>(end + 1);
    line_ = scanned_;
    if (length == 0)
      return first ? parsed<std::size_t>{tl::unexpected{400}} : end + 1;
    if (lines_ > limits.headers_max)
      return tl::unexpected{431};
    ++lines_;
  }
}

parsed<request_head> parse_request_head(std::string_view bytes) {
  request_head head;
  seen_headers seen;
  bool first = true;
  while (!bytes.empty()) {
    const auto end = bytes.find("\r\n");
    if (end == std::string_view::npos)
      return tl::unexpected{400};
    const auto line = bytes.substr(0, end);
    bytes.remove_prefix(end + 2);
    if (line.empty())
      break;
    const auto taken = first ? parse_request_line(line, head) : parse_header_line(line, head, seen);
    if (!taken)
      return tl::unexpected{taken.error()};
    first = false;
  }
  if (first || !bytes.empty())
    return tl::unexpected{400};
  if (seen.content_length && seen.transfer_encoding)
    return tl::unexpected{400};
  if (head.http_1_1 ? !seen.host : head.chunked)
    return tl::unexpected{400};
  return head;
}

} // namespace busbar::http
