#include "postgres/catalog.hpp"
#include "postgres/publication.hpp"
#include "tests/integration/postgres_server.hpp"

#include <gmock/gmock.h>

#include <future>

namespace busbar::testing {
namespace {

using postgres::publishing;
using ::testing::HasSubstr;

class PublicationTest : public PostgresTest {
protected:
  void SetUp() override {
    PostgresTest::SetUp();
    sql("CREATE PUBLICATION pub; CREATE TABLE t (a int PRIMARY KEY);"
        "CREATE TABLE root (a int) PARTITION BY RANGE (a);"
        "CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE high PARTITION OF root FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (a);"
        "CREATE TABLE high_only PARTITION OF high FOR VALUES FROM (10) TO (20)");
  }
  table_info table(const std::string& name) {
    return must(postgres::find_table(*admin_, "public", name, in(10s))).value();
  }
  postgres::pg_result_of<publishing>
  ensure(const std::string& name, std::chrono::milliseconds time = 10s, bool force = false) {
    const auto found = table(name);
    auto session = connect("publication");
    return postgres::ensure_published(session, "pub", found, force, in(time));
  }
  /// Starts ensure() on a thread and waits until it waits for open writers.
  std::future<postgres::pg_result_of<publishing>> ensure_until_barrier(const std::string& name,
                                                                       bool force = false) {
    auto running = std::async(std::launch::async, [this, name, force, found = table(name)] {
      auto session = connect("publication");
      return postgres::ensure_published(session, "pub", found, force, in(20s));
    });
    wait_until("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'busbar publication'"
               " AND query LIKE '%virtualtransaction = ANY%' AND datname = current_database()",
               "1");
    return running;
  }
  std::string members() {
    return value("SELECT coalesce(string_agg(prrelid::regclass::text, ' ' ORDER BY 1), '')"
                 " FROM pg_publication_rel");
  }
  std::string with_identity() {
    return value("SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '') FROM pg_class"
                 " WHERE relreplident = 'f'");
  }
};

// F41
TEST_F(PublicationTest, AddsATableWithFullIdentityOnce) {
  EXPECT_EQ(must(ensure("t")), publishing::added_table);
  EXPECT_EQ(members(), "t");
  EXPECT_EQ(with_identity(), "t");
  EXPECT_EQ(must(ensure("t")), publishing::was_complete);
}

TEST_F(PublicationTest, OfAPartitionedTableTheRootIsAddedAndTheLeavesGetTheIdentity) {
  EXPECT_EQ(must(ensure("root")), publishing::added_table);
  EXPECT_EQ(members(), "root");
  EXPECT_EQ(with_identity(), "high_only low");
  EXPECT_EQ(must(ensure("low")), publishing::was_complete) << "a leaf is published with its root";
  sql("CREATE TABLE lower PARTITION OF root FOR VALUES FROM (-10) TO (0)");
  EXPECT_EQ(must(ensure("root")), publishing::set_identity);
  EXPECT_EQ(with_identity(), "high_only low lower");
}

TEST_F(PublicationTest, NewLeavesAreGivenTheIdentityOnlyBelowAPublishedTable) {
  const auto root = table("root");
  must(postgres::complete_identity(*admin_, "pub", root, in(10s)));
  EXPECT_EQ(with_identity(), "");
  EXPECT_EQ(members(), "");
  must(ensure("root"));
  sql("CREATE TABLE lower PARTITION OF root FOR VALUES FROM (-10) TO (0);"
      "CREATE TABLE apart (a int); ALTER TABLE high ATTACH PARTITION apart DEFAULT");
  must(postgres::complete_identity(*admin_, "pub", root, in(10s)));
  EXPECT_EQ(with_identity(), "apart high_only low lower");
  EXPECT_EQ(members(), "root");
}

TEST_F(PublicationTest, ALostIdentityIsRestored) {
  must(ensure("t"));
  sql("ALTER TABLE t REPLICA IDENTITY DEFAULT");
  EXPECT_EQ(must(ensure("t")), publishing::set_identity);
  EXPECT_EQ(with_identity(), "t");
}

// F02
TEST_F(PublicationTest, WaitsForAWriterThatWasOpenBeforeButNotForALaterOne) {
  sql("ALTER TABLE t REPLICA IDENTITY FULL"); // so that no lock hides the writer
  auto writer = connect();
  must(writer.command("BEGIN; INSERT INTO t VALUES (1)", in(5s)));
  auto running = ensure_until_barrier("t");
  auto later = connect();
  must(later.command("BEGIN; INSERT INTO t VALUES (2)", in(5s)));
  EXPECT_EQ(running.wait_for(0s), std::future_status::timeout);
  must(writer.command("COMMIT", in(5s)));
  EXPECT_EQ(must(running.get()), publishing::added_table);
  must(later.command("ROLLBACK", in(5s)));
}

// F02
TEST_F(PublicationTest, WaitsForAWriterOfALeaf) {
  sql("ALTER TABLE low REPLICA IDENTITY FULL; ALTER TABLE high_only REPLICA IDENTITY FULL");
  auto writer = connect();
  must(writer.command("BEGIN; INSERT INTO low VALUES (1)", in(5s)));
  auto running = ensure_until_barrier("root");
  EXPECT_EQ(running.wait_for(0s), std::future_status::timeout);
  must(writer.command("COMMIT", in(5s)));
  EXPECT_EQ(must(running.get()), publishing::added_table);
}

// F02
TEST_F(PublicationTest, WaitsForAPreparedTransaction) {
  sql("ALTER TABLE t REPLICA IDENTITY FULL");
  sql("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'p_" + database_ + "'");
  auto running = ensure_until_barrier("t");
  EXPECT_EQ(running.wait_for(0s), std::future_status::timeout);
  sql("COMMIT PREPARED 'p_" + database_ + "'");
  EXPECT_EQ(must(running.get()), publishing::added_table);
}

// F41
TEST_F(PublicationTest, ABarrierCanBeForcedForATableThatIsInPlace) {
  must(ensure("t"));
  auto writer = connect();
  must(writer.command("BEGIN; INSERT INTO t VALUES (1)", in(5s)));
  EXPECT_EQ(must(ensure("t")), publishing::was_complete) << "in place, so nobody is waited for";
  auto running = ensure_until_barrier("t", true);
  EXPECT_EQ(running.wait_for(0s), std::future_status::timeout);
  must(writer.command("COMMIT", in(5s)));
  EXPECT_EQ(must(running.get()), publishing::was_complete);
}

// F02
TEST_F(PublicationTest, TheBarrierEndsAtItsDeadlineAndNamesTheWriter) {
  sql("ALTER TABLE t REPLICA IDENTITY FULL");
  auto writer = connect();
  must(writer.command("BEGIN; INSERT INTO t VALUES (1)", in(5s)));
  const auto outcome = ensure("t", 500ms);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, postgres::trouble::transient);
  EXPECT_THAT(outcome.error().message, HasSubstr(std::to_string(writer.backend_pid())));
  must(writer.command("COMMIT", in(5s)));
}

TEST_F(PublicationTest, AReaderThatStaysOpenIsNotWaitedFor) {
  sql("ALTER TABLE t REPLICA IDENTITY FULL");
  auto reader = connect();
  must(reader.command("BEGIN; SELECT * FROM t", in(5s)));
  EXPECT_EQ(must(ensure("t")), publishing::added_table);
  must(reader.command("COMMIT", in(5s)));
}

// F39
TEST_F(PublicationTest, ALockThatIsTakenIsTriedAgain) {
  auto reader = connect();
  must(reader.command("BEGIN; SELECT * FROM t", in(5s))); // blocks REPLICA IDENTITY
  auto running = std::async(std::launch::async, [this, found = table("t")] {
    auto session = connect("publication");
    return postgres::ensure_published(session, "pub", found, false, in(30s));
  });
  // Longer than one lock_timeout: the ROLLBACK of the first try shows up.
  wait_until("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'busbar publication'"
             " AND query = 'ROLLBACK'",
             "1");
  must(reader.command("COMMIT", in(5s)));
  EXPECT_EQ(must(running.get()), publishing::added_table);
}

TEST_F(PublicationTest, ForeignOwnersAreFatalWithTheStatementThatIsMissing) {
  sql("CREATE ROLE other_" + database_ + "; SET ROLE other_" + database_);
  const auto found = table("t");
  const auto outcome = postgres::ensure_published(*admin_, "pub", found, false, in(10s));
  sql("RESET ROLE; DROP ROLE other_" + database_);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, postgres::trouble::fatal);
  EXPECT_THAT(outcome.error().message, HasSubstr("ADD TABLE ONLY \"public\".\"t\""));
}

