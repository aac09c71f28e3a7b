#include "postgres/catalog.hpp"
#include "postgres/publication.hpp"
#include "tests/integration/postgres_server.hpp"

#include <gmock/gmock.h>

#include <algorithm>

namespace busbar::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class FactsTest : public PostgresTest {
protected:
  void SetUp() override {
    PostgresTest::SetUp();
    sql("CREATE TABLE plain (a int PRIMARY KEY, gone int, b text NOT NULL);"
        "ALTER TABLE plain DROP gone;"
        "CREATE TABLE root (a int PRIMARY KEY, b text) PARTITION BY RANGE (a);"
        "CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE high PARTITION OF root FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (a);"
        "CREATE TABLE deep PARTITION OF high FOR VALUES FROM (10) TO (20);"
        "CREATE PUBLICATION p");
  }
  std::uint32_t oid(const std::string& table) {
    return static_cast<std::uint32_t>(
        std::stoul(value("SELECT 'public." + table + "'::regclass::oid")));
  }
  postgres::found_facts find(const std::vector<std::string>& tables) {
    std::vector<std::uint32_t> oids;
    for (const auto& table : tables)
      oids.push_back(oid(table));
    return must(postgres::find_facts(*admin_, "p", oids, in(10s)));
  }
  table_facts facts(const std::string& table) {
    const auto found = find({table});
    EXPECT_THAT(found.catalog.tables, SizeIs(1));
    return *found.catalog.tables.at(0);
  }
  std::vector<std::uint32_t> partitions(const std::string& table) {
    std::vector<std::uint32_t> oids;
    for (const auto& partition : facts(table).partitions)
      oids.push_back(partition.oid);
    return oids;
  }
  bool has_identity(const std::string& table) { return find({table}).without_identity.empty(); }
};

TEST_F(FactsTest, AllTablesAreReadInOneQueryAndAsOfOneSnapshot) {
  const auto found = find({"plain", "root", "low"});
  ASSERT_THAT(found.catalog.tables, SizeIs(3));
  for (const auto& facts : found.catalog.tables) {
    const auto single = must(postgres::find_table(*admin_, "public", facts->table.name, in(10s)));
    EXPECT_EQ(facts->table, single);
  }
  const auto now = std::stoull(value("SELECT pg_snapshot_xmax(pg_current_snapshot())"));
  EXPECT_LE(found.catalog.seen.xmax, now);
  EXPECT_GT(found.catalog.seen.xmax, 0u);
  EXPECT_THAT(must(postgres::find_facts(*admin_, "p", {}, in(10s))).catalog.tables, IsEmpty());
}

TEST_F(FactsTest, ColumnsKeepTheirNumbers) {
  const auto columns = facts("plain").table.columns;
  ASSERT_THAT(columns, SizeIs(2));
  EXPECT_EQ(columns[0].number, 1);
  EXPECT_EQ(columns[1].number, 3);
}

TEST_F(FactsTest, WhoLeavesThePublicationAndComesBackIsPublishedByAnotherRow) {
  EXPECT_THAT(facts("plain").published_by, IsEmpty());
  sql("ALTER PUBLICATION p ADD TABLE plain");
  const auto first = facts("plain").published_by;
  EXPECT_THAT(first, SizeIs(1));
  sql("ALTER PUBLICATION p ADD TABLE root");
  EXPECT_EQ(facts("plain").published_by, first);
  sql("ALTER PUBLICATION p DROP TABLE plain");
  sql("ALTER PUBLICATION p ADD TABLE plain");
  EXPECT_THAT(facts("plain").published_by, SizeIs(1));
  EXPECT_NE(facts("plain").published_by, first);
}

TEST_F(FactsTest, APartitionIsPublishedWithWhatStandsAboveIt) {
  sql("ALTER PUBLICATION p ADD TABLE root");
  const auto root = facts("root").published_by;
  EXPECT_THAT(root, SizeIs(1));
  EXPECT_THAT(facts("deep").published_by, IsEmpty());
  EXPECT_EQ(facts("deep").published_above, root);
  sql("ALTER PUBLICATION p ADD TABLE high");
  EXPECT_THAT(facts("deep").published_above, SizeIs(2));
  EXPECT_EQ(facts("low").published_above, root);
  EXPECT_THAT(facts("high").published_by, SizeIs(1));
  EXPECT_EQ(facts("high").published_above, root);
}

TEST_F(FactsTest, EveryStepUpNamesItsTransaction) {
  sql("ALTER PUBLICATION p ADD TABLE root");
  const auto before = facts("deep");
  EXPECT_THAT(before.placed_by, SizeIs(2));
  EXPECT_THAT(facts("low").placed_by, SizeIs(1));
  EXPECT_THAT(facts("root").placed_by, IsEmpty());
  sql("ALTER TABLE root DETACH PARTITION high");
  EXPECT_THAT(facts("deep").published_above, IsEmpty());
  sql("ALTER TABLE root ATTACH PARTITION high FOR VALUES FROM (10) TO (20)");
  const auto after = facts("deep");
  EXPECT_EQ(after.published_above, before.published_above);
  EXPECT_NE(after.placed_by, before.placed_by);
}

