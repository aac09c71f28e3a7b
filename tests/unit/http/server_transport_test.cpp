// Connections: keep-alive, pipelining, limits, bad input, time limits, bodies in pieces, shutdown.
#include "tests/unit/http/scripted_server.hpp"

namespace busbar::http {
namespace {

using namespace testing_support;

using ServerTransport = ScriptedServer;

TEST_F(ServerTransport, AConnectionServesManyRequests) {
  script_.answer = answer_at_once;
  start();
  auto client = connect();
  for (int i = 0; i < 200; ++i) {
    client.get(initial);
    const auto answer = client.read_response();
    ASSERT_EQ(answer.status, 200) << i;
    ASSERT_EQ(answer.header("connection"), "(none)") << i;
  }
}

TEST_F(ServerTransport, PipelinedRequestsAreAnsweredInOrder) {
  script_.answer = [](shape_reader& reader, const shape_query& query) {
    reader.on_slice(slice_of("\"" + query.shape.table + "\"", false));
  };
  start();
  auto client = connect();
  std::string requests;
  for (int i = 0; i < 300; ++i)
    requests +=
        "GET /v1/shape?offset=-1&table=t" + std::to_string(i) + " HTTP/1.1\r\nhost: a\r\n\r\n";
  client.send(requests);
  for (int i = 0; i < 300; ++i)
    ASSERT_EQ(client.read_response().body, "[\"t" + std::to_string(i) + "\"]");
}

TEST_F(ServerTransport, APipelinedRequestWaitsForTheOneBeforeIt) {
  start();
  auto client = connect();
  client.get("/v1/shape?offset=-1&table=first");
  client.get("/v1/shape?offset=-1&table=second");
  ASSERT_TRUE(script_.wait_for_reads(1));
  script_.with_readers([](std::vector<shape_reader*>& readers) { EXPECT_EQ(readers.size(), 1u); });
  script_.answer_parked([](shape_reader& reader) { reader.on_slice(slice_of("1", false)); });
  EXPECT_EQ(client.read_response().body, "[1]");
  ASSERT_TRUE(script_.wait_for_reads(2));
  EXPECT_EQ(script_.queries[1].shape.table, "second");
  script_.answer_parked([](shape_reader& reader) { reader.on_slice(slice_of("2", false)); });
  EXPECT_EQ(client.read_response().body, "[2]");
}

TEST_F(ServerTransport, ARequestMayArriveByteByByte) {
  script_.answer = answer_at_once;
  start();
  auto client = connect();
  const int on = 1;
  ::setsockopt(client.fd(), IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
  const auto request = "GET " + std::string{initial} + " HTTP/1.1\r\nhost: a\r\n\r\n";
  for (int i = 0; i < 2; ++i) {
    for (const char byte : request)
      client.send({&byte, 1});
    EXPECT_EQ(client.read_response().status, 200);
  }
}

TEST_F(ServerTransport, EmptyLinesBetweenRequestsAreSkipped) {
  script_.answer = answer_at_once;
  start();
  auto client = connect();
  for (int i = 0; i < 3; ++i) {
    client.send("\r\n\r\n");
    client.get(initial);
    EXPECT_EQ(client.read_response().status, 200);
  }
}

TEST_F(ServerTransport, HeadHasTheHeadersOfGetAndNoBody) {
  script_.answer = answer_at_once;
  start();
  auto client = connect();
  client.get(initial);
  const auto get = client.read_response();
  client.ask("HEAD", initial);
  const auto head = client.read_response(false);
  EXPECT_EQ(head.status, 200);
  for (const auto* name : {"content-length", "etag", "electric-handle", "electric-offset",
                           "electric-schema", "electric-up-to-date", "cache-control"})
    EXPECT_EQ(head.header(name), get.header(name)) << name;
  client.get(initial);
  EXPECT_EQ(client.read_response().body, get.body) << "nothing stood between the two responses";
}

TEST_F(ServerTransport, Http10ClosesUnlessAskedNotTo) {
  script_.answer = answer_at_once;
  start();
  const auto request = "GET " + std::string{initial} + " HTTP/1.0\r\n";
  auto closing = connect();
  closing.send(request + "\r\n");
  EXPECT_TRUE(closing.read_to_end());
  EXPECT_TRUE(closing.received().starts_with("HTTP/1.0 200 OK\r\n"));
  auto keeping = connect();
  for (int i = 0; i < 2; ++i) {
    keeping.send(request + "connection: keep-alive\r\n\r\n");
    EXPECT_EQ(keeping.read_response().header("connection"), "keep-alive");
  }
}

TEST_F(ServerTransport, ConnectionCloseIsHonoured) {
  script_.answer = answer_at_once;
  start();
  auto client = connect();
  client.get(initial, "connection: close\r\n");
  EXPECT_EQ(client.read_response().header("connection"), "close");
  EXPECT_TRUE(client.read_to_end());
}

TEST_F(ServerTransport, AClientThatClosesItsHalfStillGetsItsAnswer) {
  start();
  auto client = connect();
  client.get(initial);
  client.finish_sending();
  ASSERT_TRUE(script_.wait_for_reads(1));
  script_.answer_parked([](shape_reader& reader) { reader.on_slice(slice_of("1", false)); });
  EXPECT_EQ(client.read_response().body, "[1]");
  EXPECT_TRUE(client.read_to_end());
}

TEST_F(ServerTransport, BadHeadsAreRefusedAndClosedWithoutHarmToOthers) {
  script_.answer = answer_at_once;
  start();
  auto bystander = connect();
  bystander.get(initial);
  EXPECT_EQ(bystander.read_response().status, 200);
  const std::string line = "GET " + std::string{initial} + " HTTP/1.1\r\n";
  const std::vector<std::pair<std::string, int>> cases{
      {"\x16\x03\x01 garbage", 400},
      {line + "\r\n", 400},
      {line + "host: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", 400},
      {line + "host: a\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc", 400},
      {line + "host: a\r\nx: y\n\r\n", 400},
      {line + "host: a\r\nx: y\r\n folded\r\n\r\n", 400},
      {"GET /" + std::string(20'000, 'a'), 414},
      {line + "host: a\r\nx: " + std::string(20'000, 'a'), 431},
      {"GET / HTTP/3.0\r\nhost: a\r\n\r\n", 505},
  };
  for (const auto& [bytes, status] : cases) {
    auto client = connect();
    client.send(bytes + line + "host: a\r\n\r\n");
    const auto answer = client.read_response();
    EXPECT_EQ(answer.status, status) << bytes.substr(0, 100);
    EXPECT_EQ(answer.header("connection"), "close");
    EXPECT_TRUE(client.read_to_end());
    EXPECT_TRUE(client.received().empty()) << "nothing behind a bad head is looked at";
  }
  bystander.get(initial);
  EXPECT_EQ(bystander.read_response().status, 200);
}

TEST_F(ServerTransport, HalfARequestIsAnsweredWith400) {
  start();
  auto client = connect();
  client.send("GET /v1/shape HTTP/1.1\r\nhost:");
  client.finish_sending();
  EXPECT_EQ(client.read_response().status, 400);
  EXPECT_TRUE(client.read_to_end());
}

TEST_F(ServerTransport, ASlowHeadIsTimedOut) {
  settings_.head_timeout = 1s;
  start();
  auto client = connect();
  client.send("GET /v1/shape HTTP/1.1\r\n");
  EXPECT_EQ(client.read_response().status, 408);
  EXPECT_TRUE(client.read_to_end());
}

TEST_F(ServerTransport, ATrickleOfBytesDoesNotProlongAHead) {
  settings_.head_timeout = 1s;
  settings_.idle_timeout = 60s;
  start();
  auto client = connect();
  client.send("GET /v1/shape HTTP/1.1\r\nx: ");
  const auto deadline = std::chrono::steady_clock::now() + patience;
  pollfd answered{client.fd(), POLLIN, 0};
  while (::poll(&answered, 1, 100) == 0 && std::chrono::steady_clock::now() < deadline)
    client.send("y");
  EXPECT_EQ(client.read_response().status, 408);
  EXPECT_TRUE(client.read_to_end());
}

TEST_F(ServerTransport, ATrickleOfBytesDoesNotProlongABody) {
  settings_.body_timeout = 1s;
  start();
  auto client = connect();
  client.ask("POST", initial, "transfer-encoding: chunked\r\n");
  const auto deadline = std::chrono::steady_clock::now() + patience;
  pollfd answered{client.fd(), POLLIN, 0};
  while (::poll(&answered, 1, 100) == 0 && std::chrono::steady_clock::now() < deadline)
    client.send("1\r\n \r\n");
  EXPECT_EQ(client.read_response().status, 408);
  EXPECT_TRUE(client.read_to_end());
}

TEST_F(ServerTransport, OnlyOneExpectationIsKnown) {
  script_.answer = answer_at_once;
  start();
  auto client = connect();
  client.ask("POST", initial, "expect: 200-ok\r\ncontent-length: 2\r\n");
  client.send("{}");
  EXPECT_EQ(client.read_response().status, 200) << "without a 100 before it";
  client.ask("POST", initial, "Expect: 100-Continue\r\ncontent-length: 2\r\n");
  ASSERT_TRUE(client.read_until("HTTP/1.1 100 Continue\r\n\r\n"));
}

// F56
TEST_F(ServerTransport, AnIdleConnectionIsClosed) {
  settings_.idle_timeout = 1s;
  script_.answer = answer_at_once;
  start();
  auto client = connect();
  client.get(initial);
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_TRUE(client.read_to_end());
  EXPECT_TRUE(client.received().empty());
}

TEST_F(ServerTransport, ASmallBodyOfAGetIsThrownAway) {
  script_.answer = answer_at_once;
  start();
  auto client = connect();
  client.get(initial, "content-length: 31\r\n");
  client.send("GET /v1/health HTTP/1.1\r\n\r\n....");
  EXPECT_EQ(client.read_response().status, 200);
  client.get(initial);
  EXPECT_EQ(client.read_response().header("electric-handle"), "H");
}

TEST_F(ServerTransport, AfterALargeOrUnmeasuredBodyTheConnectionCloses) {
  script_.answer = answer_at_once;
  start();
  for (const auto* header : {"content-length: 10000000\r\n", "transfer-encoding: chunked\r\n",
                             "expect: 100-continue\r\ncontent-length: 3\r\n"}) {
    auto client = connect();
    client.get(initial, header);
    client.send(std::string(100'000, 'x'));
    const auto answer = client.read_response();
    EXPECT_EQ(answer.status, 200) << header;
    EXPECT_EQ(answer.header("connection"), "close") << header;
    EXPECT_TRUE(client.read_to_end()) << header;
  }
}

TEST_F(ServerTransport, ALongBodyIsChunkedAndReadAsItIsSent) {
  for (int i = 0; i < 100; ++i)
    script_.pieces.push_back('"' + std::string(256 * 1024, static_cast<char>('a' + i % 26)) + '"');
  script_.answer = [](shape_reader& reader, const shape_query&) {
    auto slice = slice_of("");
    slice.ready = nullptr;
    slice.rest = {};
    reader.on_slice(slice);
  };
  start();
  client slow{server_->port(), 32 * 1024};
  slow.get(initial);
  ASSERT_TRUE(slow.read_until("\r\n\r\n"));
  EXPECT_LT(script_.pieces_read, 60u) << "pieces wait until the client takes them";
  std::string expected = "[";
  for (const auto& piece : script_.pieces)
    expected += piece + ",";
  expected += std::string{up_to_date} + "]";
  const auto answer = slow.read_response();
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.header("transfer-encoding"), "chunked");
  EXPECT_TRUE(answer.body == expected);
  slow.get("/");
  EXPECT_EQ(slow.read_response().status, 200) << "the connection goes on";
}

TEST_F(ServerTransport, ABodyThatManyAskForIsTheSameForAll) {
  for (int i = 0; i < 5; ++i)
    script_.pieces.push_back('"' + std::string(256 * 1024, static_cast<char>('a' + i)) + '"');
  const auto whole = share(std::string(200 * 1024, 'w'));
  script_.answer = [&whole](shape_reader& reader, const shape_query& query) {
    auto slice = slice_of("", query.offset.tx != 6);
    slice.ready = query.offset == log_offset::start() ? nullptr : whole;
    slice.rest.finished = slice.ready != nullptr;
    reader.on_slice(slice);
  };
  start();
  std::string in_pieces = "[";
  for (const auto& piece : script_.pieces)
    in_pieces += piece + ",";
  in_pieces += std::string{up_to_date} + "]";
  client one{server_->port(), 32 * 1024}; // stalls the server now and then
  auto other = connect();
  for (int i = 0; i < 6; ++i) {
    for (auto* reader : {&one, &other}) {
      reader->get(initial);
      EXPECT_TRUE(reader->read_response().body == in_pieces);
      reader->get("/v1/shape?table=items&offset=7_0&handle=known");
      EXPECT_TRUE(reader->read_response().body ==
                  "[" + *whole + "," + std::string{up_to_date} + "]");
      reader->get("/v1/shape?table=items&offset=6_0&handle=known");
      EXPECT_TRUE(reader->read_response().body == "[" + *whole + "]");
    }
  }
}

TEST_F(ServerTransport, ALongBodyForHttp10EndsWithTheConnection) {
  script_.pieces = {"1", "2", "3"};
  script_.answer = [](shape_reader& reader, const shape_query&) {
    auto slice = slice_of("", false);
    slice.ready = nullptr;
    slice.rest = {};
    reader.on_slice(slice);
  };
  start();
  auto client = connect();
  client.send("GET " + std::string{initial} + " HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
  const auto answer = client.read_response();
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_EQ(answer.body, "[1,2,3]");
}

TEST_F(ServerTransport, ABodyInOnePieceHasALength) {
  script_.pieces = {"1,2"};
  script_.answer = [](shape_reader& reader, const shape_query&) {
    auto slice = slice_of("");
    slice.ready = nullptr;
    slice.rest = {};
    reader.on_slice(slice);
  };
  start();
  auto client = connect();
  client.get(initial);
  const auto answer = client.read_response();
  EXPECT_EQ(answer.body, "[1,2," + std::string{up_to_date} + "]");
  EXPECT_EQ(answer.header("content-length"), std::to_string(answer.body.size()));
}

TEST_F(ServerTransport, ABodyThatIsStillBeingWrittenGoesOnWhenThereIsMore) {
  script_.pieces = {"1", "2", "3"};
  script_.pieces_there = 1;
  script_.answer = [](shape_reader& reader, const shape_query&) {
    auto slice = slice_of("", false);
    slice.ready = nullptr;
    slice.rest = {};
    reader.on_slice(slice);
  };
  start();
  for (const auto verb : {"GET", "HEAD"}) {
    script_.pieces_there = 1;
    auto client = connect();
    client.send(std::string{verb} + " " + std::string{initial} + " HTTP/1.1\r\nhost: a\r\n\r\n");
    if (std::string_view{verb} == "GET") {
      EXPECT_TRUE(client.read_until("[1"));
      script_.answer_parked([](shape_reader& reader) { reader.on_more(); }); // too early
      script_.pieces_there = 2;
      script_.answer_parked([](shape_reader& reader) { reader.on_more(); });
      script_.pieces_there = 3;
      script_.answer_parked([](shape_reader& reader) { reader.on_more(); });
      EXPECT_EQ(client.read_response().body, "[1,2,3]");
    } else {
      EXPECT_EQ(client.read_response(false).body, "");
    }
    script_.with_readers([](std::vector<shape_reader*>& readers) { EXPECT_TRUE(readers.empty()); });
    client.get("/");
    EXPECT_EQ(client.read_response().status, 200) << "the connection goes on";
  }
}

TEST_F(ServerTransport, ABodyThatNeverGoesOnBreaksTheConnection) {
  script_.pieces = {"1", "2"};
  script_.pieces_there = 1;
  script_.answer = [](shape_reader& reader, const shape_query&) {
    auto slice = slice_of("", false);
    slice.ready = nullptr;
    slice.rest = {};
    reader.on_slice(slice);
  };
  start();
  auto client = connect();
  client.get(initial);
  EXPECT_TRUE(client.read_until("[1"));
  script_.answer_parked([](shape_reader& reader) {
    reader.on_refused({{errc::unavailable, "the snapshot makes no progress"}});
  });
  EXPECT_FALSE(client.read_response().complete);
  EXPECT_TRUE(client.ended());
  auto other = connect();
  other.get(initial);
  EXPECT_TRUE(other.read_until("[1"));
  other.close();
}

TEST_F(ServerTransport, AnErrorInTheMiddleOfABodyBreaksTheConnection) {
  script_.pieces = {"1", "2", "3"};
  script_.pieces_until_error = 2;
  script_.answer = [](shape_reader& reader, const shape_query&) {
    auto slice = slice_of("");
    slice.ready = nullptr;
    slice.rest = {};
    reader.on_slice(slice);
  };
  start();
  auto client = connect();
  client.get(initial);
  const auto answer = client.read_response();
  EXPECT_EQ(answer.status, 200);
  EXPECT_FALSE(answer.complete);
  EXPECT_TRUE(client.ended());
}

TEST_F(ServerTransport, ASliceWhoseEndCompactionHasMovedIsCutAgainButNotForEver) {
  script_.pieces = {"1"};
  log_offset cut_at;
  script_.answer = [&](shape_reader& reader, const shape_query&) {
    auto slice = slice_of("");
    slice.end = cut_at;
    slice.ready = nullptr;
    slice.rest = {};
    reader.on_slice(slice);
  };
  start();
  auto client = connect();
  cut_at = {100, 2};
  script_.cuts_too_late = 3;
  client.get(initial);
  const auto answer = client.read_response();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("electric-offset"), "100_5");
  EXPECT_EQ(answer.body.substr(0, 2), "[1");
  script_.cuts_too_late = 1000;
  client.get(initial);
  EXPECT_EQ(client.read_response().status, 503);
  EXPECT_GT(script_.cuts_too_late, 900);
}

TEST_F(ServerTransport, AnErrorBeforeTheBodyIsAnOrdinary500) {
  script_.pieces_until_error = 0;
  script_.answer = [](shape_reader& reader, const shape_query&) {
    auto slice = slice_of("");
    slice.ready = nullptr;
    slice.rest = {};
    reader.on_slice(slice);
  };
  start();
  auto client = connect();
  client.get(initial);
  const auto answer = client.read_response();
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body.find("unreadable"), std::string::npos) << "internals stay inside";
}

// F48, F55
TEST_F(ServerTransport, AClientThatStopsReadingIsDropped) {
  settings_.send_timeout = 1s;
  script_.answer = [](shape_reader& reader, const shape_query&) {
    reader.on_slice(slice_of(std::string(50'000'000, '1'), false));
  };
  start();
  client stuck{server_->port(), 32 * 1024};
  stuck.get(initial);
  ASSERT_TRUE(stuck.read_until("\r\n\r\n"));
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (metrics_.http_connections.Value() > 0 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  EXPECT_EQ(metrics_.http_connections.Value(), 0);
  EXPECT_FALSE(stuck.read_response().complete);
}

// F55
TEST_F(ServerTransport, WhenMemoryIsShortTheClientThatHasTakenNothingForLongestIsDropped) {
  settings_.held_bytes_max = 60'000'000;
  settings_.send_timeout = 60s;
  script_.answer = [](shape_reader& reader, const shape_query&) {
    reader.on_slice(slice_of(std::string(50'000'000, '1'), false));
  };
  start();
  client first{server_->port(), 32 * 1024};
  first.get(initial);
  ASSERT_TRUE(first.read_until("\r\n\r\n"));
  client second{server_->port(), 32 * 1024};
  second.get(initial);
  ASSERT_TRUE(second.read_until("\r\n\r\n"));
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (metrics_.http_connections.Value() > 1 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  EXPECT_EQ(metrics_.http_connections.Value(), 1);
  EXPECT_EQ(metrics_.http_shed_readers.Value(), 1);
  EXPECT_FALSE(first.read_response().complete);
  EXPECT_TRUE(second.read_response().complete);
}

TEST_F(ServerTransport, BeyondTheLimitConnectionsAreTurnedAway) {
  settings_.connections_max = 2;
  start();
  auto first = connect();
  auto second = connect();
  first.get("/");
  second.get("/");
  EXPECT_EQ(first.read_response().status, 200);
  EXPECT_EQ(second.read_response().status, 200);
  auto third = connect();
  EXPECT_TRUE(third.read_to_end());
  first.get("/");
  EXPECT_EQ(first.read_response().status, 200);
}

TEST_F(ServerTransport, APortInUseIsOneClearError) {
  start();
  auto second = settings_;
  second.port = server_->port();
  const auto started = server::start(
      second, [this](post_function) { return std::make_unique<scripted_session>(script_); },
      metrics_);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, errc::misconfigured);
  EXPECT_NE(started.error().message.find(std::to_string(second.port)), std::string::npos);
}

TEST_F(ServerTransport, DrainAnswersTheWaitingAndClosesTheIdle) {
  start();
  auto idle = connect();
  idle.get("/");
  EXPECT_EQ(idle.read_response().status, 200);
  auto waiting = connect();
  waiting.get(live);
  auto streaming = connect();
  streaming.get(sse);
  ASSERT_TRUE(script_.wait_for_reads(2));
  script_.with_readers([](std::vector<shape_reader*>& readers) { open_stream(*readers.at(1)); });
  server_->drain(patience);
  EXPECT_TRUE(idle.read_to_end());
  const auto answer = waiting.read_response();
  EXPECT_EQ(answer.status, 409);
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_TRUE(waiting.read_to_end());
  EXPECT_TRUE(streaming.read_response().complete);
  EXPECT_TRUE(streaming.read_to_end());
  EXPECT_EQ(metrics_.http_connections.Value(), 0);
}

TEST_F(ServerTransport, StopWithClientsInEveryStateIsClean) {
  start();
  auto idle = connect();
  auto half = connect();
  half.send("GET /v1");
  auto waiting = connect();
  waiting.get(live);
  ASSERT_TRUE(script_.wait_for_reads(1));
  server_->stop();
  EXPECT_EQ(script_.cancelled(), 1u);
  EXPECT_TRUE(waiting.read_to_end());
}

TEST_F(ServerTransport, ConnectionsAreDealtToAllThreads) {
  settings_.io_threads = 3;
  script_.answer = answer_at_once;
  start();
  std::vector<client> clients;
  for (int i = 0; i < 9; ++i)
    clients.push_back(connect());
  for (auto& client : clients)
    client.get(initial);
  for (auto& client : clients)
    EXPECT_EQ(client.read_response().status, 200);
}

} // namespace
} // namespace busbar::http
