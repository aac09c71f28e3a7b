#include "tests/integration/postgres_server.hpp"

#include <gmock/gmock.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

namespace busbar::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

postgres::connection_url parsed(const std::string& url) {
  return postgres::connection_url::parse(url).value();
}

class ConnectionTest : public PostgresTest {
protected:
  /// Why a connection to `url` is refused.
  static postgres::pg_error refusal(const std::string& url) {
    auto opened = postgres::connection::open(parsed(url), "test", in(10s));
    return opened ? postgres::pg_error{postgres::trouble::none, "", "connected"}
                  : std::move(opened).error();
  }
};

TEST_F(ConnectionTest, ConnectsOverTcpAndOverASocketDirectory) {
  EXPECT_EQ(value("SELECT current_setting('application_name')"), "busbar admin");
  auto local =
      must(postgres::connection::open(parsed(server().socket_url(database_)), "x", in(10s)));
  EXPECT_EQ(must(local.command("SELECT current_database()", in(5s))).text(0, 0), database_);
  EXPECT_GT(local.backend_pid(), 0);
  EXPECT_EQ(std::to_string(local.server_version()), value("SHOW server_version_num"));
}

TEST_F(ConnectionTest, AWrongPasswordIsFatalAndNotRepeated) {
  const auto why = refusal(server().url(database_, "busbar", "wr0ng"));
  EXPECT_EQ(why.kind, postgres::trouble::fatal);
  EXPECT_EQ(why.sqlstate, "28P01");
  EXPECT_THAT(why.message, Not(HasSubstr("wr0ng")));
}

TEST_F(ConnectionTest, AMissingPasswordIsFatalAndTheEnvironmentDoesNotSupplyOne) {
  setenv("PGPASSWORD", "secret", 1);
  const auto why =
      refusal("postgresql://busbar@127.0.0.1:" + std::to_string(server().port()) + "/" + database_);
  unsetenv("PGPASSWORD");
  EXPECT_EQ(why.kind, postgres::trouble::fatal) << why.message;
}

TEST_F(ConnectionTest, AMissingDatabaseAndAMissingHbaEntryAreFatal) {
  EXPECT_EQ(refusal(server().url("nowhere")).kind, postgres::trouble::fatal);
  EXPECT_EQ(refusal(server().url("nowhere")).sqlstate, "3D000");
  sql("CREATE ROLE stranger LOGIN PASSWORD 'secret'");
  const auto why = refusal(server().url(database_, "stranger"));
  sql("DROP ROLE stranger");
  EXPECT_EQ(why.kind, postgres::trouble::fatal);
  EXPECT_EQ(why.sqlstate, "28000");
}

TEST_F(ConnectionTest, TlsThatTheServerLacksIsFatal) {
  EXPECT_EQ(refusal(server().url(database_) + "?sslmode=require").kind, postgres::trouble::fatal);
}

TEST_F(ConnectionTest, ARefusedConnectionIsTransientAndAnUnknownHostFatal) {
  EXPECT_EQ(refusal("postgresql://u:p@127.0.0.1:1/db").kind, postgres::trouble::transient);
  const auto why = refusal("postgresql://u:p@no-such-host.invalid/db");
  // Without any name server the answer is "try again", which is transient.
  EXPECT_THAT(why.message, HasSubstr("no-such-host.invalid"));
}

TEST_F(ConnectionTest, ASecondHostIsTriedWhenTheFirstRefuses) {
  const auto port = std::to_string(server().port());
  auto opened = postgres::connection::open(
      parsed("postgresql://busbar:secret@localhost:1,127.0.0.1:" + port + "/" + database_), "test",
      in(10s));
  EXPECT_TRUE(opened) << opened.error().message;
}

TEST_F(ConnectionTest, AServerThatNeverAnswersCostsNoMoreThanTheDeadline) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const auto begun = std::chrono::steady_clock::now();
  const auto target =
      parsed("postgresql://u:p@127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/db");
  const auto opened = postgres::connection::open(target, "test", in(200ms));
  close(listener);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, postgres::trouble::transient);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
}

TEST_F(ConnectionTest, AQueryBeyondItsDeadlineIsCancelledAndTheSessionClosed) {
  auto session = connect();
  const auto pid = std::to_string(session.backend_pid());
  const auto outcome = session.command("SELECT pg_sleep(60)", in(200ms));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, postgres::trouble::transient);
  EXPECT_FALSE(session.usable());
  wait_until("SELECT count(*) FROM pg_stat_activity WHERE pid = " + pid, "0");
}

TEST_F(ConnectionTest, AnErrorKeepsItsSqlstateAndTheSession) {
  const auto outcome = admin_->query("SELECT * FROM missing", {}, in(5s));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().sqlstate, "42P01");
  EXPECT_TRUE(admin_->usable());
}

TEST_F(ConnectionTest, ParametersMayBeNullOrHoldAnything) {
  const std::optional<std::string> parameters[] = {std::nullopt, "it's \\ \"x\"\n"};
  auto outcome = must(admin_->query("SELECT $1::text, $2::text", parameters, in(5s)));
  EXPECT_EQ(outcome.at(0, 0), std::nullopt);
  EXPECT_EQ(outcome.text(0, 1), "it's \\ \"x\"\n");
}

