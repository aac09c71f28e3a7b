#include "http/response_head.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace busbar::http {
namespace {

using testing::HasSubstr;
using testing::Not;

response_context context() {
  return {.date = "Sun, 22 Nov 2026 09:53:49 GMT",
          .server = "ElectricSQL/1",
          .origin = "",
          .request_id = "abcdefghijklmnopqrst"};
}

log_slice slice_at(log_offset requested, log_offset end) {
  log_slice slice;
  slice.handle = "H";
  slice.schema_json = std::make_shared<const std::string>(R"({"id":{"type":"int4"}})");
  slice.requested = requested;
  slice.end = end;
  slice.rest.finished = true;
  return slice;
}

std::string log_head(const log_slice& slice, read_mode mode, bool not_modified = false) {
  std::string text;
  head_writer head{text, not_modified ? 304 : 200, context(), cors::shape};
  add_log_headers(head, slice, mode, {}, mode.live ? "66909260" : "", 42, not_modified);
  head.end_streamed();
  return text;
}

// F68
TEST(ResponseHead, EveryResponseSaysWhoAnsweredAndToWhom) {
  std::string text;
  auto ctx = context();
  ctx.origin = "http://app.example";
  head_writer head{text, 200, ctx, cors::shape};
  head.end_with_length(3);
  EXPECT_EQ(text,
            "HTTP/1.1 200 OK\r\n"
            "date: Sun, 22 Nov 2026 09:53:49 GMT\r\n"
            "vary: accept-encoding, origin\r\n"
            "x-request-id: abcdefghijklmnopqrst\r\n"
            "electric-server: ElectricSQL/1\r\n"
            "access-control-allow-origin: http://app.example\r\n"
            "access-control-expose-headers: electric-cursor,electric-handle,electric-has-data,"
            "electric-offset,electric-schema,electric-up-to-date,electric-internal-known-error,"
            "electric-snapshot,retry-after,busbar-stale-since\r\n"
            "access-control-allow-methods: GET, POST, HEAD, DELETE, OPTIONS\r\n"
            "content-length: 3\r\n\r\n");
}

TEST(ResponseHead, WhatIsServedInAnOutageSaysSinceWhenAndIsSoonForgotten) {
  log_slice slice;
  slice.handle = "h";
  slice.requested = log_offset::start();
  read_mode mode;
  mode.stale_since = std::chrono::sys_seconds{std::chrono::seconds{1'795'391'629}};
  std::string text;
  head_writer head{text, 200, context(), cors::shape};
  add_log_headers(head, slice, mode, {}, "", 1, false);
  EXPECT_THAT(text, HasSubstr("busbar-stale-since: 2026-11-22T23:53:49Z\r\n"));
  EXPECT_THAT(text, HasSubstr("cache-control: public, max-age=5, stale-while-revalidate=5\r\n"));
}

TEST(ResponseHead, HealthTellsWhyAndSinceWhen) {
  EXPECT_EQ(health_body("starting", std::nullopt), R"({"status":"starting"})");
  const std::vector<condition> conditions{{.name = "storage"},
                                          {"stream", false, "timeout", "a \"b\""}};
  EXPECT_EQ(conditions_body("ok", conditions),
            R"({"status":"ok","conditions":[{"name":"storage","met":true},)"
            R"({"name":"stream","met":false,"reason":"timeout","message":"a \"b\""}]})");
  EXPECT_EQ(health_body("starting", outage{"timeout", "a \"b\"", {}, true}),
            R"({"status":"starting","cause":"timeout","message":"a \"b\"","misconfigured":true,)"
            R"("since":"1970-01-01T00:00:00Z"})");
}

TEST(ResponseHead, OtherRoutesAllowFewerMethods) {
  std::string text;
  head_writer{text, 404, context(), cors::elsewhere}.end_with_length(0);
  EXPECT_THAT(text, HasSubstr("access-control-allow-methods: GET, HEAD\r\n"));
  EXPECT_THAT(text, HasSubstr("access-control-allow-origin: *\r\n"));
}

TEST(ResponseHead, WhatEveryOriginMayReadIsKeptOnceForAll) {
  std::string text;
  head_writer{text, 200, context(), cors::shape}.end_with_length(0);
  EXPECT_THAT(text, HasSubstr("vary: accept-encoding\r\n"));
}

