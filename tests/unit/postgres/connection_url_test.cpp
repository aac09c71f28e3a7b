#include "postgres/connection.hpp"

#include <gmock/gmock.h>

namespace busbar::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

postgres::connection_url accepted(const std::string& url) {
  auto parsed = postgres::connection_url::parse(url);
  EXPECT_TRUE(parsed) << url << ": " << parsed.error().message;
  return parsed.value_or(postgres::connection_url{});
}

std::string refusal(const std::string& url) {
  const auto parsed = postgres::connection_url::parse(url);
  EXPECT_FALSE(parsed) << url;
  if (parsed)
    return {};
  EXPECT_EQ(parsed.error().code, errc::invalid_argument);
  return parsed.error().message;
}

TEST(ConnectionUrl, ShowsEverythingButThePassword) {
  const auto url = accepted("postgresql://me:hunter2@db.example:6543/shop");
  EXPECT_EQ(url.display(), "me@db.example:6543/shop");
  EXPECT_EQ(url.database(), "shop");
  EXPECT_THAT(url.conninfo(), HasSubstr("password='hunter2'"));
}

TEST(ConnectionUrl, FillsInPortAndDatabase) {
  const auto url = accepted("postgres://me@db");
  EXPECT_EQ(url.display(), "me@db:5432/me");
  EXPECT_EQ(url.database(), "me");
}

TEST(ConnectionUrl, DecodesAndQuotes) {
  const auto url = accepted("postgresql://m%40e:p%27%5C%2F@[::1]:5/d%20b");
  EXPECT_EQ(url.display(), "m@e@::1:5/d b");
  EXPECT_THAT(url.conninfo(), HasSubstr("password='p\\'\\\\/'"));
}

TEST(ConnectionUrl, AcceptsSocketsSeveralHostsAndEverySslmode) {
  EXPECT_EQ(accepted("postgresql://me@/db?host=/run/pg&port=5433").display(), "me@/run/pg:5433/db");
  EXPECT_EQ(accepted("postgresql://me@%2Frun%2Fpg/db").display(), "me@/run/pg:5432/db");
  EXPECT_EQ(accepted("postgresql://me@a:1,b:2/db?target_session_attrs=read-write").display(),
            "me@a:1,b:2/db");
  EXPECT_EQ(accepted("postgresql:///db?host=h&user=me&password=x%40y").display(), "me@h:5432/db");
  for (const std::string mode :
       {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
    EXPECT_THAT(accepted("postgresql://me@h/db?sslmode=" + mode).conninfo(),
                HasSubstr("sslmode='" + mode + "'"));
}

TEST(ConnectionUrl, AnAuthorityMeansVerification) {
  EXPECT_THAT(accepted("postgresql://me@h/db?sslmode=require&sslrootcert=/ca.pem").conninfo(),
              HasSubstr("sslmode='verify-full'"));
  EXPECT_THAT(accepted("postgresql://me@h/db?sslmode=verify-ca&sslrootcert=/ca.pem").conninfo(),
              HasSubstr("sslmode='verify-ca'"));
  EXPECT_THAT(refusal("postgresql://me@h/db?sslmode=disable&sslrootcert=/ca.pem"),
              HasSubstr("sslrootcert"));
}

TEST(ConnectionUrl, TheEnvironmentAndHomeDirectoryAreLeftAlone) {
  setenv("PGPASSWORD", "from-environment", 1);
  setenv("PGOPTIONS", "-c geqo=off", 1);
  const auto conninfo = accepted("postgresql://me@h/db").conninfo();
  unsetenv("PGPASSWORD");
  unsetenv("PGOPTIONS");
  EXPECT_THAT(conninfo, HasSubstr("password=''"));
  EXPECT_THAT(conninfo, HasSubstr("options=''"));
  EXPECT_THAT(conninfo, HasSubstr("passfile='/nonexistent'"));
  EXPECT_THAT(conninfo, HasSubstr("sslrootcert='/nonexistent'"));
}

TEST(ConnectionUrl, RefusesWhatItCannotUse) {
  EXPECT_THAT(refusal("mysql://me@h/db"), HasSubstr("postgresql://"));
  EXPECT_THAT(refusal("host=h user=me"), HasSubstr("postgresql://"));
  EXPECT_THAT(refusal(""), HasSubstr("postgresql://"));
  EXPECT_THAT(refusal("postgresql://h/db"), HasSubstr("user"));
  EXPECT_THAT(refusal("postgresql://me@/db"), HasSubstr("host"));
  EXPECT_THAT(refusal("postgresql://me@h/db?replication=database"), HasSubstr("replication"));
  EXPECT_THAT(refusal("postgresql://me@h/db?%72eplication=database"), HasSubstr("replication"));
  EXPECT_THAT(refusal("postgresql://me@h/db?service=x"), HasSubstr("service"));
  EXPECT_THAT(refusal("postgresql://me@h/db?pool_size=3"), HasSubstr("'pool_size'"));
  EXPECT_THAT(refusal("postgresql://me@h/db?sslmode=yes"), HasSubstr("sslmode must be"));
  EXPECT_THAT(refusal("postgresql://me@h:0/db"), HasSubstr("port"));
  EXPECT_THAT(refusal("postgresql://me@h:70000/db"), HasSubstr("port"));
  EXPECT_THAT(refusal("postgresql://me@/db?host=a,b,c&port=1,2"), HasSubstr("port"));
  EXPECT_THAT(refusal("postgresql://me@h/db?connect_timeout"), HasSubstr("no value"));
}

TEST(ConnectionUrl, NoErrorRepeatsThePassword) {
  for (const std::string url :
       {"postgresql://me:s3cr3t@h/db?nonsense=1", "postgresql://me:s3cr3t@h:x/db",
        "postgresql://me:s3cr3t@h/db?sslmode=s", "postgresql://me:s3cr3t%@h/db",
        "postgresql://me:s3cr3t%zz@h/db", "postgresql://me:pa/s3cr3t@h/db",
        "postgresql://me:pa/x?s3cr3t=1@h/db", "postgresql://me:pa@s3cr3t@h/db",
        "postgresql://me:s3cr3t@[::1/db", "postgresql://me:s3cr3t@[::1]x/db",
        "postgresql://:s3cr3t@h/db", "postgresql://me:s3cr3t@/db", "mysql://me:s3cr3t@h/db",
        "me:s3cr3t@h/db", "postgresql://me:pa?s3cr3t@/db", "postgresql://me:s3cr3t"})
    EXPECT_THAT(refusal(url), Not(HasSubstr("s3cr3t"))) << url;
}

TEST(ConnectionUrl, AVanishedServerIsNoticedInHalfAMinuteUnlessTheUrlSaysOtherwise) {
  EXPECT_THAT(accepted("postgresql://me@h/db").conninfo(),
              AllOf(HasSubstr("keepalives_idle='10'"), HasSubstr("keepalives_interval='5'"),
                    HasSubstr("keepalives_count='3'"), HasSubstr("tcp_user_timeout='30000'")));
  EXPECT_THAT(accepted("postgresql://me@h/db?tcp_user_timeout=5&keepalives_idle=60").conninfo(),
              AllOf(HasSubstr("keepalives_idle='60'"), HasSubstr("tcp_user_timeout='5'")));
}

} // namespace
} // namespace busbar::testing
