// What each route and each answer of the session becomes on the wire.
#include "tests/unit/http/scripted_server.hpp"

namespace busbar::http {
namespace {

using namespace testing_support;

class ServerAnswers : public ScriptedServer {
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

TEST_F(ServerAnswers, HealthFollowsTheSession) {
  start();
  auto answer = get("/v1/health");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, R"({"status":"active"})");
  EXPECT_EQ(answer.header("cache-control"), "no-cache, no-store, must-revalidate");
  EXPECT_EQ(answer.header("content-type"), "application/json; charset=utf-8");
  script_.active = false;
  answer = get("/v1/health");
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.body, R"({"status":"starting"})");
}

TEST_F(ServerAnswers, TheRootIsEmptyAndTheRestIsNotFound) {
  start();
  EXPECT_EQ(get("/").status, 200);
  EXPECT_EQ(get("/").body, "");
  for (const auto* target : {"/other", "/v1", "/v1/shapes"}) {
    const auto answer = get(target);
    EXPECT_EQ(answer.status, 404) << target;
    EXPECT_EQ(answer.body, "Not found");
    EXPECT_EQ(answer.header("content-type"), "(none)");
    EXPECT_EQ(answer.header("access-control-allow-methods"), "GET, HEAD");
  }
  EXPECT_EQ(ask("PUT", "/v1/shape").status, 404);
  EXPECT_EQ(ask("OPTIONS", "/other").status, 404);
  EXPECT_EQ(ask("POST", "/v1/health").status, 404);
}

TEST_F(ServerAnswers, EveryResponseCarriesTheCommonHeaders) {
  script_.answer = answer_at_once;
  start();
  const auto answer = get(initial, "origin: http://app\r\nx-request-id: 0123456789abcdefghij\r\n");
  EXPECT_EQ(answer.header("electric-server"), "ElectricSQL/test");
  EXPECT_EQ(answer.header("access-control-allow-origin"), "http://app");
  EXPECT_EQ(answer.header("x-request-id"), "0123456789abcdefghij");
  EXPECT_EQ(answer.header("vary"), "accept-encoding, origin");
  EXPECT_NE(answer.header("date"), "(none)");
  const auto other = get(initial, "x-request-id: short\r\n");
  EXPECT_EQ(other.header("access-control-allow-origin"), "*");
  EXPECT_EQ(other.header("x-request-id").size(), 20u);
}

TEST_F(ServerAnswers, AReadIsPassedOnWithItsConditions) {
  script_.answer = answer_at_once;
  start();
  EXPECT_EQ(get("/v1/shape?table=app.Items&offset=5_2&handle=H&where=a+%3D+%241&params[1]=x",
                "if-none-match: \"H:5_2:6_0\"\r\n")
                .status,
            200);
  ASSERT_TRUE(script_.wait_for_reads(1));
  const auto& query = script_.queries.at(0);
  EXPECT_EQ(query.shape.schema, "app");
  EXPECT_EQ(query.shape.table, "items");
  EXPECT_EQ(query.shape.parameters, (std::vector<std::string>{"x"}));
  EXPECT_EQ(query.handle, "H");
  EXPECT_EQ(query.offset, (log_offset{5, 2}));
  EXPECT_EQ(query.if_none_match, "\"H:5_2:6_0\"");
}

TEST_F(ServerAnswers, ASliceBecomesAJsonArray) {
  script_.answer = [](shape_reader& reader, const shape_query& query) {
    auto slice = slice_of(query.shape.table == "empty" ? "" : "{},{}", query.shape.table != "cut");
    reader.on_slice(slice);
  };
  start();
  const auto array = [this](const std::string& table) {
    return get("/v1/shape?offset=-1&table=" + table).body;
  };
  EXPECT_EQ(array("full"), "[{},{}," + std::string{up_to_date} + "]");
  EXPECT_EQ(array("cut"), "[{},{}]");
  EXPECT_EQ(array("empty"), "[" + std::string{up_to_date} + "]");
  script_.answer_parked([](shape_reader&) {});
}

TEST_F(ServerAnswers, NothingAndNotUpToDateIsAnEmptyArray) {
  script_.answer = [](shape_reader& reader, const shape_query&) {
    auto slice = slice_of("", false);
    slice.ready = nullptr;
    reader.on_slice(slice);
  };
  start();
  const auto answer = get(initial);
  EXPECT_EQ(answer.body, "[]");
  EXPECT_EQ(answer.header("electric-up-to-date"), "(none)");
}

TEST_F(ServerAnswers, NotModifiedHasNoBody) {
  script_.answer = [](shape_reader& reader, const shape_query&) {
    reader.on_not_modified(slice_of(""));
  };
  start();
  auto client = connect();
  for (int i = 0; i < 2; ++i) {
    client.get("/v1/shape?table=t&offset=7_0&handle=H", "if-none-match: \"H:7_0:8_0\"\r\n");
    const auto answer = client.read_response();
    EXPECT_EQ(answer.status, 304);
    EXPECT_EQ(answer.header("etag"), "\"H:7_0:8_0\"");
    EXPECT_EQ(answer.header("electric-schema"), "(none)");
    EXPECT_EQ(answer.header("content-length"), "(none)");
    EXPECT_EQ(answer.header("cache-control"), "public, max-age=60, stale-while-revalidate=300");
  }
}

TEST_F(ServerAnswers, GoneIsAConflictWithTheNewHandle) {
  script_.answer = [](shape_reader& reader, const shape_query& query) {
    reader.on_gone(query.shape.table == "known" ? std::optional<std::string>{"H2"} : std::nullopt);
  };
  start();
  const auto known = get("/v1/shape?table=known&offset=7_0&handle=H");
  EXPECT_EQ(known.status, 409);
  EXPECT_EQ(known.body, R"([{"headers":{"control":"must-refetch"}}])");
  EXPECT_EQ(known.header("electric-handle"), "H2");
  EXPECT_EQ(known.header("etag"), "\"H2::\"");
  EXPECT_EQ(known.header("cache-control"), "public, max-age=60, must-revalidate");
  const auto unknown = get("/v1/shape?table=t&offset=7_0&handle=H");
  EXPECT_EQ(unknown.status, 409);
  EXPECT_EQ(unknown.header("electric-handle"), "(none)");
  EXPECT_EQ(unknown.header("etag"), "(none)");
  EXPECT_EQ(unknown.header("cache-control"), "public, max-age=1, must-revalidate");
  const auto posted = ask("POST", "/v1/shape?table=known&offset=7_0&handle=H");
  EXPECT_EQ(posted.status, 409);
  EXPECT_EQ(posted.header("cache-control"), "no-cache");
  EXPECT_EQ(posted.header("electric-handle"), "H2");
  EXPECT_EQ(metrics_.must_refetch_handle.Value(), 2);
  EXPECT_EQ(metrics_.must_refetch_removed.Value(), 1);
}

TEST_F(ServerAnswers, AWrongRequestNamesItsField) {
  refuse_with({{errc::invalid_argument, "At location 17: syntax error at or near \"x\"", "where"}});
  start();
  const auto answer = get("/v1/shape?offset=-1&table=items&where=1+x+1");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(
      answer.body,
      R"({"message":"Invalid request","errors":{"where":["At location 17: syntax error at or near \"x\""]}})");
  EXPECT_EQ(answer.header("cache-control"), "no-store");
  EXPECT_EQ(answer.header("surrogate-control"), "no-store");
  EXPECT_EQ(answer.header("access-control-allow-origin"), "*");
}