TEST(ResponseHead, NoContentDoesNotVary) {
  std::string text;
  head_writer{text, 204, context(), cors::shape}.end_without_body();
  EXPECT_THAT(text, Not(HasSubstr("vary")));
}

TEST(ResponseHead, Http10IsNotChunkedAndAnnouncesKeepAlive) {
  std::string text;
  auto ctx = context();
  ctx.http_1_1 = false;
  head_writer{text, 200, ctx, cors::shape}.end_streamed();
  EXPECT_TRUE(text.starts_with("HTTP/1.0 200 OK\r\n"));
  EXPECT_THAT(text, HasSubstr("connection: keep-alive\r\n"));
  EXPECT_THAT(text, Not(HasSubstr("transfer-encoding")));
}

TEST(ResponseHead, AClosingResponseSaysSo) {
  std::string text;
  auto ctx = context();
  ctx.keep_alive = false;
  head_writer{text, 200, ctx, cors::shape}.end_streamed();
  EXPECT_THAT(text, HasSubstr("connection: close\r\n"));
}

TEST(LogHeaders, InitialRead) {
  const auto text = log_head(slice_at(log_offset::start(), {0, 0}), {});
  EXPECT_THAT(text, HasSubstr("cache-control: public, max-age=604800, s-maxage=3600, "
                              "stale-while-revalidate=2629746\r\n"));
  EXPECT_THAT(text, HasSubstr("etag: \"H:-1:0_0\"\r\n"));
  EXPECT_THAT(text, HasSubstr("electric-handle: H\r\n"));
  EXPECT_THAT(text, HasSubstr("electric-schema: {\"id\":{\"type\":\"int4\"}}\r\n"));
  EXPECT_THAT(text, HasSubstr("electric-has-data: true\r\n"));
  EXPECT_THAT(text, HasSubstr("electric-offset: 0_0\r\n"));
  EXPECT_THAT(text, HasSubstr("content-type: application/json; charset=utf-8\r\n"));
  EXPECT_THAT(text, Not(HasSubstr("\r\nelectric-up-to-date: ")));
  EXPECT_THAT(text, Not(HasSubstr("\r\nelectric-cursor: ")));
}

TEST(LogHeaders, CatchUpThatIsUpToDate) {
  auto slice = slice_at({0, 0}, log_offset::snapshot_end());
  slice.up_to_date = true;
  const auto text = log_head(slice, {});
  EXPECT_THAT(text, HasSubstr("cache-control: public, max-age=60, stale-while-revalidate=300\r\n"));
  EXPECT_THAT(text, HasSubstr("etag: \"H:0_0:0_inf\"\r\n"));
  EXPECT_THAT(text, HasSubstr("electric-up-to-date: \r\n"));
}

TEST(LogHeaders, LongPollThatTimesOut) {
  auto slice = slice_at({7, 2}, {7, 2});
  slice.up_to_date = true;
  slice.no_changes = true;
  const auto text = log_head(slice, {.live = true});
  EXPECT_THAT(text, HasSubstr("cache-control: public, max-age=5, stale-while-revalidate=5\r\n"));
  EXPECT_THAT(text, HasSubstr("electric-cursor: 66909260\r\n"));
  EXPECT_THAT(text, HasSubstr("etag: \"H:7_2:7_2:42\"\r\n"));
  EXPECT_THAT(text, HasSubstr("electric-has-data: false\r\n"));
  EXPECT_THAT(text, Not(HasSubstr("\r\nelectric-schema: ")));
}

TEST(LogHeaders, Now) {
  auto slice = slice_at(log_offset::start(), {9, 0});
  slice.now = true;
  slice.up_to_date = true;
  slice.no_changes = true;
  const auto text = log_head(slice, {});
  EXPECT_THAT(text, HasSubstr("etag: \"H:now:9_0:42\"\r\n"));
  EXPECT_THAT(text, HasSubstr("cache-control: public, max-age=60, stale-while-revalidate=300\r\n"));
  EXPECT_THAT(text, HasSubstr("electric-schema"));
}

TEST(LogHeaders, SseHeadIsAlwaysUpToDateAndNeverHasASchema) {
  const auto text = log_head(slice_at({7, 2}, {7, 2}), {.live = true, .sse = true});
  EXPECT_THAT(text, HasSubstr("content-type: text/event-stream\r\n"));
  EXPECT_THAT(text, HasSubstr("cache-control: public, max-age=59\r\n"));
  EXPECT_THAT(text, HasSubstr("electric-up-to-date: \r\n"));
  EXPECT_THAT(text, HasSubstr("electric-cursor: "));
  EXPECT_THAT(text, HasSubstr("electric-offset: 7_2\r\n"));
  EXPECT_THAT(text, Not(HasSubstr("\r\nelectric-schema: ")));
}