TEST_F(FactsTest, WholeSchemasAndAllTablesArePublishedToo) {
  sql("CREATE PUBLICATION every FOR ALL TABLES; CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA "
      "public");
  for (const auto* publication : {"every", "of_schema"}) {
    const auto asked = oid("plain");
    const auto found = must(postgres::find_facts(*admin_, publication, {&asked, 1}, in(10s)));
    EXPECT_THAT(found.catalog.tables.at(0)->published_by, SizeIs(1)) << publication;
  }
}

TEST_F(FactsTest, APublicationThatWithholdsSomethingPublishesNothing) {
  sql("ALTER PUBLICATION p ADD TABLE plain");
  const auto whole = facts("plain");
  sql("ALTER PUBLICATION p SET (publish = 'insert, update, delete')");
  EXPECT_THAT(facts("plain").published_by, IsEmpty());
  sql("ALTER PUBLICATION p SET (publish = 'insert, update, delete, truncate')");
  EXPECT_EQ(facts("plain").published_by, whole.published_by);
  EXPECT_NE(facts("plain").publication_xid, whole.publication_xid);
  sql("ALTER PUBLICATION p SET TABLE plain WHERE (a > 1)");
  EXPECT_THAT(facts("plain").published_by, IsEmpty());
  sql("ALTER PUBLICATION p SET TABLE plain (a)");
  EXPECT_THAT(facts("plain").published_by, IsEmpty());
  sql("ALTER PUBLICATION p SET (publish_via_partition_root = true); ALTER PUBLICATION p SET TABLE "
      "plain");
  EXPECT_THAT(facts("plain").published_by, IsEmpty());
}

TEST_F(FactsTest, EveryTableBelowIsTold) {
  EXPECT_THAT(partitions("root"), UnorderedElementsAre(oid("low"), oid("high"), oid("deep")));
  EXPECT_THAT(partitions("high"), ElementsAre(oid("deep")));
  EXPECT_THAT(partitions("low"), IsEmpty());
  sql("ALTER TABLE root DETACH PARTITION high");
  EXPECT_THAT(partitions("root"), ElementsAre(oid("low")));
  sql("ALTER TABLE root ATTACH PARTITION high FOR VALUES FROM (10) TO (20)");
  for (const auto& partition : facts("root").partitions)
    EXPECT_EQ(partition.attached_xid != 0, partition.oid == oid("high")) << partition.oid;
}

TEST_F(FactsTest, APartitionThatIsBeingDetachedConcurrentlyIsNoneAnyMore) {
  // The session that detaches waits for this one's snapshot, with the partition marked already.
  auto other = must(postgres::connection::open(url(), "test", in(10s)));
  must(other.command("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM root", in(10s)));
  must(admin_->command("SET statement_timeout = '200ms'", in(10s)));
  EXPECT_FALSE(admin_->command("ALTER TABLE root DETACH PARTITION low CONCURRENTLY", in(10s)));
  must(admin_->command("RESET statement_timeout", in(10s)));
  EXPECT_THAT(partitions("root"), UnorderedElementsAre(oid("high"), oid("deep")));
  must(other.command("ROLLBACK", in(10s)));
}

TEST_F(FactsTest, TheIdentityOfEveryLeafCounts) {
  EXPECT_FALSE(has_identity("plain"));
  sql("ALTER TABLE plain REPLICA IDENTITY FULL");
  EXPECT_TRUE(has_identity("plain"));
  sql("ALTER TABLE low REPLICA IDENTITY FULL");
  EXPECT_TRUE(has_identity("low"));
  EXPECT_FALSE(has_identity("root"));
  sql("ALTER TABLE deep REPLICA IDENTITY FULL");
  EXPECT_TRUE(has_identity("root")) << "tables without rows need none";
}