TEST_F(ServerAnswers, AnUnknownTableIsAWrongRequest) {
  refuse_with({{errc::not_found, "relation does not exist", "table"}});
  start();
  const auto answer = get(initial);
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.body,
            R"({"message":"Invalid request","errors":{"table":["relation does not exist"]}})");
}

TEST_F(ServerAnswers, ParameterErrorsDoNotReachTheSession) {
  start();
  const auto answer = get("/v1/shape?table=items");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.body, R"({"message":"Invalid request","errors":{"offset":["is required"]}})");
  EXPECT_TRUE(script_.queries.empty());
}

TEST_F(ServerAnswers, AQueryThatIsNotUtf8ClosesWithAnEmpty400) {
  start();
  auto client = connect();
  client.get("/v1/shape?table=%ff&offset=-1");
  const auto answer = client.read_response();
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.body, "");
  EXPECT_EQ(answer.header("content-type"), "(none)");
  EXPECT_TRUE(client.read_to_end());
}

TEST_F(ServerAnswers, ASubsetIsAnsweredAsItIs) {
  script_.answer = [](shape_reader& reader, const shape_query& query) {
    reader.on_subset({.handle = "H",
                      .schema_json = std::make_shared<const std::string>("{}"),
                      .end = query.offset,
                      .body = share("{\"data\":[" + query.subset.value().where + "]}")});
  };
  start();
  const auto check = [](const response& answer) {
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.header("cache-control"), "no-cache");
    EXPECT_EQ(answer.header("electric-snapshot"), "true");
    EXPECT_EQ(answer.header("electric-handle"), "H");
    EXPECT_EQ(answer.header("electric-offset"), "7_0");
    EXPECT_EQ(answer.header("electric-schema"), "{}");
    EXPECT_EQ(answer.header("etag"), "(none)");
    EXPECT_EQ(answer.body, R"({"data":[a=1]})");
  };
  constexpr std::string_view at = "/v1/shape?table=items&offset=7_0&handle=known";
  check(get(std::string{at} + "&subset__where=a%3D1&live=true&live_sse=true"));
  auto client = connect();
  const std::string body = R"({"where":"a=1"})";
  for (int i = 0; i < 3; ++i) {
    client.ask("POST", at, "content-length: " + std::to_string(body.size()) + "\r\n");
    client.send(body);
    check(client.read_response());
    client.ask("POST", at, "transfer-encoding: chunked\r\n");
    client.send("3\r\n" + body.substr(0, 3) + "\r\nC\r\n" + body.substr(3) + "\r\n0\r\n\r\n");
    check(client.read_response());
  }
}