TEST(LogHeaders, NotModifiedHasNoSchema) {
  auto slice = slice_at({7, 2}, {8, 0});
  slice.up_to_date = true;
  const auto text = log_head(slice, {}, true);
  EXPECT_THAT(text, HasSubstr("HTTP/1.1 304 Not Modified\r\n"));
  EXPECT_THAT(text, HasSubstr("etag: \"H:7_2:8_0\"\r\n"));
  EXPECT_THAT(text, HasSubstr("electric-up-to-date: \r\n"));
  EXPECT_THAT(text, HasSubstr("electric-has-data: true\r\n"));
  EXPECT_THAT(text, Not(HasSubstr("\r\nelectric-schema: ")));
}

// F64
TEST(ErrorHeaders, CachingOfErrorsDependsOnTheMethod) {
  std::string get;
  head_writer get_head{get, 400, context(), cors::shape};
  add_error_cache_headers(get_head, method::get);
  EXPECT_THAT(get, HasSubstr("cache-control: no-store\r\nsurrogate-control: no-store\r\n"));
  std::string post;
  head_writer post_head{post, 400, context(), cors::shape};
  add_error_cache_headers(post_head, method::post);
  EXPECT_THAT(post, HasSubstr("cache-control: no-cache\r\n"));
  EXPECT_THAT(post, Not(HasSubstr("surrogate-control")));
}

// F22
TEST(ErrorHeaders, AConflictIsBrieflyCacheable) {
  std::string known;
  head_writer known_head{known, 409, context(), cors::shape};
  add_gone_headers(known_head, "H2", method::get);
  EXPECT_THAT(known, HasSubstr("cache-control: public, max-age=60, must-revalidate\r\n"
                               "etag: \"H2::\"\r\nelectric-handle: H2\r\n"));
  std::string unknown;
  head_writer unknown_head{unknown, 409, context(), cors::shape};
  add_gone_headers(unknown_head, std::nullopt, method::get);
  EXPECT_THAT(unknown, HasSubstr("cache-control: public, max-age=1, must-revalidate\r\n"));
  EXPECT_THAT(unknown, Not(HasSubstr("electric-handle:")));
}

TEST(Bodies, ValidationErrorsAreGroupedByField) {
  EXPECT_EQ(
      validation_body({{"where", "At location 17: syntax error at or near \"x\""}}),
      R"({"message":"Invalid request","errors":{"where":["At location 17: syntax error at or near \"x\""]}})");
  EXPECT_EQ(validation_body({{"a", "1"}, {"a", "2"}, {"b", "3"}}),
            R"({"message":"Invalid request","errors":{"a":["1","2"],"b":["3"]}})");
}

TEST(Bodies, MessagesAreEscaped) {
  EXPECT_EQ(message_body("a \"b\""), R"({"message":"a \"b\""})");
}

// F69
TEST(Bodies, UpToDateMessageHasTheLsnAsDecimalText) {
  EXPECT_EQ(
      up_to_date_message(18446744073709551615u),
      R"({"headers":{"control":"up-to-date","global_last_seen_lsn":"18446744073709551615"}})");
}

TEST(Preflight, AllowsTheListedHeadersAndAnyOfTheClientsOwn) {
  EXPECT_EQ(allowed_headers("Content-Type, authorization,if-none-match,traceparent"),
            "Content-Type, authorization, if-none-match, traceparent");
  EXPECT_EQ(allowed_headers("x-tenant, cookie, X-Other"), "x-tenant, X-Other");
  EXPECT_EQ(allowed_headers("cookie, x-a b"), "");
  EXPECT_EQ(allowed_headers(""), "");
}

TEST(Date, IsInTheFixedFormat) {
  using namespace std::chrono_literals;
  EXPECT_EQ(http_date(std::chrono::sys_days{2026y / 11 / 22} + 9h + 53min + 49s),
            "Sun, 22 Nov 2026 09:53:49 GMT");
  EXPECT_EQ(http_date(std::chrono::sys_days{1994y / 11 / 6} + 8h + 49min + 37s),
            "Sun, 06 Nov 1994 08:49:37 GMT");
}

} // namespace
} // namespace busbar::http
