#include "app/settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace busbar::app {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using strings = std::vector<std::string>;
using namespace std::chrono_literals;

result<invocation> serve(strings environment) {
  environment.emplace_back("DATABASE_URL=postgresql://ann@db/shop");
  return parse_invocation({"serve"}, environment);
}

std::string complaint(const result<invocation>& parsed) {
  return parsed ? "(accepted)" : parsed.error().message;
}

TEST(GateSettings, AreReadAndTheirSecretsMasked) {
  const auto parsed = serve({"BUSBAR_SECRETS=one,two", "BUSBAR_JWT_KEY_URL=https://i/keys",
                             "BUSBAR_JWT_KEY_PERIOD=60", "BUSBAR_JWT_ISSUER=https://i",
                             "BUSBAR_JWT_AUDIENCE=us", "BUSBAR_JWT_CLOCK_SKEW=5s",
                             "BUSBAR_POLICY_FILE=/p.yaml", "BUSBAR_GRANT_KEY_FILE=/g.pem"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  const auto& config = parsed->config;
  EXPECT_THAT(config.more_secrets, ElementsAre("one", "two"));
  EXPECT_EQ(config.gate.key_url, "https://i/keys");
  EXPECT_EQ(config.gate.key_period, 60s);
  EXPECT_EQ(config.gate.expected.issuer, "https://i");
  EXPECT_EQ(config.gate.expected.audience, "us");
  EXPECT_EQ(config.gate.expected.clock_skew, 5s);
  EXPECT_EQ(config.gate.policy_file, "/p.yaml");
  EXPECT_EQ(config.gate.grant_key_file, "/g.pem");
  EXPECT_THAT(describe(config),
              AllOf(HasSubstr("BUSBAR_SECRETS=********\n"), HasSubstr("BUSBAR_INSECURE=false\n"),
                    HasSubstr("BUSBAR_JWT_CLOCK_SKEW=5s\n"), Not(HasSubstr("two"))));
  EXPECT_FALSE(serve({"BUSBAR_INSECURE=true"})->config.gate.active());
}

TEST(GateSettings, TakeThePlaceOfASecret) {
  EXPECT_TRUE(serve({"BUSBAR_SECRETS=one"}));
  EXPECT_TRUE(serve({"BUSBAR_GRANT_KEY_FILE=/g"}));
  EXPECT_TRUE(serve({"BUSBAR_JWT_KEY_FILE=/k", "BUSBAR_POLICY_FILE=/p"}));
  EXPECT_THAT(complaint(serve({"BUSBAR_SECRETS=one,,two", "BUSBAR_SECRET=x"})), HasSubstr("empty"));
  for (const auto* gate : {"BUSBAR_SECRETS=one", "BUSBAR_GRANT_KEY_FILE=/g"})
    EXPECT_THAT(complaint(serve({gate, "BUSBAR_INSECURE=true"})), HasSubstr("contradicts")) << gate;
}

TEST(GateSettings, AreRefusedInHalves) {
  EXPECT_THAT(complaint(serve({"BUSBAR_JWT_KEY_FILE=/k"})), HasSubstr("BUSBAR_POLICY_FILE"));
  EXPECT_THAT(complaint(serve({"BUSBAR_POLICY_FILE=/p", "BUSBAR_SECRET=x"})),
              HasSubstr("BUSBAR_JWT_KEY_FILE"));
  EXPECT_THAT(complaint(serve({"BUSBAR_JWT_KEY_FILE=/k", "BUSBAR_JWT_KEY_URL=https://k",
                               "BUSBAR_POLICY_FILE=/p"})),
              HasSubstr("both set"));
  EXPECT_THAT(complaint(serve({"BUSBAR_JWT_KEY_URL=file:///k", "BUSBAR_POLICY_FILE=/p"})),
              HasSubstr("https://"));
}

TEST(GateSettings, PolicyCheckNeedsNoDatabaseAndReadsOnlyThem) {
  const auto parsed =
      parse_invocation({"policy", "check", "--token", "a.b.c", "--table", "t", "--jwt-key-file=/k"},
                       {"BUSBAR_POLICY_FILE=/p", "BUSBAR_PORT=nonsense", "BUSBAR_UNKNOWN=1"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->what, command::check_policy);
  EXPECT_EQ(parsed->token, "a.b.c");
  EXPECT_EQ(parsed->table, "t");
  EXPECT_EQ(parsed->config.gate.key_file, "/k");
  for (const strings& arguments : {strings{"policy"},
                                   {"policy", "check"},
                                   {"policy", "chek", "--token", "x"},
                                   {"policy", "check", "--token", "x", "--port", "1"},
                                   {"policy", "check", "--token", "x", "y"}})
    EXPECT_FALSE(parse_invocation(arguments, {})) << arguments.size();
  EXPECT_THAT(parse_invocation({"policy", "--help"}, {})->text, HasSubstr("policy check"));
}

} // namespace
} // namespace busbar::app