TEST_F(ConnectionTest, QuotedTextComesBackInEitherSettingOfStandardConformingStrings) {
  const std::string nasty = "it's \\ \\n \"x\"";
  for (const std::string setting : {"on", "off"}) {
    sql("SET standard_conforming_strings = " + setting);
    EXPECT_EQ(value("SELECT " + postgres::quote_literal(nasty)), nasty);
  }
  EXPECT_EQ(value("SELECT 7 AS " + postgres::quote_identifier("a\"b")), "7");
}

TEST_F(ConnectionTest, ATerminatedSessionIsTransientAndNoLongerUsable) {
  auto session = connect();
  sql("SELECT pg_terminate_backend(" + std::to_string(session.backend_pid()) + ")");
  wait_until("SELECT count(*) FROM pg_stat_activity WHERE pid = " +
                 std::to_string(session.backend_pid()),
             "0");
  const auto outcome = session.command("SELECT 1", in(5s));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, postgres::trouble::transient) << outcome.error().message;
  EXPECT_FALSE(session.usable());
}

/// The server listens on both loopback addresses until the test ends.
class Ipv6Test : public ConnectionTest {
protected:
  void SetUp() override {
    const int probe = socket(AF_INET6, SOCK_STREAM, 0);
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    const bool works =
        probe >= 0 && bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    close(probe);
    if (!works)
      GTEST_SKIP() << "no IPv6 loopback";
    server().stop(SIGINT);
    server().start({"listen_addresses=127.0.0.1,::1"});
    changed_ = true;
    ConnectionTest::SetUp();
  }
  void TearDown() override {
    if (!changed_)
      return;
    ConnectionTest::TearDown();
    server().stop(SIGINT);
    server().start();
  }
  bool changed_ = false;
};

TEST_F(Ipv6Test, AnAddressInBracketsIsConnectedToAndReplicatedFrom) {
  const auto url = parsed("postgresql://busbar:secret@[::1]:" + std::to_string(server().port()) +
                          "/" + database_);
  auto session = must(postgres::connection::open(url, "test", in(10s)));
  EXPECT_EQ(must(session.command("SELECT host(inet_client_addr())", in(5s))).text(0, 0), "::1");
  auto walsender = must(postgres::connection::open_replication(url, in(10s)));
  EXPECT_EQ(must(walsender.command("IDENTIFY_SYSTEM", in(5s))).text(0, 3), database_);
  EXPECT_THAT(url.display(), HasSubstr("::1"));
}

TEST_F(Ipv6Test, AnAddressThatRefusesGivesWayToTheNextOfEitherFamily) {
  const auto port = std::to_string(server().port());
  for (const auto& [hosts, wanted] : {std::pair{"[::1]:1,127.0.0.1:" + port, "127.0.0.1"},
                                      std::pair{"127.0.0.1:1,[::1]:" + port, "::1"}}) {
    auto session = must(postgres::connection::open(
        parsed("postgresql://busbar:secret@" + hosts + "/" + database_), "test", in(10s)));
    EXPECT_EQ(must(session.command("SELECT host(inet_client_addr())", in(5s))).text(0, 0), wanted);
  }
}

TEST_F(ConnectionTest, ANameWithAnUnreachableAddressIsReachedByItsOther) {
  // localhost is ::1 and 127.0.0.1, and the server listens on the latter only.
  auto session =
      must(postgres::connection::open(parsed("postgresql://busbar:secret@localhost:" +
                                             std::to_string(server().port()) + "/" + database_),
                                      "test", in(10s)));
  EXPECT_EQ(must(session.command("SELECT host(inet_client_addr())", in(5s))).text(0, 0),
            "127.0.0.1");
}

TEST_F(ConnectionTest, TargetSessionAttributesChooseAmongTheHosts) {
  const auto with = [&](const std::string& wanted) {
    return parsed(server().url(database_) + "?target_session_attrs=" + wanted);
  };
  for (const std::string wanted : {"any", "read-write", "primary", "prefer-standby"})
    EXPECT_TRUE(postgres::connection::open(with(wanted), "test", in(10s))) << wanted;
  for (const std::string wanted : {"read-only", "standby"}) {
    const auto refused = refusal(server().url(database_) + "?target_session_attrs=" + wanted);
    EXPECT_EQ(refused.kind, postgres::trouble::transient) << refused.message; // a failover may come
  }
  EXPECT_FALSE(
      postgres::connection_url::parse(server().url(database_) + "?target_session_attr=any"));
}

TEST_F(ConnectionTest, TheSocketHasTheKernelAskAfterAServerThatIsSilent) {
  auto session = connect();
  const auto option = [&](int level, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    EXPECT_EQ(getsockopt(PQsocket(session.raw()), level, name, &value, &size), 0);
    return value;
  };
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPIDLE), 10);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPINTVL), 5);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPCNT), 3);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_USER_TIMEOUT), 30'000);
}

} // namespace
} // namespace busbar::testing