TEST_F(ServerAnswers, SubsetErrorsAreNested) {
  start();
  EXPECT_EQ(get("/v1/shape?table=items&offset=-1&subset__limit=x").body,
            R"({"message":"Invalid request","errors":{"subset":{"limit":)"
            R"(["must be a whole number greater than 0"]}}})");
  EXPECT_EQ(get("/v1/shape?table=items&offset=-1&subset__limit=x&subset__offset=y").body,
            R"({"message":"Invalid request","errors":{"subset":{"limit":)"
            R"(["must be a whole number greater than 0"],"offset":)"
            R"(["must be a whole number, 0 or more"]}}})");
  script_.answer = [](shape_reader& reader, const shape_query&) {
    reader.on_refused({{errc::invalid_argument, "no such value", "subset.where"}, {}, true});
  };
  EXPECT_EQ(get("/v1/shape?table=items&offset=-1&subset__where=a").body,
            R"({"message":"Invalid request","errors":{"subset":{"where":"no such value"}}})");
}

TEST_F(ServerAnswers, APostedLogReadIsNotCached) {
  script_.answer = answer_at_once;
  start();
  auto client = connect();
  client.ask("POST", initial, "content-length: 2\r\n");
  client.send("{}");
  EXPECT_EQ(client.read_response().header("cache-control"), "no-cache");
  client.ask("POST", initial);
  EXPECT_EQ(client.read_response().status, 200) << "no body at all";
}

TEST_F(ServerAnswers, WrongBodiesAreRefusedAsJson) {
  start();
  auto client = connect();
  client.ask("POST", initial, "content-length: 2\r\n");
  client.send("[]");
  const auto wrong = client.read_response();
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(wrong.body, R"({"error":"the body must be a JSON object"})");
  EXPECT_EQ(wrong.header("access-control-allow-origin"), "*");
  client.ask("POST", initial, "content-length: 8000001\r\n");
  const auto large = client.read_response();
  EXPECT_EQ(large.status, 413);
  EXPECT_TRUE(large.body.starts_with(R"({"error":)"));
  EXPECT_EQ(large.header("connection"), "close");
}

TEST_F(ServerAnswers, ASlowBodyIsGivenUp) {
  settings_.body_timeout = 1s;
  start();
  auto client = connect();
  client.ask("POST", initial, "content-length: 10\r\nexpect: 100-continue\r\n");
  ASSERT_TRUE(client.read_until("HTTP/1.1 100 Continue\r\n\r\n"));
  client.send("{");
  ASSERT_TRUE(client.read_until("HTTP/1.1 408 "));
  EXPECT_TRUE(client.read_to_end());
}

