#include "app/settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace busbar::app {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using strings = std::vector<std::string>;
using namespace std::chrono_literals;

constexpr auto url = "DATABASE_URL=postgresql://ann:pa55word@db.example:5433/shop";

/// Of an environment that is complete but for what is added.
result<invocation> serve(strings environment, strings flags = {}) {
  environment.emplace_back(url);
  flags.insert(flags.begin(), "serve");
  return parse_invocation(flags, environment);
}

result<invocation> serve_insecure(strings environment, strings flags = {}) {
  environment.emplace_back("BUSBAR_INSECURE=true");
  return serve(std::move(environment), std::move(flags));
}

settings config_of(const result<invocation>& parsed) {
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed ? parsed->config : settings{};
}

std::string message_of(const result<invocation>& parsed) {
  EXPECT_FALSE(parsed);
  if (parsed)
    return {};
  EXPECT_EQ(parsed.error().code, errc::misconfigured);
  EXPECT_THAT(parsed.error().message, AllOf(Not(IsEmpty()), Not(HasSubstr("\n"))));
  return parsed.error().message;
}

TEST(Settings, DefaultsHoldWhereNothingIsSaid) {
  const auto config = config_of(serve({"BUSBAR_SECRET=s3cret"}));
  EXPECT_EQ(config.database_url, "postgresql://ann:pa55word@db.example:5433/shop");
  EXPECT_EQ(config.snapshot_database_url, config.database_url);
  EXPECT_EQ(config.secret, "s3cret");
  EXPECT_EQ(config.port, 3000);
  EXPECT_EQ(config.metrics_port, 9464);
  EXPECT_EQ(config.storage_dir, "./busbar-data");
  EXPECT_EQ(config.stream_id, "default");
  EXPECT_EQ(config.long_poll, 20s);
  EXPECT_EQ(config.initial_requests_max, 300u);
}

