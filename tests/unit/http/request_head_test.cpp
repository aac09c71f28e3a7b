#include "http/request_head.hpp"

#include <gtest/gtest.h>

#include <string>

namespace busbar::http {
namespace {

constexpr std::string_view host = "host: a\r\n";

/// The status a head is refused with; 0 if it is taken, -1 if it is incomplete.
int status_of(std::string_view bytes, head_limits limits = {}) {
  head_scanner scanner;
  const auto length = scanner.scan(bytes, limits);
  if (!length)
    return length.error();
  if (*length == 0)
    return -1;
  const auto head = parse_request_head(bytes.substr(0, *length));
  return head ? 0 : head.error();
}

int status_of_headers(std::string_view headers) {
  return status_of("GET / HTTP/1.1\r\n" + std::string{headers} + "\r\n");
}

TEST(RequestHead, ReadsWhatItNeeds) {
  const std::string bytes = "GET /v1/shape?a=b HTTP/1.1\r\nHOST: x:1\r\nOrigin:  http://o \r\n"
                            "If-None-Match: \"h:0_0:1_2\"\r\nX-Request-Id: abc\r\n"
                            "Content-Length: 12\r\n"
                            "Access-Control-Request-Headers: x-a, x-b\r\nother: \t\r\n\r\nrest";
  head_scanner scanner;
  const auto length = scanner.scan(bytes, {});
  ASSERT_EQ(length.value(), bytes.size() - 4);
  const auto head = parse_request_head(std::string_view{bytes}.substr(0, *length)).value();
  EXPECT_EQ(head.verb, method::get);
  EXPECT_EQ(head.target, "/v1/shape?a=b");
  EXPECT_TRUE(head.http_1_1);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_EQ(head.host, "x:1");
  EXPECT_EQ(head.origin, "http://o");
  EXPECT_EQ(head.if_none_match.text(), "\"h:0_0:1_2\"");
  EXPECT_EQ(head.request_id, "abc");
  EXPECT_EQ(head.content_length, 12u);
  EXPECT_EQ(head.preflight_headers, "x-a, x-b");
}

TEST(RequestHead, IsFoundHoweverItsBytesArrive) {
  const std::string bytes = "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n";
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    head_scanner scanner;
    EXPECT_EQ(scanner.scan(std::string_view{bytes}.substr(0, cut), {}).value(), 0u) << cut;
    EXPECT_EQ(scanner.scan(bytes, {}).value(), bytes.size()) << cut;
  }
  head_scanner byte_by_byte;
  for (std::size_t n = 1; n < bytes.size(); ++n)
    ASSERT_EQ(byte_by_byte.scan(std::string_view{bytes}.substr(0, n), {}).value(), 0u) << n;
  EXPECT_EQ(byte_by_byte.scan(bytes, {}).value(), bytes.size());
}

TEST(RequestHead, KeepAliveFollowsVersionAndConnectionHeader) {
  const auto keeps = [](std::string_view version, std::string_view connection) {
    std::string bytes = "GET / HTTP/" + std::string{version} + "\r\nhost: a\r\n";
    if (!connection.empty())
      bytes += "connection: " + std::string{connection} + "\r\n";
    bytes += "\r\n";
    return parse_request_head(bytes).value().keep_alive;
  };
  EXPECT_TRUE(keeps("1.1", ""));
  EXPECT_FALSE(keeps("1.0", ""));
  EXPECT_TRUE(keeps("1.0", "Keep-Alive"));
  EXPECT_FALSE(keeps("1.1", "Close"));
  EXPECT_FALSE(keeps("1.1", "foo, close , keep-alive"));
  EXPECT_TRUE(keeps("1.1", "upgrade"));
}

TEST(RequestHead, ALineTooLongIsTooLongHoweverItEnds) {
  const head_limits limits{20, 30, 2};
  const std::string line = "GET / HTTP/1.1\r\n";
  for (const auto* end : {"\r\n", "\n", ""})
    EXPECT_EQ(status_of(line + "x: " + std::string(40, 'a') + end, limits), 431);
  EXPECT_EQ(status_of(std::string(40, 'a') + "\n", limits), 414);
}

TEST(RequestHead, OverLongPartsAreToldApart) {
  const head_limits limits{20, 30, 2};
  EXPECT_EQ(status_of("GET /a HTTP/1.1\r\nhost: a\r\n\r\n", limits), 0);
  EXPECT_EQ(status_of("GET /aaaaaa HTTP/1.1\r\nhost: a\r\n\r\n", limits), 0) << "exactly 20";
  EXPECT_EQ(status_of("GET /aaaaaaa HTTP/1.1\r\nhost: a\r\n\r\n", limits), 414);
  EXPECT_EQ(status_of("GET /aaaaaaaaaaaaaaaaaaaaa", limits), 414) << "before its end arrives";
  const std::string line = "GET / HTTP/1.1\r\n";
  EXPECT_EQ(status_of(line + "x: " + std::string(27, 'a') + "\r\nhost: a\r\n\r\n", limits), 0);
  EXPECT_EQ(status_of(line + "x: " + std::string(28, 'a') + "\r\nhost: a\r\n\r\n", limits), 431);
  EXPECT_EQ(status_of(line + "x: " + std::string(40, 'a'), limits), 431);
  EXPECT_EQ(status_of(line + "a: 1\r\nb: 1\r\nhost: a\r\n\r\n", limits), 431);
}

TEST(RequestHead, FiftyHeadersFitAndNoMore) {
  std::string headers{host};
  for (int i = 1; i < 50; ++i)
    headers += "x: y\r\n";
  EXPECT_EQ(status_of_headers(headers), 0);
  EXPECT_EQ(status_of_headers(headers + "x: y\r\n"), 431);
}

TEST(RequestHead, GarbageIsRefusedAtItsFirstByte) {
  EXPECT_EQ(status_of("\x16\x03\x01"), 400) << "a TLS hello";
  EXPECT_EQ(status_of("\n"), 400);
  EXPECT_EQ(status_of(" GET"), 400);
}

TEST(RequestHead, MalformedRequestLinesAreRefused) {
  for (const auto* line :
       {"GET", "GET /", "GET  /", "GET / HTTP/1.1 ", "GET / HTTP/1", "GET /a b HTTP/1.1",
        "GET /\x01 HTTP/1.1", "G(T / HTTP/1.1", "GET  HTTP/1.1", "GET / http/1.1"})
    EXPECT_EQ(status_of(std::string{line} + "\r\nhost: a\r\n\r\n"), 400) << line;
  EXPECT_EQ(status_of("GET / HTTP/2.0\r\nhost: a\r\n\r\n"), 505);
  EXPECT_EQ(status_of("PRI * HTTP/2.0\r\n\r\n"), 505);
}

TEST(RequestHead, WhatSmugglesRequestsIsRefused) {
  const std::string h{host};
  EXPECT_EQ(status_of_headers(h + "content-length: 1\r\ntransfer-encoding: chunked\r\n"), 400);
  EXPECT_EQ(status_of_headers(h + "content-length: 1\r\ncontent-length: 1\r\n"), 400);
  EXPECT_EQ(status_of_headers(h + "content-length: 1, 1\r\n"), 400);
  EXPECT_EQ(status_of_headers(h + "content-length: -1\r\n"), 400);
  EXPECT_EQ(status_of_headers(h + "content-length: +1\r\n"), 400);
  EXPECT_EQ(status_of_headers(h + "content-length:\r\n"), 400);
  EXPECT_EQ(status_of_headers(h + "content-length: 99999999999999999999\r\n"), 400);
  EXPECT_EQ(status_of_headers(h + "transfer-encoding: gzip, chunked\r\n"), 400);
  EXPECT_EQ(status_of_headers(h + "transfer-encoding: xchunked\r\n"), 400);
  EXPECT_EQ(status_of_headers(h + "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
            400);
  EXPECT_EQ(status_of_headers(h + "content-length : 1\r\n"), 400) << "space before the colon";
  EXPECT_EQ(status_of_headers(h + "x: a\r\n b\r\n"), 400) << "obs-fold";
  EXPECT_EQ(status_of_headers(h + "\tx: a\r\n"), 400);
  EXPECT_EQ(status_of_headers(h + "x: a\nb: c\r\n"), 400) << "bare LF";
  EXPECT_EQ(status_of_headers(h + "x: a\rb: c\r\n"), 400) << "bare CR";
  EXPECT_EQ(status_of_headers(h + std::string{"x: a\0b\r\n", 8}), 400) << "zero byte";
  EXPECT_EQ(status_of_headers(h + "no colon\r\n"), 400);
  EXPECT_EQ(status_of_headers(h + ": empty\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n"), 400);
}

TEST(RequestHead, Http11NeedsExactlyOneHost) {
  EXPECT_EQ(status_of_headers(""), 400);
  EXPECT_EQ(status_of_headers("host: a\r\nhost: a\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\n\r\n"), 0);
}

TEST(RequestHead, ListElementsComeWithoutSpaces) {
  std::string_view list = " a ,b,, c";
  EXPECT_EQ(next_list_element(list), "a");
  EXPECT_EQ(next_list_element(list), "b");
  EXPECT_EQ(next_list_element(list), "");
  EXPECT_EQ(next_list_element(list), "c");
  EXPECT_TRUE(list.empty());
}

} // namespace
} // namespace busbar::http
