// What each sslmode makes of a server with and without TLS, of an authority and of a host name.
#include "tests/integration/postgres_server.hpp"

#include <gmock/gmock.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

namespace busbar::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

enum class authority { none, right, wrong };

struct cell {
  std::string sslmode; ///< Empty: the URL has none.
  authority given = authority::none;
  bool right_host = true;
  bool server_has_tls = true;
};

/// "refused", "plain" or "encrypted".
std::string expected(const cell& c) {
  if (c.given != authority::none && c.sslmode == "disable")
    return "refused"; // they contradict each other
  const bool verifies_host = c.sslmode == "verify-full" ||
                             (c.given != authority::none && !c.sslmode.starts_with("verify-"));
  if (c.sslmode == "verify-ca" || verifies_host)
    return c.server_has_tls && c.given == authority::right && (c.right_host || !verifies_host)
               ? "encrypted"
               : "refused";
  if (c.sslmode == "require")
    return c.server_has_tls ? "encrypted" : "refused";
  if (c.sslmode == "disable" || c.sslmode == "allow" || !c.server_has_tls)
    return "plain";
  return "encrypted"; // prefer, or none
}

class TlsTest : public PostgresTest {
protected:
  void SetUp() override {
    if (server().tls_settings().empty())
      GTEST_SKIP() << "no openssl program";
    PostgresTest::SetUp();
    stranger_ = server().certificate() + ".stranger";
    if (!std::filesystem::exists(stranger_)) {
      const auto made = "/usr/bin/openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "
                        "/CN=stranger -addext subjectAltName=IP:127.0.0.1 -keyout " +
                        stranger_ + ".key -out " + stranger_ + " 2>/dev/null";
      ASSERT_EQ(std::system(made.c_str()), 0);
    }
  }

  void TearDown() override {
    if (!database_.empty())
      PostgresTest::TearDown();
  }

  void restart(const std::vector<std::string>& settings) {
    admin_.reset();
    server().stop(SIGINT);
    server().start(settings);
    admin_ = connect("admin");
  }

  std::string url_of(const cell& c) const {
    // Both names lead to one address; the certificate is for the address alone.
    auto out = "postgresql://busbar:secret@" +
               std::string{c.right_host ? "127.0.0.1" : "localhost"} + ":" +
               std::to_string(server().port()) + "/" + database_ + "?hostaddr=127.0.0.1";
    if (!c.sslmode.empty())
      out += "&sslmode=" + c.sslmode;
    if (c.given != authority::none)
      out += "&sslrootcert=" + (c.given == authority::right ? server().certificate() : stranger_);
    return out;
  }

  std::string outcome(const cell& c) const {
    const auto parsed = postgres::connection_url::parse(url_of(c));
    if (!parsed)
      return "refused";
    auto opened = postgres::connection::open(*parsed, "test", in(10s));
    if (opened)
      return opened->is_encrypted() ? "encrypted" : "plain";
    EXPECT_EQ(opened.error().kind, postgres::trouble::fatal) << opened.error().message;
    EXPECT_THAT(opened.error().message, Not(HasSubstr("secret")));
    EXPECT_THAT(opened.error().message, Not(HasSubstr("\n")));
    return "refused";
  }

  void expect_all(bool server_has_tls) const {
    for (const std::string mode :
         {"", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
      for (const auto given : {authority::none, authority::right, authority::wrong})
        for (const bool right_host : {true, false}) {
          const cell c{mode, given, right_host, server_has_tls};
          EXPECT_EQ(outcome(c), expected(c))
              << "sslmode '" << mode << "', authority " << static_cast<int>(given)
              << (right_host ? "" : ", wrong host") << (server_has_tls ? "" : ", no TLS");
        }
  }

  std::string stranger_;
};

TEST_F(TlsTest, EachModeDoesWithTlsWhatItPromises) {
  restart(server().tls_settings());
  expect_all(true);
  restart({});
}

TEST_F(TlsTest, EachModeDoesWithoutTlsWhatItPromises) {
  expect_all(false);
}

TEST_F(TlsTest, AServerThatDemandsTlsRefusesWhoWillNot) {
  restart(server().tls_settings());
  sql("CREATE ROLE careful LOGIN SUPERUSER PASSWORD 'secret'");
  const auto url = [&](const std::string& mode) {
    return postgres::connection_url::parse(server().url(database_, "careful") + "?sslmode=" + mode)
        .value();
  };
  auto refused = postgres::connection::open(url("disable"), "test", in(10s));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, postgres::trouble::fatal);
  EXPECT_EQ(refused.error().sqlstate, "28000");
  for (const auto* mode : {"allow", "prefer", "require"})
    EXPECT_TRUE(must(postgres::connection::open(url(mode), "test", in(10s))).is_encrypted())
        << mode;
  sql("DROP ROLE careful");
  restart({});
}

} // namespace
} // namespace busbar::testing
