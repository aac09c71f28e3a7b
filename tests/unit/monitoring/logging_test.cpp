#include "monitoring/logging.hpp"
#include "monitoring/storm_limiter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <string>
#include <vector>

namespace busbar::monitoring {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;
using testing::SizeIs;

std::vector<std::string> lines;
void keep(std::string_view line) {
  lines.emplace_back(line);
}

class Logging : public testing::Test {
protected:
  void SetUp() override { lines.clear(); }
  static std::shared_ptr<spdlog::logger> logger(log_settings settings) {
    return make_logger(settings, keep);
  }
};

TEST_F(Logging, ALineOfTextHasTimeLevelAndFields) {
  const auto log = logger({});
  const log_scope scope{{.request_id = "abc", .trace_id = {}, .handle = "1-2", .tenant = "a b"}};
  log->warn("it is {}", "so");
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], MatchesRegex("\\[[0-9-]+ [0-9:.]+\\] \\[warning\\] it is so "
                                     "request_id=abc handle=1-2 tenant=\"a b\""));
}

TEST_F(Logging, ALineOfJsonIsOneObject) {
  const auto log = logger({.format = log_format::json});
  const log_scope scope{{.request_id = {},
                         .trace_id = "4bf92f3577b34da6a3ce929d0e0e4736",
                         .handle = {},
                         .tenant = {}}};
  log->error("a \"quoted\"\nline");
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], MatchesRegex("\\{\"time\":\"[0-9-]+T[0-9:.]+Z\",\"level\":\"error\","
                                     "\"message\":\"a \\\\\"quoted\\\\\"\\\\nline\","
                                     "\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"\\}"));
}

TEST_F(Logging, FieldsEndWithTheirScopeAndScopesNest) {
  const auto log = logger({});
  {
    const log_scope outer{{.request_id = "outer", .trace_id = {}, .handle = {}, .tenant = {}}};
    {
      const log_scope inner{{.request_id = "inner", .trace_id = {}, .handle = {}, .tenant = {}}};
      log->info("1");
    }
    log->info("2");
  }
  log->info("3");
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_THAT(lines[0], EndsWith("1 request_id=inner"));
  EXPECT_THAT(lines[1], EndsWith("2 request_id=outer"));
  EXPECT_THAT(lines[2], EndsWith("] 3"));
}

TEST_F(Logging, SecretsAreHiddenInWhateverSpelling) {
  const auto log = logger({.secrets = {"hunter/2?", "hunter/2?x", "abc"}});
  log->info("hunter/2? and hunter%2F2%3F and hunter/2?x, but abc is too short");
  const log_scope scope{
      {.request_id = "id-hunter/2?-id", .trace_id = {}, .handle = {}, .tenant = {}}};
  log->info("next");
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_THAT(lines[0], EndsWith("******** and ******** and ********, but abc is too short"));
  EXPECT_THAT(lines[1], AllOf(Not(HasSubstr("hunter")), HasSubstr("********")));
}

TEST_F(Logging, ASecretOfStarsDoesNotHang) {
  logger({.secrets = {"****"}})->info("a **** b");
  EXPECT_THAT(lines, SizeIs(1));
}

TEST_F(Logging, AClientCannotForgeALine) {
  const auto log = logger({});
  log->info("x\x1b[31m\r");
  EXPECT_THAT(lines, ElementsAre(EndsWith("x?[31m?")));
}

TEST_F(Logging, AStormIsCutAndSummedUp) {
  const auto log = logger({.alike_max = 3, .period = 1ms});
  for (int i = 0; i < 50; ++i)
    log->warn("shape {} is broken", i);
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (lines.back().find("more lines like this") == std::string::npos &&
         std::chrono::steady_clock::now() < until)
    log->flush();
  EXPECT_THAT(lines.back(), HasSubstr("more lines like this one were left out: shape "));
  log->warn("shape 7 is broken");
  EXPECT_THAT(lines.back(), EndsWith("shape 7 is broken"));
}

TEST_F(Logging, LevelsBelowTheWantedOneAreNotWritten) {
  const auto log = logger({.level = "warning"});
  log->info("no");
  EXPECT_THAT(lines, IsEmpty());
}

TEST(StormLimiter, LinesThatDifferInDigitsAreAlike) {
  storm_limiter limiter{2, 10s};
  const storm_limiter::time begin{1h};
  EXPECT_TRUE(limiter.admits("shape 1-22 is removed", begin));
  EXPECT_TRUE(limiter.admits("shape 333-4 is removed", begin));
  EXPECT_FALSE(limiter.admits("shape 5-6 is removed", begin));
  EXPECT_FALSE(limiter.admits("shape 7-8 is removed", begin + 9s));
  EXPECT_TRUE(limiter.admits("another line", begin));
  EXPECT_THAT(limiter.ended(begin + 9s), IsEmpty());
  EXPECT_THAT(limiter.ended(begin + 10s),
              ElementsAre(std::pair<std::string, std::uint64_t>{"shape 5-6 is removed", 2}));
  EXPECT_TRUE(limiter.admits("shape 9-9 is removed", begin + 10s));
  EXPECT_THAT(limiter.ended(begin + 30s), IsEmpty());
}

TEST(StormLimiter, RemembersNoMoreThanItNeeds) {
  storm_limiter limiter{1, 10s};
  const storm_limiter::time begin{1h};
  for (char a = 'a'; a <= 'z'; ++a)
    for (char b = 'a'; b <= 'z'; ++b)
      for (char c = 'a'; c <= 'd'; ++c)
        EXPECT_TRUE(limiter.admits(std::string{a, b, c}, begin));
  EXPECT_FALSE(limiter.admits("aaa", begin));
}

} // namespace
} // namespace busbar::monitoring
