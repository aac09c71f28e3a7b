// Clients that wait: long polls and SSE streams.
#include "tests/unit/http/scripted_server.hpp"

namespace busbar::http {
namespace {

using namespace testing_support;

class ServerLive : public ScriptedServer {
protected:
  /// A client whose SSE stream is open, with its head read.
  client open_sse(std::size_t number = 1) {
    auto client = connect();
    client.get(sse);
    EXPECT_TRUE(script_.wait_for_reads(number));
    script_.with_readers([](std::vector<shape_reader*>& readers) { open_stream(*readers.back()); });
    EXPECT_TRUE(client.read_until("\r\n\r\n"));
    return client;
  }
  void deliver(const log_slice& slice) {
    script_.with_readers([&](std::vector<shape_reader*>& readers) {
      for (auto* reader : readers)
        reader->on_slice(slice);
    });
  }
  static std::string chunk(const std::string& text) {
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", text.size());
    return size + text + "\r\n";
  }
  static std::string up_to_date_event() { return "data: " + std::string{up_to_date} + "\n\n"; }
};

TEST_F(ServerLive, ALongPollIsAnsweredWhenThereIsNews) {
  start();
  auto client = connect();
  client.get(live);
  ASSERT_TRUE(script_.wait_for_reads(1));
  EXPECT_TRUE(script_.queries[0].live);
  script_.answer_parked([](shape_reader& reader) { reader.on_slice(slice_of("{}")); });
  const auto answer = client.read_response();
  EXPECT_EQ(answer.body, "[{}," + std::string{up_to_date} + "]");
  EXPECT_NE(answer.header("electric-cursor"), "(none)");
  EXPECT_EQ(answer.header("electric-schema"), "(none)");
  EXPECT_EQ(answer.header("cache-control"), "public, max-age=5, stale-while-revalidate=5");
}

TEST_F(ServerLive, TheCursorMovesOn) {
  script_.answer = answer_at_once;
  start();
  auto client = connect();
  client.get(std::string{live} + "99999999999");
  const auto cursor = std::stoll(client.read_response().header("electric-cursor"));
  EXPECT_GT(cursor, 99999999999);
  EXPECT_LE(cursor, 99999999999 + 3600);
}

TEST_F(ServerLive, EveryTimeoutHasItsOwnETag) {
  script_.answer = [](shape_reader& reader, const shape_query&) {
    auto slice = slice_of("");
    slice.no_changes = true;
    reader.on_slice(slice);
  };
  start();
  auto client = connect();
  client.get(live);
  const auto first = client.read_response();
  client.get(live);
  const auto second = client.read_response();
  EXPECT_TRUE(first.header("etag").starts_with("\"H:7_0:8_0:")) << first.header("etag");
  EXPECT_NE(first.header("etag"), second.header("etag"));
  EXPECT_EQ(first.header("electric-has-data"), "false");
}

TEST_F(ServerLive, ManyPollsOnOneConnection) {
  start();
  auto client = connect();
  for (std::size_t i = 1; i <= 20; ++i) {
    client.get(live);
    ASSERT_TRUE(script_.wait_for_reads(i));
    script_.answer_parked([](shape_reader& reader) { reader.on_slice(slice_of("{}")); });
    ASSERT_EQ(client.read_response().status, 200);
  }
  EXPECT_EQ(script_.cancelled(), 0u);
}

TEST_F(ServerLive, AClientThatHangsUpWhileItWaitsIsCancelled) {
  start();
  auto client = connect();
  client.get(live);
  ASSERT_TRUE(script_.wait_for_reads(1));
  client.close();
  EXPECT_TRUE(script_.wait_for_cancels(1));
}

TEST_F(ServerLive, HangingUpIsNoticedBehindPipelinedRequests) {
  start();
  auto client = connect();
  client.get(live);
  ASSERT_TRUE(script_.wait_for_reads(1));
  client.get(live);
  client.get(live);
  client.finish_sending();
  EXPECT_TRUE(script_.wait_for_cancels(1));
  EXPECT_EQ(script_.queries.size(), 1u);
}

TEST_F(ServerLive, WaitingClientsTakeNoPlaceFromOthers) {
  settings_.existing_requests_max = 2;
  start();
  std::vector<client> waiting;
  for (std::size_t i = 1; i <= 10; ++i) {
    waiting.push_back(connect());
    waiting.back().get(live);
    ASSERT_TRUE(script_.wait_for_reads(i));
  }
  auto stream = open_sse(11);
  // The next request on the same thread comes after all that, so the gauges are settled.
  auto other = connect();
  other.get("/");
  EXPECT_EQ(other.read_response().status, 200);
  EXPECT_EQ(metrics_.admission_existing.Value(), 0);
  EXPECT_EQ(metrics_.waiting_readers.Value(), 11);
  script_.answer_parked([](shape_reader& reader) { reader.on_gone(std::nullopt); });
  for (auto& client : waiting)
    EXPECT_EQ(client.read_response().status, 409);
  EXPECT_TRUE(stream.read_until("0\r\n\r\n"));
  other.get("/");
  EXPECT_EQ(other.read_response().status, 200);
  EXPECT_EQ(metrics_.waiting_readers.Value(), 0);
}

TEST_F(ServerLive, AStreamsHeadComesBeforeAnyEvent) {
  start();
  auto client = open_sse();
  const auto& head = client.received();
  for (const auto* line :
       {"HTTP/1.1 200 OK\r\n", "content-type: text/event-stream\r\n", "connection: keep-alive\r\n",
        "transfer-encoding: chunked\r\n", "electric-offset: 7_0\r\n", "electric-handle: H\r\n",
        "electric-cursor: ", "electric-up-to-date: \r\n", "etag: \"H:7_0:7_0\"\r\n",
        "cache-control: public, max-age=59\r\n"})
    EXPECT_NE(head.find(line), std::string::npos) << line;
  EXPECT_EQ(head.find("electric-schema:"), std::string::npos);
  EXPECT_TRUE(head.ends_with("\r\n\r\n")) << "nothing is sent before there is something to send";
}

TEST_F(ServerLive, EachBatchOfEventsEndsWithUpToDate) {
  start();
  auto client = open_sse();
  const auto head_bytes = client.received().size();
  const std::string events = "data: {\"key\":\"a\"}\n\ndata: {\"key\":\"b\"}\n\n";
  deliver(slice_of(events));
  deliver(slice_of("data: {\"key\":\"c\"}\n\n"));
  const auto expected =
      chunk(events + up_to_date_event()) + chunk("data: {\"key\":\"c\"}\n\n" + up_to_date_event());
  ASSERT_TRUE(client.read_until("\"c\"}\n\n" + up_to_date_event()));
  EXPECT_EQ(client.received().substr(head_bytes), expected);
}

TEST_F(ServerLive, AllClientsGetTheSameEvents) {
  start();
  std::vector<client> clients;
  for (std::size_t i = 1; i <= 5; ++i)
    clients.push_back(open_sse(i));
  deliver(slice_of("data: {\"key\":\"a\"}\n\n"));
  deliver(slice_of("data: {\"key\":\"b\"}\n\n"));
  for (auto& client : clients) {
    ASSERT_TRUE(client.read_until("\"b\"}\n\n" + up_to_date_event() + "\r\n"));
    EXPECT_TRUE(
        client.received().ends_with(chunk("data: {\"key\":\"a\"}\n\n" + up_to_date_event()) +
                                    chunk("data: {\"key\":\"b\"}\n\n" + up_to_date_event())));
  }
}

TEST_F(ServerLive, ABatchTooLargeForMemoryIsStreamedInOrderWithWhatComesBehindIt) {
  for (int i = 0; i < 20; ++i)
    script_.pieces.push_back("data: \"" + std::string(256 * 1024, static_cast<char>('a' + i)) +
                             "\"\n\n");
  start();
  auto client = open_sse();
  auto large = slice_of("");
  large.ready = nullptr;
  large.rest = {};
  large.rest.form = framing::sse_events;
  deliver(large);
  deliver(slice_of("data: \"behind\"\n\n"));
  deliver(large);
  script_.answer_parked([](shape_reader& reader) { reader.on_gone(std::nullopt); });
  std::string expected;
  for (const auto& piece : script_.pieces)
    expected += piece;
  expected += up_to_date_event();
  expected = expected + "data: \"behind\"\n\n" + up_to_date_event() + expected;
  const auto answer = client.read_response();
  EXPECT_TRUE(answer.complete);
  EXPECT_TRUE(answer.body == expected);
}

TEST_F(ServerLive, SilenceIsFilledWithComments) {
  settings_.sse_keepalive = 1s;
  start();
  auto client = open_sse();
  EXPECT_TRUE(client.read_until(chunk(": keep-alive\n\n") + chunk(": keep-alive\n\n")));
}

TEST_F(ServerLive, AStreamEndsCleanlyAfterItsLifetimeAndTheConnectionGoesOn) {
  settings_.sse_lifetime = 1s;
  start();
  auto client = open_sse();
  const auto answer = client.read_response();
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.header("cache-control"), "public, max-age=1");
  EXPECT_TRUE(script_.wait_for_cancels(1));
  client.get("/");
  EXPECT_EQ(client.read_response().status, 200);
}

TEST_F(ServerLive, AStreamOfARemovedShapeEndsWithoutAMessage) {
  start();
  auto client = open_sse();
  script_.answer_parked([](shape_reader& reader) { reader.on_gone("H2"); });
  const auto answer = client.read_response();
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.body, "");
  EXPECT_EQ(script_.cancelled(), 0u) << "the session has let go by itself";
}

