// Trouble on the wire: what a 503 says by its cause, who waits for the service, and who is turned
// away.
#include "tests/unit/http/scripted_server.hpp"

#include <gmock/gmock.h>

namespace busbar::http {
namespace {

using namespace testing_support;

class ServerTrouble : public ScriptedServer {
protected:
  response get(std::string_view target, std::string_view headers = "") {
    return ask("GET", target, headers);
  }
  response ask(std::string_view verb, std::string_view target, std::string_view headers = "") {
    auto client = connect();
    client.ask(verb, target, headers);
    return client.read_response(verb != "HEAD");
  }
  void refuse_with(refusal what) {
    script_.answer = [what](shape_reader& reader, const shape_query&) { reader.on_refused(what); };
  }
};

TEST_F(ServerTrouble, TroubleThatMayPassIs503) {
  start();
  struct expected {
    cause because;
    const char* retry_after;
    const char* known;
  };
  for (const auto& [because, retry_after, known] :
       {expected{cause::busy, "5", "(none)"}, expected{cause::not_ready, "5", "(none)"},
        expected{cause::creation, "1", "(none)"}, expected{cause::snapshot, "10", "true"}})
    for (const auto code : {errc::unavailable, errc::misconfigured}) {
      refuse_with({{code, "not now"}, because});
      const auto answer = get(initial);
      EXPECT_EQ(answer.status, 503);
      EXPECT_EQ(answer.body,
                R"({"message":"not now","request_id":")" + answer.header("x-request-id") + "\"}");
      EXPECT_EQ(answer.header("content-type"), "application/json; charset=utf-8");
      EXPECT_EQ(answer.header("retry-after"), retry_after);
      EXPECT_EQ(answer.header("electric-internal-known-error"), known);
      EXPECT_EQ(answer.header("cache-control"), "no-store");
      EXPECT_EQ(answer.header("surrogate-control"), "no-store");
      EXPECT_EQ(answer.header("electric-handle"), "(none)");
    }
}

TEST_F(ServerTrouble, ASubsetWithoutDatabaseHasACode) {
  refuse_with({{errc::unavailable, "no database"}, cause::database});
  start();
  const auto answer = get("/v1/shape?table=items&offset=-1&subset__where=a");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.body, R"({"code":"database_unreachable","error":"no database","request_id":")" +
                             answer.header("x-request-id") + "\"}");
  EXPECT_EQ(ask("POST", initial).header("cache-control"), "no-store");
  EXPECT_EQ(answer.header("retry-after"), "10");
  EXPECT_EQ(answer.header("cache-control"), "no-store");
}

TEST_F(ServerTrouble, ARequestForANewShapeWaitsForTheServiceAndIsAskedAgain) {
  script_.active = false;
  script_.answer = [this](shape_reader& reader, const shape_query& query) {
    if (script_.active)
      answer_at_once(reader, query);
    else
      reader.on_refused({{errc::unavailable, "no lock yet"}, cause::not_ready});
  };
  start();
  auto waiting = connect();
  waiting.get("/v1/shape?table=items&offset=-1&where=a");
  ASSERT_TRUE(script_.wait_for_reads(1));
  auto hanging_up = connect();
  hanging_up.get(initial);
  ASSERT_TRUE(script_.wait_for_reads(2));
  hanging_up.close();
  EXPECT_EQ(get("/").status, 200) << "nobody else is held up";
  script_.active = true;
  const auto answer = waiting.read_response();
  EXPECT_EQ(answer.status, 200);
  ASSERT_TRUE(script_.wait_for_reads(3));
  EXPECT_EQ(script_.queries.at(2).shape.where, "a") << "as it was asked at first";
  EXPECT_EQ(get("/").status, 200) << "so the gauge is settled";
  EXPECT_EQ(metrics_.admission_initial.Value(), 0);
}