TEST(Settings, EveryElectricNameMeansTheSameAsOurs) {
  const auto config = config_of(
      serve({"ELECTRIC_SECRET=s", "ELECTRIC_PORT=4000", "ELECTRIC_PROMETHEUS_PORT=9000",
             "ELECTRIC_STORAGE_DIR=/srv/shapes", "ELECTRIC_REPLICATION_STREAM_ID=blue_2",
             "ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD=64KiB", "ELECTRIC_LONG_POLL_TIMEOUT=1500",
             "ELECTRIC_CACHE_MAX_AGE=1", "ELECTRIC_CACHE_STALE_AGE=2m",
             "ELECTRIC_ENABLE_INTEGRATION_TESTING=true", "ELECTRIC_TCP_SEND_TIMEOUT=5s",
             "ELECTRIC_TCP_READ_TIMEOUT=90s", "ELECTRIC_LOG_LEVEL=warning",
             "ELECTRIC_MAX_CONCURRENT_REQUESTS={\"initial\":3,\"existing\":7}",
             "ELECTRIC_QUERY_DATABASE_URL=postgresql://ann@pooler/shop"}));
  EXPECT_EQ(config.secret, "s");
  EXPECT_EQ(config.port, 4000);
  EXPECT_EQ(config.metrics_port, 9000);
  EXPECT_EQ(config.storage_dir, "/srv/shapes");
  EXPECT_EQ(config.stream_id, "blue_2");
  EXPECT_EQ(config.chunk_bytes, 65'536u);
  EXPECT_EQ(config.long_poll, 1500ms);
  EXPECT_EQ(config.cache_max_age, 1s);
  EXPECT_EQ(config.cache_stale_age, 120s);
  EXPECT_TRUE(config.integration_testing);
  EXPECT_EQ(config.send_timeout, 5s);
  EXPECT_EQ(config.idle_timeout, 90s);
  EXPECT_EQ(config.log_level, "warning");
  EXPECT_EQ(config.initial_requests_max, 3u);
  EXPECT_EQ(config.existing_requests_max, 7u);
  EXPECT_EQ(config.snapshot_database_url, "postgresql://ann@pooler/shop");
}

TEST(Settings, AFlagWinsOverTheEnvironment) {
  const auto config =
      config_of(serve_insecure({"BUSBAR_PORT=4000", "BUSBAR_STORAGE_DIR=/a"}, {"--port", "5000"}));
  EXPECT_EQ(config.port, 5000);
  EXPECT_EQ(config.storage_dir, "/a");
}

TEST(Settings, EverythingCanBeSaidWithFlagsAlone) {
  const auto config = config_of(parse_invocation(
      {"serve", "--database-url=postgresql://ann@db/shop", "--insecure", "--metrics-port=0"}, {}));
  EXPECT_EQ(config.database_url, "postgresql://ann@db/shop");
  EXPECT_EQ(config.secret, std::nullopt);
  EXPECT_EQ(config.metrics_port, 0);
}

TEST(Settings, ASwitchCanBeSwitchedOffByFlag) {
  EXPECT_THAT(message_of(serve_insecure({}, {"--insecure=false"})), HasSubstr("BUSBAR_SECRET"));
}

TEST(Settings, AnEmptyVariableCountsAsNotSet) {
  const auto config = config_of(serve_insecure({"BUSBAR_SECRET=", "BUSBAR_PORT="}));
  EXPECT_EQ(config.secret, std::nullopt);
  EXPECT_EQ(config.port, 3000);
}

TEST(Settings, RefusesToStartWithoutSecretOrInsecureModeAndSaysWhatToSet) {
  EXPECT_THAT(message_of(serve({})),
              AllOf(HasSubstr("BUSBAR_SECRET"), HasSubstr("BUSBAR_INSECURE=true")));
  EXPECT_THAT(message_of(serve({"BUSBAR_INSECURE=false"})), HasSubstr("BUSBAR_SECRET"));
}

TEST(Settings, RefusesASecretInInsecureModeWithoutRepeatingIt) {
  EXPECT_THAT(message_of(serve_insecure({"ELECTRIC_SECRET=hunter2"})),
              AllOf(HasSubstr("BUSBAR_INSECURE"), Not(HasSubstr("hunter2"))));
}

TEST(Settings, RefusesToStartWithoutDatabase) {
  EXPECT_THAT(message_of(parse_invocation({"serve"}, {"BUSBAR_INSECURE=true"})),
              HasSubstr("DATABASE_URL is not set"));
}

TEST(Settings, AMalformedDatabaseUrlIsRefusedWithoutItsPassword) {
  for (const auto* bad :
       {"mysql://ann:pa55word@db/shop", "postgresql://ann:pa55word@/shop",
        "postgresql://:pa55word@db/shop", "postgresql://ann:pa55word@db:port/shop",
        "postgresql://ann:pa55word@db/shop?replication=database", "pa55word",
        "postgresql://ann:p/pa55word@db/shop", "postgresql://ann:p@pa55word@db/shop",
        "postgresql://ann:pa55word@db/shop?sslmode=maybe",
        "postgresql://ann:pa55word@db/shop?colour=red"}) {
    const auto message = message_of(
        parse_invocation({"serve"}, {"BUSBAR_INSECURE=true", std::string{"DATABASE_URL="} + bad}));
    EXPECT_THAT(message, AllOf(StartsWith("DATABASE_URL: "), Not(HasSubstr("pa55word")))) << bad;
  }
}

TEST(Settings, AnUnknownVariableIsRefusedWithTheNearestName) {
  EXPECT_THAT(message_of(serve_insecure({"BUSBAR_PROT=1"})),
              HasSubstr("unknown setting BUSBAR_PROT, did you mean BUSBAR_PORT?"));
  EXPECT_THAT(message_of(serve_insecure({"ELECTRIC_STORAGE_DRI=/a"})),
              HasSubstr("did you mean ELECTRIC_STORAGE_DIR?"));
  EXPECT_THAT(message_of(serve_insecure({"BUSBAR_PROMETHEUS_PORT=1"})),
              HasSubstr("did you mean BUSBAR_METRICS_PORT?"));
  EXPECT_THAT(
      message_of(serve_insecure({"BUSBAR_XYZZYPLUGH=1"})),
      AllOf(HasSubstr("BUSBAR_XYZZYPLUGH"), HasSubstr("--help"), Not(HasSubstr("did you mean"))));
}

TEST(Settings, VariablesOfOthersAreNoConcernOfOurs) {
  const auto parsed = serve_insecure({"PATH=/bin", "PGPASSWORD=x", "ELECTRICITY=on", "NOVALUE"});
  EXPECT_TRUE(parsed) << parsed.error().message;
}

TEST(Settings, VariablesThatKubernetesAddsForAServiceOfOurNameAreIgnored) {
  const auto config = config_of(
      serve_insecure({"BUSBAR_PORT=tcp://10.0.0.7:3000", "BUSBAR_SERVICE_HOST=10.0.0.7",
                      "BUSBAR_SERVICE_PORT_HTTP=3000", "BUSBAR_PORT_3000_TCP_ADDR=10.0.0.7",
                      "ELECTRIC_SERVICE_HOST=10.0.0.8", "ELECTRIC_PORT=4000"}));
  EXPECT_EQ(config.port, 4000);
}

TEST(Settings, ElectricVariablesWithoutCounterpartAreAcceptedAndNotedIfTheyMatter) {
  const auto parsed = serve_insecure({"ELECTRIC_DB_POOL_SIZE=5", "ELECTRIC_STATSD_HOST=x",
                                      "ELECTRIC_MANUAL_TABLE_PUBLISHING=false",
                                      "ELECTRIC_TELEMETRY_LONG_GC_THRESHOLD=1"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_THAT(parsed->notes, ElementsAre(StartsWith("ELECTRIC_STATSD_HOST has no effect")));
}

TEST(Settings, ShapesExpireOnlyIfThatIsAskedFor) {
  const auto none = config_of(serve_insecure({}));
  EXPECT_EQ(none.shapes_max, 0u);
  EXPECT_EQ(none.storage_bytes_max, 0u);
  EXPECT_EQ(none.shape_idle.count(), 0);
  const auto some =
      config_of(serve_insecure({"ELECTRIC_MAX_SHAPES=10", "BUSBAR_MAX_STORAGE_BYTES=2GiB",
                                "BUSBAR_SHAPE_IDLE_TIMEOUT=30m"}));
  EXPECT_EQ(some.shapes_max, 10u);
  EXPECT_EQ(some.storage_bytes_max, std::size_t{2} << 30);
  EXPECT_EQ(some.shape_idle, std::chrono::minutes{30});
}

TEST(Settings, TwoNamesOfOneSettingMustAgree) {
  EXPECT_EQ(config_of(serve_insecure({"BUSBAR_PORT=4000", "ELECTRIC_PORT=4000"})).port, 4000);
  EXPECT_THAT(message_of(serve_insecure({"BUSBAR_PORT=4000", "ELECTRIC_PORT=4001"})),
              AllOf(HasSubstr("BUSBAR_PORT"), HasSubstr("ELECTRIC_PORT")));
  EXPECT_THAT(message_of(serve({"BUSBAR_SECRET=hunter2", "ELECTRIC_SECRET=hunter3"})),
              AllOf(HasSubstr("BUSBAR_SECRET"), Not(HasSubstr("hunter"))));
}

TEST(Settings, AValueOutOfRangeIsRefusedUnderTheNameThatWasUsed) {
  const auto wrong = serve_insecure({"ELECTRIC_PORT=65536"});
  EXPECT_THAT(message_of(wrong), StartsWith("ELECTRIC_PORT: '65536'"));
  EXPECT_EQ(wrong.error().field, "BUSBAR_PORT");
  EXPECT_THAT(message_of(serve_insecure({}, {"--port", "x"})), StartsWith("--port: 'x'"));
  for (const auto* bad :
       {"BUSBAR_INSECURE=perhaps", "BUSBAR_LONG_POLL_TIMEOUT=0", "BUSBAR_LONG_POLL_TIMEOUT=20h",
        "BUSBAR_TCP_SEND_TIMEOUT=999", "BUSBAR_CACHE_MAX_AGE=-1", "BUSBAR_LOG_LEVEL=loud",
        "BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD=10MiBs", "BUSBAR_LISTEN_ADDRESS=localhost",
        "BUSBAR_SNAPSHOT_CONNECTIONS=0", "BUSBAR_CACHE_BYTES=1", "BUSBAR_MEMORY_BUDGET=1MiB"}) {
    const std::string line = bad;
    EXPECT_THAT(message_of(serve_insecure({line})), StartsWith(line.substr(0, line.find('='))));
  }
}

TEST(Settings, TheStreamIdFitsIntoTheNamesOfSlotAndPublication) {
  EXPECT_EQ(config_of(serve_insecure({"BUSBAR_REPLICATION_STREAM_ID=" + std::string(44, 'a')}))
                .stream_id.size(),
            44u);
  for (const auto& bad : {std::string{"Blue"}, std::string{"a-b"}, std::string(45, 'a')})
    EXPECT_THAT(message_of(serve_insecure({"BUSBAR_REPLICATION_STREAM_ID=" + bad})),
                HasSubstr(bad));
}

TEST(Settings, ConcurrentRequestsAreAJsonObjectOfTheTwoClasses) {
  const auto one = config_of(serve_insecure({R"(BUSBAR_MAX_CONCURRENT_REQUESTS={"initial":5})"}));
  EXPECT_EQ(one.initial_requests_max, 5u);
  EXPECT_EQ(one.existing_requests_max, 10'000u);
  for (const auto* bad : {"300", "{", "[]", R"({"initial":0})", R"({"initial":"5"})",
                          R"({"initial":-1})", R"({"exiting":5})"})
    EXPECT_THAT(message_of(serve_insecure({std::string{"BUSBAR_MAX_CONCURRENT_REQUESTS="} + bad})),
                HasSubstr(R"({"initial":300,"existing":10000})"))
        << bad;
}

TEST(Settings, HttpAndMetricsNeedPortsOfTheirOwn) {
  EXPECT_THAT(message_of(serve_insecure({"BUSBAR_PORT=9464"})),
              AllOf(HasSubstr("BUSBAR_METRICS_PORT"), HasSubstr("9464")));
  EXPECT_TRUE(serve_insecure({"BUSBAR_PORT=0", "BUSBAR_METRICS_PORT=0"}));
}

TEST(Settings, ACertificateFileBecomesPartOfBothUrls) {
  const auto config = config_of(serve_insecure(
      {"ELECTRIC_DATABASE_CA_CERTIFICATE_FILE=/etc/my ca.pem",
       "BUSBAR_POOLED_DATABASE_URL=postgresql://ann@pooler/shop?connect_timeout=5"}));
  EXPECT_THAT(config.database_url, HasSubstr("/shop?sslrootcert=/etc/my%20ca.pem"));
  EXPECT_THAT(config.snapshot_database_url,
              HasSubstr("connect_timeout=5&sslrootcert=/etc/my%20ca.pem"));
}

TEST(Settings, ACertificateFileWithoutTlsIsAContradiction) {
  EXPECT_THAT(message_of(parse_invocation(
                  {"serve"}, {"BUSBAR_INSECURE=true", "BUSBAR_DATABASE_CA_CERTIFICATE_FILE=/ca.pem",
                              "DATABASE_URL=postgresql://ann@db/shop?sslmode=disable"})),
              AllOf(StartsWith("BUSBAR_DATABASE_CA_CERTIFICATE_FILE: "), HasSubstr("disable")));
}

TEST(Settings, TcpSettingsGoIntoBothUrlsUnlessTheySaySo) {
  const auto config = config_of(serve_insecure(
      {"ELECTRIC_DATABASE_TCP_KEEPALIVE_IDLE=60", "BUSBAR_DATABASE_TCP_USER_TIMEOUT=5s",
       "ELECTRIC_DATABASE_TCP_KEEPALIVE_COUNT=9",
       "BUSBAR_POOLED_DATABASE_URL=postgresql://ann@pooler/shop?keepalives_idle=7"}));
  EXPECT_THAT(config.database_url,
              HasSubstr("/shop?keepalives_idle=60&keepalives_count=9&tcp_user_timeout=5000"));
  EXPECT_THAT(config.snapshot_database_url,
              HasSubstr("?keepalives_idle=7&keepalives_count=9&tcp_user_timeout=5000"));
}

TEST(Settings, AnUnknownFlagIsRefusedWithoutItsValue) {
  EXPECT_THAT(
      message_of(serve_insecure({}, {"--secert", "hunter2"})),
      AllOf(HasSubstr("--secert"), HasSubstr("did you mean --secret?"), Not(HasSubstr("hunter2"))));
  EXPECT_THAT(message_of(serve_insecure({}, {"--secert=hunter2"})), Not(HasSubstr("hunter2")));
  EXPECT_THAT(message_of(serve_insecure({}, {"hunter2"})), Not(HasSubstr("hunter2")));
  EXPECT_THAT(message_of(serve_insecure({}, {"--port"})), HasSubstr("--port"));
}

// F63
TEST(Settings, TheEffectiveConfigurationMasksSecrets) {
  const auto text = describe(config_of(serve({"BUSBAR_SECRET=hunter2", "BUSBAR_PORT=4000"})));
  EXPECT_THAT(text,
              AllOf(HasSubstr("BUSBAR_PORT=4000\n"), HasSubstr("BUSBAR_LONG_POLL_TIMEOUT=20s"),
                    HasSubstr("DATABASE_URL=ann@db.example:5433/shop\n"), Not(HasSubstr("hunter2")),
                    Not(HasSubstr("pa55word"))));
}

/// A member's environment, but for what is added.
strings member(strings more = {}) {
  more.insert(more.end(), {"BUSBAR_CLUSTER_ADDRESS=node-1:7000",
                           "BUSBAR_CLUSTER_SECRET=a secret of the cluster"});
  return more;
}
const std::string peers = "BUSBAR_CLUSTER_PEERS=node-1:7000,[fd00::2]:7000,10.0.0.3:7001";

TEST(ClusterSettings, WithoutThemThisIsASingleNode) {
  const auto config = config_of(serve_insecure({}));
  EXPECT_FALSE(config.clustered());
  EXPECT_EQ(config.cluster_grace, 30s);
  EXPECT_EQ(config.cluster_log_bytes, 1u << 30);
}

TEST(ClusterSettings, MembersAreListedOrFoundByName) {
  const auto listed = config_of(
      serve_insecure(member({peers, "BUSBAR_CLUSTER_GRACE=5s", "BUSBAR_CLUSTER_LOG_BYTES=2MiB"})));
  EXPECT_TRUE(listed.clustered());
  EXPECT_THAT(listed.cluster_peers, ElementsAre("node-1:7000", "[fd00::2]:7000", "10.0.0.3:7001"));
  EXPECT_EQ(listed.cluster_address, "node-1:7000");
  EXPECT_EQ(listed.cluster_grace, 5s);
  EXPECT_EQ(listed.cluster_log_bytes, 2u << 20);
  const auto named =
      config_of(serve_insecure(member({"BUSBAR_CLUSTER_DNS=busbar.example.svc:7000"})));
  EXPECT_TRUE(named.clustered());
  EXPECT_EQ(named.cluster_dns, "busbar.example.svc:7000");
}

TEST(ClusterSettings, WhatContradictsItselfIsRefusedUnderItsName) {
  const std::pair<strings, std::string> cases[] = {
      {member({peers, "BUSBAR_CLUSTER_DNS=busbar:7000"}), "BUSBAR_CLUSTER_DNS"},
      {{peers, "BUSBAR_CLUSTER_ADDRESS=node-1:7000"}, "BUSBAR_CLUSTER_SECRET"},
      {{peers, "BUSBAR_CLUSTER_SECRET=0123456789abcdef"}, "BUSBAR_CLUSTER_ADDRESS"},
      {member({"BUSBAR_CLUSTER_PEERS=node-2:7000,node-3:7000"}), "BUSBAR_CLUSTER_ADDRESS"},
      {member({peers, "BUSBAR_PORT=7000"}), "BUSBAR_CLUSTER_ADDRESS"},
      {member({peers, "BUSBAR_METRICS_PORT=7000"}), "BUSBAR_CLUSTER_ADDRESS"},
      {member({peers, "BUSBAR_TEMPORARY_REPLICATION_SLOT=true"}),
       "BUSBAR_TEMPORARY_REPLICATION_SLOT"},
      {{"BUSBAR_CLUSTER_ADDRESS=node-1:7000"}, "BUSBAR_CLUSTER_ADDRESS"},
      {{"BUSBAR_CLUSTER_SECRET=0123456789abcdef"}, "BUSBAR_CLUSTER_SECRET"},
      {member({"BUSBAR_CLUSTER_PEERS=node-1:7000,"}), "BUSBAR_CLUSTER_PEERS"},
      {member({"BUSBAR_CLUSTER_PEERS=node-1:7000,node-1:7000"}), "BUSBAR_CLUSTER_PEERS"},
      {member({"BUSBAR_CLUSTER_PEERS=node-1"}), "BUSBAR_CLUSTER_PEERS"},
      {member({"BUSBAR_CLUSTER_PEERS=node-1:70000"}), "BUSBAR_CLUSTER_PEERS"},
      {member({"BUSBAR_CLUSTER_DNS=busbar"}), "BUSBAR_CLUSTER_DNS"},
      {{peers, "BUSBAR_CLUSTER_ADDRESS=node 1:7000"}, "BUSBAR_CLUSTER_ADDRESS"},
      {{peers, "BUSBAR_CLUSTER_ADDRESS=node-1:0"}, "BUSBAR_CLUSTER_ADDRESS"},
      {member({peers, "BUSBAR_CLUSTER_GRACE=soon"}), "BUSBAR_CLUSTER_GRACE"},
      {member({peers, "BUSBAR_CLUSTER_LOG_BYTES=1"}), "BUSBAR_CLUSTER_LOG_BYTES"},
  };
  for (const auto& [environment, field] : cases) {
    const auto parsed = serve_insecure(environment);
    EXPECT_THAT(message_of(parsed), HasSubstr(field)) << environment.front();
    EXPECT_EQ(parsed ? "" : parsed.error().field, field) << environment.front();
  }
}

TEST(ClusterSettings, TheSecretIsNeitherShownNorRepeated) {
  const auto config = config_of(serve_insecure(member({peers})));
  EXPECT_THAT(describe(config), AllOf(HasSubstr("BUSBAR_CLUSTER_SECRET=********\n"),
                                      Not(HasSubstr("a secret of the cluster"))));
  EXPECT_THAT(message_of(serve_insecure({peers, "BUSBAR_CLUSTER_SECRET=tooshort"})),
              AllOf(HasSubstr("16 characters"), Not(HasSubstr("tooshort"))));
}

TEST(CommandLine, VersionIsOneLine) {
  const auto parsed = parse_invocation({"--version"}, {});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->what, command::print_version);
  EXPECT_EQ(parsed->text, "busbar 0.1.0");
}

TEST(CommandLine, HelpNeedsNoSettings) {
  for (const auto& arguments : {strings{}, strings{"--help"}, strings{"-h"}}) {
    const auto parsed = parse_invocation(arguments, {"BUSBAR_PROT=1"});
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->what, command::print_help);
    EXPECT_THAT(parsed->text, HasSubstr("busbar serve"));
  }
}

TEST(CommandLine, HelpOfServeListsEverySettingThatDescribeShows) {
  const auto parsed = parse_invocation({"serve", "--help"}, {});
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->what, command::print_help);
  EXPECT_THAT(parsed->text, HasSubstr("--port    BUSBAR_PORT, ELECTRIC_PORT\n"));
  EXPECT_THAT(parsed->text, HasSubstr("Default: 20s."));
  const auto listed = describe(settings{});
  std::size_t count = 0;
  for (std::size_t at = 0; at < listed.size(); at = listed.find('\n', at) + 1, ++count)
    EXPECT_THAT(parsed->text, HasSubstr(listed.substr(at, listed.find('=', at) - at)));
  EXPECT_GE(count, 20u);
}

TEST(CommandLine, DoctorTakesTheSameSettingsAndTellsWhatServeWouldRefuse) {
  const auto parsed = parse_invocation({"doctor", "--json", "--storage-dir", "/d"}, {url});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->what, command::doctor);
  EXPECT_TRUE(parsed->json);
  EXPECT_EQ(parsed->config.storage_dir, "/d");
  EXPECT_THAT(parsed->config.database_url, HasSubstr("db.example"));
  ASSERT_TRUE(parsed->fault);
  EXPECT_EQ(parsed->fault->field, "BUSBAR_SECRET");
  EXPECT_FALSE(parse_invocation({"doctor"}, {url, "BUSBAR_SECRET=s"})->fault);
}