TEST_F(ServerAnswers, PreflightNeedsNoSecret) {
  settings_.secret = "hunter2";
  start();
  const auto answer =
      ask("OPTIONS", "/v1/shape",
          "origin: http://app\r\naccess-control-request-headers: content-type,x-t\r\n");
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(answer.header("access-control-allow-origin"), "http://app");
  EXPECT_EQ(answer.header("access-control-allow-headers"), "content-type, x-t");
  EXPECT_EQ(ask("OPTIONS", "/v1/shape").header("access-control-allow-headers"), "(none)");
  EXPECT_EQ(ask("OPTIONS", "/v1/shape", "access-control-request-headers: cookie,\"x\"\r\n")
                .header("access-control-allow-headers"),
            "(none)");
  EXPECT_EQ(answer.header("access-control-allow-methods"), "GET, POST, HEAD, DELETE, OPTIONS");
  EXPECT_EQ(answer.header("access-control-max-age"), "86400");
  EXPECT_EQ(answer.header("connection"), "keep-alive");
  EXPECT_EQ(answer.header("cache-control"), "(none)");
  EXPECT_EQ(answer.header("vary"), "(none)");
}

TEST_F(ServerAnswers, TheSecretGuardsEverySpellingOfTheShapeRoute) {
  settings_.secret = "hunter2";
  settings_.allow_delete = true;
  script_.answer = answer_at_once;
  start();
  const std::string query = "?table=items&offset=-1&handle=known";
  for (const auto* path : {"/v1/shape", "/v1//shape/", "/v1/%73hape", "http://a/v1/shape"})
    for (const auto* verb : {"GET", "HEAD", "POST", "DELETE"})
      EXPECT_EQ(ask(verb, path + query).status, 401) << verb << ' ' << path;
  const auto answer = get("/v1/shape" + query + "&secret=wrong&api_secret=hunter2");
  EXPECT_EQ(answer.status, 401) << "secret alone counts if it is there";
  EXPECT_EQ(answer.header("access-control-allow-origin"), "*");
  EXPECT_EQ(answer.header("content-type"), "application/json; charset=utf-8");
  EXPECT_EQ(answer.header("www-authenticate"), "(none)");
  EXPECT_EQ(answer.header("cache-control"), "max-age=0, private, must-revalidate");
  EXPECT_EQ(get("/v1/shape" + query + "&secret[]=hunter2").status, 401);
  EXPECT_TRUE(script_.queries.empty());
  EXPECT_TRUE(script_.dropped.empty());
  EXPECT_EQ(get("/v1/shape" + query + "&secret=hunter2").status, 200);
  EXPECT_EQ(get("/v1/shape" + query + "&api_secret=hunter2").status, 200);
  EXPECT_EQ(get("/v1/health").status, 200);
}

TEST_F(ServerAnswers, DeletionMustBeAllowed) {
  start();
  const auto answer = ask("DELETE", "/v1/shape?handle=known");
  EXPECT_EQ(answer.status, 405);
  EXPECT_NE(answer.body.find("\"message\""), std::string::npos);
  EXPECT_TRUE(script_.dropped.empty());
}

TEST_F(ServerAnswers, DeletionByHandle) {
  settings_.allow_delete = true;
  start();
  const auto done = ask("DELETE", "/v1/shape?handle=known");
  EXPECT_EQ(done.status, 202);
  EXPECT_EQ(done.body, "");
  EXPECT_EQ(done.header("cache-control"), "no-cache");
  EXPECT_EQ(ask("DELETE", "/v1/shape?handle=other").status, 404);
  EXPECT_NE(ask("DELETE", "/v1/shape").body.find(R"("handle":[)"), std::string::npos);
  EXPECT_EQ(ask("DELETE", "/v1/shape?table=known").status, 202);
  const auto flawed = ask("DELETE", "/v1/shape?table=known&columns=a,");
  EXPECT_EQ(flawed.status, 400);
  EXPECT_NE(flawed.body.find(R"("columns":[)"), std::string::npos);
  const auto mismatch = ask("DELETE", "/v1/shape?table=known&handle=other");
  EXPECT_EQ(mismatch.status, 400);
  EXPECT_EQ(mismatch.body.find("errors"), std::string::npos);
  script_.active = false;
  const auto too_early = ask("DELETE", "/v1/shape?handle=known");
  EXPECT_EQ(too_early.status, 503);
  EXPECT_EQ(too_early.header("retry-after"), "5");
  EXPECT_EQ(too_early.header("cache-control"), "no-cache");
}

TEST_F(ServerAnswers, RequestsAreCountedByRouteAndStatus) {
  script_.answer = answer_at_once;
  start();
  get(initial);
  get("/nowhere");
  const auto count = [this](const char* route, const char* status) {
    return metrics_.http_requests.Add({{"route", route}, {"status", status}}).Value();
  };
  EXPECT_EQ(count("shape", "200"), 1);
  EXPECT_EQ(count("unknown", "404"), 1);
}

} // namespace
} // namespace busbar::http