TEST_F(ServerTrouble, AServiceThatDoesNotBecomeReadyIs503AfterAWhile) {
  settings_.readiness_timeout = 1s;
  script_.active = false;
  refuse_with({{errc::unavailable, "no lock yet"}, cause::not_ready});
  start();
  const auto began = std::chrono::steady_clock::now();
  const auto answer = get(initial);
  EXPECT_GE(std::chrono::steady_clock::now() - began, 900ms);
  EXPECT_EQ(answer.status, 503);
  EXPECT_THAT(answer.body, testing::StartsWith(R"({"message":"no lock yet","request_id":")"));
  EXPECT_EQ(answer.header("retry-after"), "5");
  EXPECT_EQ(answer.header("cache-control"), "no-store");
}

TEST_F(ServerTrouble, WhoIsRefusedAgainAfterTheWaitIsAnsweredAtOnce) {
  script_.active = false;
  refuse_with({{errc::unavailable, "gone again"}, cause::not_ready});
  start();
  auto client = connect();
  client.get(initial);
  ASSERT_TRUE(script_.wait_for_reads(1));
  script_.active = true;
  const auto answer = client.read_response();
  EXPECT_EQ(answer.status, 503);
  EXPECT_THAT(answer.body, testing::StartsWith(R"({"message":"gone again","request_id":")"));
  EXPECT_TRUE(script_.wait_for_reads(2));
}

TEST_F(ServerTrouble, DrainDoesNotWaitForReadiness) {
  script_.active = false;
  refuse_with({{errc::unavailable, "no lock yet"}, cause::not_ready});
  start();
  auto client = connect();
  client.get(initial);
  ASSERT_TRUE(script_.wait_for_reads(1));
  server_->drain(patience);
  const auto answer = client.read_response();
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.header("connection"), "close");
}

// F70
TEST_F(ServerTrouble, BrokenBytesAre500WithoutInternals) {
  refuse_with({{errc::corrupt, "log key of 3 bytes"}});
  start();
  const auto answer = get(initial);
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body.find("3 bytes"), std::string::npos);
  EXPECT_NE(answer.body.find("\"message\""), std::string::npos);
}

// F53
TEST_F(ServerTrouble, NewShapesAreAdmittedUpToTheLimitWhileOthersGoOn) {
  settings_.initial_requests_max = 2;
  start();
  auto first = connect();
  first.get(initial);
  auto second = connect();
  second.get(initial);
  ASSERT_TRUE(script_.wait_for_reads(2));
  const auto refused = get(initial);
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.body.find(R"("code":"concurrent_request_limit_exceeded")"), std::string::npos);
  EXPECT_EQ(refused.header("electric-internal-known-error"), "true");
  EXPECT_EQ(refused.header("cache-control"), "no-store");
  EXPECT_EQ(refused.header("surrogate-control"), "no-store");
  EXPECT_EQ(ask("POST", initial).header("cache-control"), "no-store") << "whatever the method";
  const auto seconds = std::stoi(refused.header("retry-after"));
  EXPECT_GE(seconds, 6);
  EXPECT_LE(seconds, 10);
  EXPECT_EQ(metrics_.admission_rejected_initial.Value(), 2);
  EXPECT_EQ(metrics_.admission_initial.Value(), 2);
  auto existing = connect();
  existing.get("/v1/shape?table=items&offset=7_0&handle=known");
  ASSERT_TRUE(script_.wait_for_reads(3));
  script_.answer_parked([](shape_reader& reader) { reader.on_slice(slice_of("")); });
  EXPECT_EQ(first.read_response().status, 200);
  EXPECT_EQ(second.read_response().status, 200);
  EXPECT_EQ(existing.read_response().status, 200);
  first.get(initial);
  ASSERT_TRUE(script_.wait_for_reads(4));
  EXPECT_EQ(metrics_.admission_initial.Value(), 1);
  EXPECT_EQ(metrics_.admission_existing.Value(), 0);
}

// F53
TEST_F(ServerTrouble, ABodyThatTakesItsTimeHoldsNoPlace) {
  settings_.initial_requests_max = 1;
  script_.answer = [](shape_reader& reader, const shape_query&) { reader.on_slice(slice_of("")); };
  start();
  auto slow = connect();
  slow.ask("POST", initial, "content-length: 2\r\nexpect: 100-continue\r\n");
  EXPECT_EQ(slow.read_response(false).status, 100); // its head has been dealt with
  EXPECT_EQ(get(initial).status, 200);
  slow.send("{}");
  EXPECT_EQ(slow.read_response().status, 200);
}

} // namespace
} // namespace busbar::http