TEST(CommandLine, DoctorGoesOnWithoutSettingsThatCannotBeRead) {
  const auto parsed = parse_invocation({"doctor"}, {url, "BUSBAR_PORT=zero"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_TRUE(parsed->fault);
  EXPECT_EQ(parsed->fault->field, "BUSBAR_PORT");
}

TEST(CommandLine, CleanupNeedsNoSecretButADatabase) {
  const auto parsed = parse_invocation({"cleanup", "--dry-run", "--force"}, {url});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->what, command::cleanup);
  EXPECT_TRUE(parsed->dry_run && parsed->force && !parsed->replica_identity);
  EXPECT_TRUE(parse_invocation({"cleanup", "--replica-identity"}, {url})->replica_identity);
  EXPECT_THAT(message_of(parse_invocation({"cleanup"}, {})), HasSubstr("DATABASE_URL"));
  EXPECT_THAT(message_of(parse_invocation({"cleanup", "--json"}, {url})), HasSubstr("--json"));
}

TEST(CommandLine, OnlyOneCommandIsTaken) {
  EXPECT_THAT(message_of(parse_invocation({"cleanup", "serve"}, {url})), HasSubstr("only flags"));
}

TEST(CommandLine, HelpSaysTheExitStatus) {
  for (const std::string command : {"doctor", "cleanup"}) {
    const auto parsed = parse_invocation({command, "--help"}, {});
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_THAT(parsed->text,
                AllOf(StartsWith("Usage: busbar " + command), HasSubstr("Exit status: 0")));
  }
}

TEST(CommandLine, HealthReadsOnlyWhereToAsk) {
  const auto parsed = parse_invocation({"health"}, {"ELECTRIC_PORT=4000",
                                                    "BUSBAR_LISTEN_ADDRESS=::", "BUSBAR_PROT=1",
                                                    "BUSBAR_LONG_POLL_TIMEOUT=soon"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->what, command::health);
  EXPECT_EQ(parsed->config.port, 4000);
  EXPECT_EQ(parsed->config.listen_address, "::");
  EXPECT_FALSE(parsed->must_be_active);
}

TEST(CommandLine, HealthTakesFlagsForWhereToAskAndWhatIsEnough) {
  const auto parsed = parse_invocation({"health", "--active", "--port", "4001"}, {"BUSBAR_PORT=1"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->config.port, 4001);
  EXPECT_TRUE(parsed->must_be_active);
  EXPECT_THAT(message_of(parse_invocation({"health", "--port", "x"}, {})), HasSubstr("--port"));
  for (const auto& wrong : {strings{"health", "--secret", "x"}, strings{"health", "now"}})
    EXPECT_THAT(message_of(parse_invocation(wrong, {})), HasSubstr("`busbar health` takes only"));
}

TEST(CommandLine, ClusterStatusReadsWhereToAskAndTheSecret) {
  const auto parsed =
      parse_invocation({"cluster", "status", "--json", "--strict", "--port", "4001"},
                       {"BUSBAR_LISTEN_ADDRESS=::1", "ELECTRIC_SECRET=hush",
                        "BUSBAR_LONG_POLL_TIMEOUT=soon", "BUSBAR_CLUSTER_SECRET=x"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->what, command::cluster_status);
  EXPECT_EQ(parsed->config.port, 4001);
  EXPECT_EQ(parsed->config.listen_address, "::1");
  EXPECT_EQ(parsed->config.secret, "hush");
  EXPECT_TRUE(parsed->json);
  EXPECT_TRUE(parsed->strict);
  for (const auto& wrong :
       {strings{"cluster"}, strings{"cluster", "join"}, strings{"cluster", "status", "now"},
        strings{"cluster", "status", "--database-url", "x"}, strings{"cluster", "--active"}})
    EXPECT_THAT(message_of(parse_invocation(wrong, {})),
                HasSubstr("`busbar cluster` takes only status"));
}

TEST(CommandLine, AnUnknownCommandIsRefused) {
  EXPECT_THAT(message_of(parse_invocation({"srve"}, {})),
              AllOf(HasSubstr("srve"), HasSubstr("busbar serve")));
}

} // namespace
} // namespace busbar::app
