#include "postgres/session.hpp"

#include <gtest/gtest.h>

namespace busbar::testing {
namespace {

using postgres::trouble;

// F36, F59
TEST(PgError, SqlstatesTellWhatToDo) {
  struct {
    const char* state;
    const char* message;
    trouble expected;
  } const cases[] = {
      {"57P01", "terminating connection due to administrator command", trouble::transient},
      {"57P03", "the database system is starting up", trouble::transient},
      {"53300", "sorry, too many clients already", trouble::transient},
      {"55006", "replication slot \"s\" is active for PID 7", trouble::transient},
      {"57014", "canceling statement due to user request", trouble::transient},
      {"53100", "could not write: No space left on device", trouble::transient},
      {"53400", "all replication slots are in use", trouble::transient},
      {"58P02", "could not create directory \"pg_replslot/s.tmp\"", trouble::transient},
      {"08006", "connection failure", trouble::transient},
      {"08P01", "server conn crashed?", trouble::transient},
      {"08P01", "unsupported startup parameter: replication", trouble::fatal},
      {"99999", "something new", trouble::transient},
      {"55000", "logical decoding requires wal_level >= logical", trouble::fatal},
      {"42501", "must be superuser or replication role to start walsender", trouble::fatal},
      {"28P01", "password authentication failed for user \"u\"", trouble::fatal},
      {"28000", "no pg_hba.conf entry for host", trouble::fatal},
      {"28000", "branch \"b\" does not exist", trouble::transient},
      {"3D000", "database \"d\" does not exist", trouble::fatal},
      {"42601", "syntax error", trouble::fatal},
      {"XX000", "password authentication failed", trouble::fatal},
      {"XX000", "cache lookup failed", trouble::transient},
      {"55000", "can no longer get changes from replication slot \"s\"", trouble::slot_lost},
      {"42704", "replication slot \"s\" does not exist", trouble::slot_lost},
      {"42704", "publication \"p\" does not exist", trouble::slot_lost},
      {"58P01", "requested WAL segment 000000010000000000000001 has already been removed",
       trouble::slot_lost},
      {"", "connection to server at \"h\" failed: Connection refused", trouble::transient},
      {"", "server closed the connection unexpectedly", trouble::transient},
      {"", "could not translate host name \"h\" to address: Name or service not known",
       trouble::fatal},
      {"", "could not translate host name \"h\": Temporary failure in name resolution",
       trouble::transient},
      {"", "server does not support SSL, but SSL was required", trouble::fatal},
      {"", "SSL error: certificate verify failed", trouble::fatal},
      {"", "fe_sendauth: no password supplied", trouble::fatal},
  };
  for (const auto& each : cases)
    EXPECT_EQ(postgres::classify(each.state, each.message).kind, each.expected)
        << each.state << " " << each.message;
}

// F33, F36, F59
TEST(PgError, WhyThereIsNoStreamHasANameAndASentenceWithoutHosts) {
  struct {
    const char* state;
    const char* message;
    const char* name;
  } const cases[] = {
      {"28P01", "password authentication failed for user \"u\"", "invalid_password"},
      {"28000", "no pg_hba.conf entry for host \"h\"", "not_authorized"},
      {"3D000", "database \"d\" does not exist", "no_such_database"},
      {"42501", "must be superuser or replication role to start walsender", "missing_privilege"},
      {"42601", "syntax error", "pooler"},
      {"08P01", "unsupported startup parameter: replication", "pooler"},
      {"08P01", "server conn crashed?", "connection_lost"},
      {"55000", "logical decoding requires wal_level >= logical", "wal_level"},
      {"55000", "can no longer get changes from replication slot \"s\"", "slot_lost"},
      {"57P01", "terminating connection due to administrator command", "shutting_down"},
      {"53300", "sorry, too many clients already", "too_many_connections"},
      {"53400", "all replication slots are in use", "too_many_slots"},
      {"53100", "could not write: No space left on device", "no_resources"},
      {"58P02", "could not create directory \"pg_replslot/s.tmp\"", "no_resources"},
      {"55006", "replication slot \"s\" is active for PID 7", "slot_in_use"},
      {"25006", "the server is a standby", "standby"},
      {"99999", "something new at host h", "database_error"},
      {"", "could not translate host name \"h\" to address: Name or service not known",
       "unknown_host"},
      {"", "SSL error: certificate verify failed", "tls"},
      {"", "connection to server at \"h\" failed: Connection refused", "connection_refused"},
      {"", "connecting: PostgreSQL did not answer in time", "timeout"},
      {"", "server closed the connection unexpectedly", "connection_lost"},
      {"", "storage does not accept writes", "storage"},
  };
  for (const auto& each : cases) {
    const auto why = postgres::classify(each.state, each.message).why_no_stream();
    EXPECT_EQ(why.name, each.name) << each.state << " " << each.message;
    EXPECT_EQ(why.text.find('"'), std::string_view::npos) << why.text;
    EXPECT_FALSE(why.text.empty());
  }
  const postgres::pg_error ours{trouble::fatal, {}, "publication \"p\" does not exist"};
  EXPECT_EQ(ours.why_no_stream().name, "publication");
}

// F59
TEST(PgError, OnlyFatalTroubleIsAMisconfiguration) {
  EXPECT_EQ(postgres::classify("28P01", "no").to_error().code, errc::misconfigured);
  EXPECT_EQ(postgres::classify("57P01", "no").to_error().code, errc::unavailable);
  EXPECT_EQ(postgres::classify("42704", "publication").to_error().code, errc::unavailable);
  EXPECT_EQ(postgres::classify("57P01", "bye").to_error().message, "bye (SQLSTATE 57P01)");
}

TEST(PgError, ClientsAreToldTheNameOfTheTroubleAndNoHost) {
  const struct {
    const char* state;
    errc code;
    bool known;
    const char* said;
  } cases[] = {
      {"42P01", errc::must_refetch, false, "words"},
      {"42703", errc::must_refetch, false, "words"},
      {"42883", errc::must_refetch, false, "words"},
      {"", errc::unavailable, true, "the database is unreachable, or does not answer in time"},
      {"08006", errc::unavailable, true, "the database is unreachable, or does not answer in time"},
      {"57P01", errc::unavailable, true, "the database is unreachable, or does not answer in time"},
      {"28P01", errc::unavailable, true, "the database is unreachable, or does not answer in time"},
      {"28000", errc::unavailable, true, "the database is unreachable, or does not answer in time"},
      {"3D000", errc::unavailable, true, "the database is unreachable, or does not answer in time"},
      {"53300", errc::unavailable, true, "the database has no connection to spare"},
      {"53100", errc::unavailable, true, "the database lacks resources"},
      {"58030", errc::unavailable, true, "the database lacks resources"},
      {"55P03", errc::unavailable, true, "the table is locked"},
      {"57014", errc::unavailable, true, "the query took too long and was cancelled"},
      {"25P03", errc::unavailable, true, "the query took too long and was cancelled"},
      {"42501", errc::unavailable, true, "words"},
      {"42704", errc::unavailable, true, "words"},
      {"55000", errc::unavailable, true, "words"},
      {"40P01", errc::unavailable, true, "words"},
      {"22P02", errc::corrupt, false, "words (SQLSTATE 22P02)"},
      {"XX001", errc::corrupt, false, "words (SQLSTATE XX001)"},
  };
  for (const auto& each : cases) {
    const auto told = postgres::classify(each.state, "words").for_clients();
    EXPECT_EQ(told.code, each.code) << each.state;
    EXPECT_EQ(told.known, each.known) << each.state;
    EXPECT_EQ(told.message, each.said) << each.state;
  }
}

TEST(PgError, AClauseThatFailsOnARowIsTheClientsErrorAndQuotesNoRow) {
  const auto told = postgres::classify("22012", "division by zero").of_clause("where");
  ASSERT_TRUE(told);
  EXPECT_EQ(told->code, errc::invalid_argument);
  EXPECT_EQ(told->field, "where");
  EXPECT_NE(told->message.find("22012"), std::string::npos);
  const auto quoting = postgres::classify("22P02", "invalid input syntax for type integer: \"s3\"");
  EXPECT_EQ(quoting.of_clause("where")->message.find("s3"), std::string::npos);
  for (const auto* state : {"", "57014", "42703", "XX000", "53300"})
    EXPECT_FALSE(postgres::classify(state, "words").of_clause("where")) << state;
}

TEST(PgError, MessagesAreOneLine) {
  EXPECT_EQ(postgres::one_line("a\n\tb  c\r\n"), "a b c");
  EXPECT_EQ(postgres::one_line("\n"), "");
}

} // namespace
} // namespace busbar::testing