TEST_F(ServerLive, AStreamRefusedBeforeItOpensIsAnOrdinaryResponse) {
  script_.answer = [](shape_reader& reader, const shape_query&) { reader.on_gone("H2"); };
  start();
  auto client = connect();
  client.get(sse);
  const auto answer = client.read_response();
  EXPECT_EQ(answer.status, 409);
  EXPECT_EQ(answer.header("content-type"), "application/json; charset=utf-8");
}

TEST_F(ServerLive, AStreamsClientThatHangsUpIsCancelled) {
  start();
  auto client = open_sse();
  client.close();
  EXPECT_TRUE(script_.wait_for_cancels(1));
}

TEST_F(ServerLive, AStreamForHttp10IsNotChunked) {
  start();
  auto client = connect();
  client.send("GET " + std::string{sse} + " HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(script_.wait_for_reads(1));
  script_.with_readers([](std::vector<shape_reader*>& readers) { open_stream(*readers.at(0)); });
  deliver(slice_of("data: 1\n\n"));
  script_.answer_parked([](shape_reader& reader) { reader.on_gone(std::nullopt); });
  const auto answer = client.read_response();
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_EQ(answer.body, "data: 1\n\n" + up_to_date_event());
}

TEST_F(ServerLive, HeadOfAStreamIsOnlyItsHead) {
  script_.answer = [this](shape_reader& reader, const shape_query&) {
    open_stream(reader);
    script_.parked.push_back(&reader);
  };
  start();
  auto client = connect();
  client.ask("HEAD", sse);
  EXPECT_EQ(client.read_response(false).header("content-type"), "text/event-stream");
  EXPECT_TRUE(script_.wait_for_cancels(1));
  client.get("/");
  EXPECT_EQ(client.read_response().status, 200);
}

TEST_F(ServerLive, AStreamThatDoesNotReadIsDroppedWithoutHarmToOthers) {
  start();
  auto reading = open_sse(1);
  auto stuck = open_sse(2);
  const auto large = slice_of("data: \"" + std::string(1024 * 1024, 'x') + "\"\n\n");
  for (int i = 0; i < 100 && script_.cancelled() == 0; ++i) {
    deliver(large);
    // The reading client takes all of it before the next one.
    for (std::size_t taken = reading.received().size();
         reading.received().size() < taken + 1024 * 1024;)
      ASSERT_TRUE(reading.receive_more());
  }
  EXPECT_TRUE(script_.wait_for_cancels(1));
  deliver(slice_of("data: \"still here\"\n\n"));
  EXPECT_TRUE(reading.read_until("still here"));
}

} // namespace
} // namespace busbar::http