TEST_F(PublicationTest, ARowFilterAndMissingOperationsAreFatal) {
  sql("ALTER PUBLICATION pub ADD TABLE t WHERE (a > 1)");
  auto outcome = ensure("t");
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, postgres::trouble::fatal);
  sql("ALTER PUBLICATION pub SET (publish = 'insert')");
  outcome = ensure("t");
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, postgres::trouble::fatal);
}

TEST_F(PublicationTest, ATableThatWasRenamedIsReportedAsMissing) {
  const auto found = table("t");
  sql("ALTER TABLE t RENAME TO u");
  const auto outcome = postgres::ensure_published(*admin_, "pub", found, false, in(10s));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().sqlstate, "42P01");
}

// F39
TEST_F(PublicationTest, ManyCallersAtOnceAllSucceed) {
  const auto found = table("t");
  std::vector<std::future<postgres::pg_result_of<publishing>>> running;
  for (int i = 0; i < 6; ++i)
    running.push_back(std::async(std::launch::async, [this, &found] {
      auto session = connect("publication");
      return postgres::ensure_published(session, "pub", found, false, in(20s));
    }));
  for (auto& each : running) {
    const auto outcome = each.get();
    EXPECT_TRUE(outcome) << outcome.error().sqlstate << " " << outcome.error().message;
  }
  EXPECT_EQ(members(), "t");
}

} // namespace
} // namespace busbar::testing
