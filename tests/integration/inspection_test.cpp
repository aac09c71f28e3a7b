#include "postgres/belongings.hpp"
#include "postgres/inspection.hpp"
#include "postgres/publication.hpp"
#include "tests/integration/stream_reader.hpp"

#include <gmock/gmock.h>

namespace busbar::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class InspectionTest : public PostgresTest {
protected:
  std::string publication() const { return stream_settings().publication(); }
  postgres::leaf_inspection leaf(const std::string& name) {
    for (auto& found : must(postgres::inspect_leaves(*admin_, publication(), in(5s))))
      if (found.name == name)
        return found;
    ADD_FAILURE() << "no leaf " << name;
    return {};
  }
};

TEST_F(InspectionTest, TheServerTellsItsSettingsAndItsClock) {
  const auto server = must(postgres::inspect_server(*admin_, in(5s)));
  EXPECT_EQ(server.version, admin_->server_version());
  EXPECT_EQ(server.wal_level, "logical");
  EXPECT_FALSE(server.in_recovery);
  EXPECT_EQ(server.slots_max, 20);
  EXPECT_EQ(server.senders_max, 20);
  EXPECT_EQ(server.slot_wal_keep_mb, -1);
  EXPECT_EQ(server.sender_timeout_ms, 60'000);
  EXPECT_LT(std::chrono::abs(server.clock_ahead), 2s);
  auto walsender = must(postgres::connection::open_replication(url(), in(5s)));
  const auto system = must(postgres::inspect_system(walsender, in(5s)));
  EXPECT_EQ(system.database, database_);
  EXPECT_EQ(system.system_id, value("SELECT system_identifier FROM pg_control_system()"));
  const auto busy = must(postgres::inspect_server(*admin_, in(5s)));
  EXPECT_GE(busy.senders_used, 1);
}

TEST_F(InspectionTest, ARoleTellsWhatItMayDo) {
  EXPECT_TRUE(must(postgres::inspect_role(*admin_, in(5s))).superuser);
  sql("CREATE ROLE weak LOGIN PASSWORD 'x'");
  sql("SET ROLE weak");
  const auto weak = must(postgres::inspect_role(*admin_, in(5s)));
  sql("RESET ROLE");
  sql("DROP ROLE weak");
  EXPECT_EQ(weak.name, "weak");
  EXPECT_FALSE(weak.superuser || weak.replication || weak.creates_in_database);
}

TEST_F(InspectionTest, ASlotTellsWhetherItIsReadAndHowMuchItKeeps) {
  const auto name = stream_settings().slot();
  EXPECT_FALSE(must(postgres::inspect_slot(*admin_, name, in(5s))));
  stream_reader stream{stream_settings()};
  stream.start();
  auto slot = must(postgres::inspect_slot(*admin_, name, in(5s)));
  ASSERT_TRUE(slot);
  EXPECT_EQ(slot->plugin, "pgoutput");
  EXPECT_TRUE(slot->is_here);
  EXPECT_TRUE(slot->active_pid);
  EXPECT_TRUE(slot->confirmed);
  EXPECT_EQ(slot->wal_status, "reserved");
  EXPECT_EQ(slot->invalidated, "");
  EXPECT_GE(slot->retained_bytes, 0);
}

TEST_F(InspectionTest, PublishedTablesTellWhatTheirChangesLack) {
  sql("CREATE TABLE plain (id int PRIMARY KEY); CREATE TABLE keyless (v int);"
      "CREATE TABLE \"a.b\" (id int PRIMARY KEY, v int);"
      "ALTER TABLE \"a.b\" REPLICA IDENTITY FULL, ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL "
      "SECURITY;"
      "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);"
      "CREATE TABLE part_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);"
      "CREATE SCHEMA whole; CREATE TABLE whole.t (id int PRIMARY KEY);"
      "CREATE PUBLICATION " +
      publication() +
      " FOR TABLE plain, keyless, \"a.b\" WHERE (id > 1), parted, TABLES IN SCHEMA whole");
  EXPECT_THAT(must(postgres::inspect_leaves(*admin_, publication(), in(5s))), SizeIs(5));
  EXPECT_EQ(leaf("public.plain").identity, 'd');
  EXPECT_TRUE(leaf("public.plain").has_key);
  EXPECT_FALSE(leaf("public.keyless").has_key);
  EXPECT_EQ(leaf("public.\"a.b\"").identity, 'f');
  EXPECT_TRUE(leaf("public.\"a.b\"").partial);
  EXPECT_FALSE(leaf("public.\"a.b\"").row_security); // a superuser sees all
  EXPECT_EQ(leaf("public.part_1").root, "public.parted");
  EXPECT_EQ(leaf("whole.t").root, "whole.t");
  const auto found = must(postgres::inspect_publication(*admin_, publication(), in(5s)));
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->owned && found->has_all_operations);
  EXPECT_EQ(found->schemas, "whole");

  sql("CREATE ROLE weak LOGIN; REVOKE ALL ON SCHEMA whole FROM PUBLIC;"
      "GRANT SELECT ON \"a.b\" TO weak; SET ROLE weak");
  EXPECT_FALSE(leaf("public.plain").readable || leaf("public.plain").owned);
  EXPECT_TRUE(leaf("public.\"a.b\"").readable);
  EXPECT_TRUE(leaf("public.\"a.b\"").row_security);
  EXPECT_FALSE(must(postgres::inspect_publication(*admin_, publication(), in(5s)))->owned);
  sql("RESET ROLE; DROP OWNED BY weak; DROP ROLE weak");
}

TEST_F(InspectionTest, TwoSessionsOfOneDatabaseAreToldFromThoseOfTwo) {
  auto same = connect();
  EXPECT_TRUE(must(postgres::is_same_database(*admin_, same, in(5s))));
  auto other = must(postgres::connection::open(
      postgres::connection_url::parse(server().url("postgres")).value(), "test", in(5s)));
  EXPECT_FALSE(must(postgres::is_same_database(*admin_, other, in(5s))));
  EXPECT_EQ(value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                  " AND pid = pg_backend_pid()"),
            "0");
}

TEST_F(InspectionTest, WhoLeadsIsFoundByItsLockBeforeItStreams) {
  auto session = connect();
  {
    std::atomic<bool> stop{false};
    auto leader = must(postgres::replication_stream::open(stream_settings(), stop));
    EXPECT_FALSE(must(postgres::take_lead(session, stream_settings(), in(5s))));
    must(postgres::end_leader(session, stream_settings(), in(5s)));
  }
  wait_until("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0");
  EXPECT_TRUE(must(postgres::take_lead(session, stream_settings(), in(5s))));
}

TEST_F(InspectionTest, RemovalLeavesNothingOfOurs) {
  {
    std::atomic<bool> stop{false};
    auto leader = must(postgres::replication_stream::open(stream_settings(), stop));
  }
  auto session = connect();
  const auto ours = must(postgres::find_belongings(session, stream_settings(), in(5s)));
  const auto statements = postgres::removal(ours, stream_settings());
  EXPECT_THAT(statements, SizeIs(2));
  wait_until("SELECT count(*) FROM pg_replication_slots WHERE active AND database = '" + database_ +
                 "'",
             "0");
  for (const auto& statement : statements)
    must(session.command(statement, in(5s)));
  const auto left = must(postgres::find_belongings(session, stream_settings(), in(5s)));
  EXPECT_THAT(postgres::removal(left, stream_settings()), IsEmpty());
  EXPECT_FALSE(left.slot || left.publication);
}

} // namespace
} // namespace busbar::testing