TEST_F(FactsTest, OnlyAlteringAColumnSoThatRowsAreRewrittenChangesBothItsXidAndTheToastTable) {
  const auto column_b = 1;
  const auto after = [&](const std::string& table, const std::string& statement) {
    const auto before = facts(table);
    EXPECT_EQ(before.column_xids.size(), before.table.columns.size());
    sql(statement);
    const auto now = facts(table);
    const auto files = [&](const table_facts& of) {
      const auto all = of.partitions;
      const auto leaf =
          std::find_if(all.begin(), all.end(), [&](const auto& p) { return p.oid == oid("deep"); });
      return leaf == all.end() ? of.files : leaf->files;
    };
    const auto old = files(before);
    const auto next = files(now);
    return std::vector<bool>{now.column_xids.at(column_b) != before.column_xids.at(column_b),
                             old.heap != next.heap, old.toast != next.toast};
  };
  const std::vector<bool> none{false, false, false};
  const std::vector<bool> packed{false, true, false};
  const std::vector<bool> described{true, false, false};
  const std::vector<bool> other_rows{false, true, true};
  const std::vector<bool> replaced{true, true, true};
  sql("INSERT INTO plain VALUES (1, 'x'); INSERT INTO root VALUES (11, 'x')");
  const auto first = facts("plain").column_xids.at(0);
  EXPECT_EQ(after("plain", "ALTER TABLE plain ALTER b TYPE text USING upper(b)"), replaced);
  EXPECT_EQ(facts("plain").column_xids.at(0), first) << "the column before it";
  EXPECT_EQ(after("plain", "ALTER TABLE plain ADD c float DEFAULT random()"), other_rows);
  EXPECT_EQ(after("plain", "ALTER TABLE plain ADD d int DEFAULT 7"), none);
  EXPECT_EQ(after("plain", "ALTER TABLE plain DROP d"), none);
  EXPECT_EQ(after("plain", "VACUUM FULL plain"), packed);
  EXPECT_EQ(after("plain", "CLUSTER plain USING plain_pkey"), packed);
  EXPECT_EQ(after("plain", "TRUNCATE plain"), packed);
  EXPECT_EQ(after("plain", "ALTER TABLE plain ALTER b SET DEFAULT 'z'"), described);
  EXPECT_EQ(after("plain", "ALTER TABLE plain ALTER b SET STORAGE EXTERNAL"), described);
  EXPECT_EQ(after("plain", "ALTER TABLE plain ALTER b TYPE varchar"), described);
  EXPECT_EQ(after("plain", "VACUUM FREEZE pg_attribute"), none);
  EXPECT_EQ(after("plain", "VACUUM FULL pg_attribute"), none);
  EXPECT_EQ(after("plain", "REINDEX TABLE plain"), none);
  EXPECT_EQ(after("plain", "ANALYZE plain"), none);
  EXPECT_EQ(after("root", "ALTER TABLE root ALTER b TYPE text USING upper(b)"), replaced);
  EXPECT_EQ(after("root", "VACUUM FULL root"), packed);
  EXPECT_EQ(after("root", "ALTER TABLE root ALTER b SET NOT NULL"), described);
}

TEST_F(FactsTest, VersionsChangeWithTheFactsAndNotWithoutThem) {
  sql("CREATE INDEX ON plain (b); ALTER TABLE low ADD CHECK (a < 10)");
  const auto version = [&](const std::string& table) {
    const auto asked = oid(table);
    auto found = must(postgres::find_versions(*admin_, "p", {&asked, 1}, in(10s)));
    EXPECT_EQ(found.count(asked), 1u);
    return found[asked];
  };
  const auto changes = [&](const std::string& table, const std::string& statement) {
    const auto before = version(table);
    EXPECT_EQ(version(table), before);
    sql(statement);
    return version(table) != before;
  };
  for (const auto* statement :
       {"ALTER TABLE plain ALTER b DROP NOT NULL", "ALTER TABLE plain ALTER b TYPE varchar(9)",
        "ALTER TABLE plain ALTER b TYPE varchar(9) USING upper(b)", "ALTER TABLE plain ADD c int",
        "ALTER TABLE plain RENAME c TO d", "ALTER TABLE plain DROP d",
        "ALTER TABLE plain DROP CONSTRAINT plain_pkey", "ALTER TABLE plain ADD PRIMARY KEY (a)",
        "ALTER PUBLICATION p ADD TABLE plain", "ALTER PUBLICATION p DROP TABLE plain",
        "ALTER PUBLICATION p SET (publish = 'insert')"})
    EXPECT_TRUE(changes("plain", statement)) << statement;
  for (const auto* statement :
       {"INSERT INTO plain VALUES (1, 'x')", "UPDATE plain SET b = 'y'", "DELETE FROM plain",
        "ANALYZE plain", "VACUUM plain", "GRANT SELECT ON low TO public"})
    EXPECT_FALSE(changes("plain", statement)) << statement;
  for (const auto* statement :
       {"CREATE TABLE more PARTITION OF root FOR VALUES FROM (30) TO (40)", "DROP TABLE more",
        "ALTER TABLE root DETACH PARTITION low", "ALTER TABLE root ALTER b SET NOT NULL",
        "ALTER TABLE root ALTER b TYPE text USING upper(b)"})
    EXPECT_TRUE(changes("root", statement)) << statement;
  EXPECT_THAT(must(postgres::find_versions(*admin_, "p", {}, in(10s))), IsEmpty());
}

TEST_F(FactsTest, InATransactionTheyAreAsOfItsSnapshot) {
  sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
  auto other = must(postgres::connection::open(url(), "test", in(10s)));
  must(other.command("ALTER PUBLICATION p ADD TABLE plain; DROP TABLE low", in(10s)));
  EXPECT_THAT(facts("plain").published_by, IsEmpty());
  EXPECT_THAT(partitions("root"), SizeIs(3));
  sql("COMMIT");
  EXPECT_THAT(facts("plain").published_by, SizeIs(1));
  EXPECT_THAT(partitions("root"), SizeIs(2));
}

} // namespace
} // namespace busbar::testing
