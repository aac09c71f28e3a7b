// What is said to each version of PostgreSQL; only one of them is there to ask.
#include "postgres/slot_sql.hpp"

#include <gmock/gmock.h>

namespace busbar::postgres {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// F27
TEST(SlotSqlTest, OnlyNewServersAreAskedForAFailoverSlot) {
  for (const int version : {140020, 150018, 160013, 170009, 180003}) {
    SCOPED_TRACE(version);
    const auto plain = create_slot_sql(version, "s", {});
    const auto failover = create_slot_sql(version, "s", {.failover = true});
    EXPECT_THAT(plain, Not(HasSubstr("FAILOVER")));
    if (version >= 170000)
      EXPECT_THAT(failover, HasSubstr("FAILOVER true"));
    else
      EXPECT_EQ(failover, plain);
    EXPECT_THAT(create_slot_sql(version, "s", {.temporary = true, .failover = true}),
                AllOf(HasSubstr("\"s\" TEMPORARY LOGICAL pgoutput"), Not(HasSubstr("FAILOVER"))));
  }
  EXPECT_EQ(create_slot_sql(140000, "a\"b", {}),
            "CREATE_REPLICATION_SLOT \"a\"\"b\" LOGICAL pgoutput NOEXPORT_SNAPSHOT");
  EXPECT_EQ(create_slot_sql(150000, "s", {}),
            "CREATE_REPLICATION_SLOT \"s\" LOGICAL pgoutput (SNAPSHOT 'nothing')");
}

// F37
TEST(SlotSqlTest, EachVersionIsAskedForTheProofThatItHas) {
  EXPECT_THAT(slot_sql(150000, "s"),
              AllOf(HasSubstr("wal_status = 'lost'"), Not(HasSubstr("conflicting")),
                    Not(HasSubstr("invalidation_reason"))));
  EXPECT_THAT(slot_sql(160000, "s"),
              AllOf(HasSubstr("OR conflicting"), Not(HasSubstr("invalidation_reason"))));
  for (const int version : {170000, 180000})
    EXPECT_THAT(slot_sql(version, "s"), HasSubstr("OR invalidation_reason IS NOT NULL"));
}

// F26
TEST(SlotSqlTest, GeneratedColumnsArePublishedWhereTheyCanBe) {
  EXPECT_EQ(make_publication_sql(170000, "p", false), "CREATE PUBLICATION \"p\"");
  EXPECT_EQ(make_publication_sql(180000, "p", false),
            "CREATE PUBLICATION \"p\" WITH (publish_generated_columns = stored)");
  EXPECT_THAT(make_publication_sql(180000, "p", true), HasSubstr("ALTER PUBLICATION \"p\" SET"));
}

// F35
TEST(SlotSqlTest, RunningTransactionsAreLoggedOnDemandWhereThatCanBeAsked) {
  for (const int version : {140018, 150013})
    EXPECT_EQ(standby_snapshot_sql(version), "");
  for (const int version : {160000, 170005, 180001})
    EXPECT_THAT(standby_snapshot_sql(version), HasSubstr("pg_log_standby_snapshot()"));
}

} // namespace
} // namespace busbar::postgres
