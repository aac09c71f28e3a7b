#include "postgres/catalog.hpp"
#include "postgres/publication.hpp"
#include "tests/integration/stream_reader.hpp"

#include <gmock/gmock.h>

namespace busbar::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class PartitionsTest : public PostgresTest {
protected:
  void SetUp() override {
    PostgresTest::SetUp();
    sql("CREATE TABLE root (a int PRIMARY KEY, b text) PARTITION BY RANGE (a);"
        "CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE high PARTITION OF root FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (a);"
        "CREATE TABLE deep PARTITION OF high FOR VALUES FROM (10) TO (20);"
        "CREATE TABLE plain (a int PRIMARY KEY)");
  }
  std::uint32_t oid(const std::string& table) {
    return static_cast<std::uint32_t>(std::stoul(value("SELECT '" + table + "'::regclass::oid")));
  }
  std::vector<postgres::partition_ancestor> above(const std::string& table) {
    const auto asked = oid(table);
    const auto places = must(postgres::find_partition_places(*admin_, {{asked}}, in(10s)));
    EXPECT_EQ(places.found.size(), 1u);
    EXPECT_EQ(places.found.at(0).oid, asked);
    return places.found.at(0).above;
  }
  stream_reader started() {
    stream_reader stream{stream_settings()};
    publish("root");
    stream.start();
    return stream;
  }
  void publish(const std::string& table) {
    const auto found = must(postgres::find_table(*admin_, "public", table, in(10s)));
    ASSERT_TRUE(found.has_value());
    must(postgres::ensure_published(*admin_, stream_settings().publication(), *found, false,
                                    in(10s)));
  }
  std::string below(const std::string& table) { return " < " + std::to_string(oid(table)); }
};

TEST_F(PartitionsTest, PlacesFollowTheWholeChain) {
  EXPECT_THAT(above("low"), ElementsAre(postgres::partition_ancestor{oid("root"), 0}));
  EXPECT_THAT(above("deep"), ElementsAre(postgres::partition_ancestor{oid("high"), 0},
                                         postgres::partition_ancestor{oid("root"), 0}));
  EXPECT_THAT(above("root"), IsEmpty());
  EXPECT_THAT(above("plain"), IsEmpty());
}

TEST_F(PartitionsTest, WhoIsGoneHasNoPlaceAndTheOthersHaveTheirs) {
  const auto gone = oid("plain");
  sql("DROP TABLE plain");
  const auto places =
      must(postgres::find_partition_places(*admin_, {{gone, oid("low"), 1u}}, in(10s)));
  ASSERT_EQ(places.found.size(), 1u);
  EXPECT_EQ(places.found[0].oid, oid("low"));
  EXPECT_THAT(must(postgres::find_partition_places(*admin_, {}, in(10s))).found, IsEmpty());
}

TEST_F(PartitionsTest, InheritanceChildrenAreNoPartitions) {
  sql("CREATE TABLE child () INHERITS (plain)");
  EXPECT_THAT(above("child"), IsEmpty());
}

TEST_F(PartitionsTest, AttachedTablesAreToldFromThoseMadeAsPartitions) {
  sql("CREATE TABLE other (b text, a int NOT NULL)");
  sql("ALTER TABLE root ATTACH PARTITION other FOR VALUES FROM (20) TO (30)");
  const auto xid = value("SELECT xmin FROM pg_inherits WHERE inhrelid = 'other'::regclass");
  ASSERT_EQ(above("other").size(), 1u);
  EXPECT_EQ(std::to_string(above("other")[0].attached_xid), xid);
  // In the transaction that made it the command ids tell.
  sql("BEGIN; CREATE TABLE same (LIKE root INCLUDING ALL); INSERT INTO same VALUES (31, 'x');"
      "ALTER TABLE root ATTACH PARTITION same FOR VALUES FROM (30) TO (40); COMMIT");
  EXPECT_NE(above("same").at(0).attached_xid, 0u);
  sql("ALTER TABLE low ALTER b SET STATISTICS 10; ANALYZE;"
      "ALTER TABLE root ADD c int DEFAULT 7");
  sql("VACUUM FREEZE");
  EXPECT_EQ(above("low").at(0).attached_xid, 0u);
}

TEST_F(PartitionsTest, ATreeAttachedAsAWholeIsMarkedAtItsLink) {
  sql("CREATE TABLE tree (a int NOT NULL, b text) PARTITION BY RANGE (a);"
      "CREATE TABLE twig PARTITION OF tree FOR VALUES FROM (40) TO (50)");
  sql("ALTER TABLE root ATTACH PARTITION tree FOR VALUES FROM (40) TO (50)");
  const auto found = above("twig");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0], (postgres::partition_ancestor{oid("tree"), 0}));
  EXPECT_EQ(found[1].oid, oid("root"));
  EXPECT_NE(found[1].attached_xid, 0u);
}

TEST_F(PartitionsTest, LeavesAreDescribedWithAllThatStandsAboveThem) {
  auto stream = started();
  sql("INSERT INTO root VALUES (1, 'x'), (11, 'y')");
  const auto seen = stream.next_transaction();
  EXPECT_THAT(seen.changes, ElementsAre("0 low + 1|x", "2 deep + 11|y"));
  EXPECT_THAT(seen.relations, ElementsAre("public.low a b full" + below("root"),
                                          "public.deep a b full" + below("high") + below("root")));
  sql("UPDATE root SET a = 12 WHERE a = 1");
  EXPECT_THAT(stream.next_transaction().changes, ElementsAre("0 low - 1|x", "2 deep + 12|x"));
}

TEST_F(PartitionsTest, APublishedTableThatIsAttachedOrDetachedIsDescribedAgain) {
  sql("CREATE TABLE other (b text, a int NOT NULL)");
  auto stream = started();
  publish("other");
  sql("INSERT INTO other VALUES ('x', 21)");
  EXPECT_THAT(stream.next_transaction().relations, ElementsAre("public.other b a full"));
  sql("ALTER TABLE root ATTACH PARTITION other FOR VALUES FROM (20) TO (30)");
  sql("INSERT INTO root VALUES (22, 'y')");
  auto seen = stream.next_transaction();
  EXPECT_THAT(seen.changes, ElementsAre("0 other + y|22"));
  EXPECT_THAT(seen.relations, ElementsAre("public.other b a full" + below("root") + " attached"));
  sql("ALTER TABLE root DETACH PARTITION other");
  sql("INSERT INTO other VALUES ('z', 23)");
  EXPECT_THAT(stream.next_transaction().relations, ElementsAre("public.other b a full"));
}

TEST_F(PartitionsTest, ANewLeafComesByItselfAndSaysThatItHasNoIdentity) {
  auto stream = started();
  sql("CREATE TABLE late PARTITION OF root FOR VALUES FROM (20) TO (30);"
      "INSERT INTO root VALUES (21, 'x')");
  auto seen = stream.next_transaction();
  EXPECT_THAT(seen.changes, ElementsAre("0 late + 21|x"));
  EXPECT_THAT(seen.relations, ElementsAre("public.late a b not full" + below("root")));
  sql("UPDATE root SET b = 'y'");
  EXPECT_THAT(stream.next_transaction().changes, ElementsAre("0 late key only > 21|y"));
}

TEST_F(PartitionsTest, ALeafMadeInTheTransactionThatFillsItIsPlacedThoughJustCommitted) {
  auto stream = started();
  for (int i = 2; i < 32; ++i) { // a transaction is streamed before others can see it
    const auto name = "late" + std::to_string(i);
    const auto from = std::to_string(10 * i);
    sql("BEGIN; CREATE TABLE " + name + " PARTITION OF root FOR VALUES FROM (" + from + ") TO (" +
        std::to_string(10 * i + 10) + "); INSERT INTO root VALUES (" + from + ", 'x'); COMMIT");
    EXPECT_THAT(stream.next_transaction().relations,
                ElementsAre("public." + name + " a b not full" + below("root")));
  }
}

TEST_F(PartitionsTest, WhatATransactionChangesAboveIsInChangeUntilItEnds) {
  const auto in_change = [this](const std::string& table) {
    return must(postgres::find_partition_places(*admin_, {{oid(table)}}, in(10s)))
        .found.at(0)
        .in_change;
  };
  sql("CREATE TABLE tree (a int NOT NULL, b text) PARTITION BY RANGE (a);"
      "CREATE TABLE twig PARTITION OF tree FOR VALUES FROM (40) TO (50)");
  EXPECT_FALSE(in_change("twig"));
  const auto twig = oid("twig");
  auto other = connect();
  must(other.command("BEGIN; ALTER TABLE root ATTACH PARTITION tree FOR VALUES FROM (40) TO (50)",
                     in(5s)));
  const auto places = must(postgres::find_partition_places(*admin_, {{twig}}, in(10s)));
  EXPECT_TRUE(places.found.at(0).in_change);
  EXPECT_EQ(places.found.at(0).above.size(), 1u);
  must(other.command("COMMIT", in(5s)));
  EXPECT_FALSE(in_change("twig"));
}

TEST_F(PartitionsTest, ALeafThatWasDroppedBeforeItIsReadDoesNotStopTheStream) {
  auto stream = started();
  sql("INSERT INTO root VALUES (1, 'x')");
  sql("DROP TABLE low");
  sql("INSERT INTO root VALUES (11, 'y')");
  EXPECT_THAT(stream.next_transaction().changes, ElementsAre("0 low + 1|x"));
  EXPECT_THAT(stream.next_transaction().changes, ElementsAre("0 deep + 11|y"));
}

// F47
TEST_F(PartitionsTest, IfTheCatalogCannotBeAskedTheStreamWaitsAndNothingIsLost) {
  const auto allow = [this](const std::string& yes) {
    sql("UPDATE pg_database SET datallowconn = " + yes + " WHERE datname = current_database()");
  };
  stream_reader stream{stream_settings()};
  publish("root");
  allow("false"); // it asks over a session that start() tries to open
  stream.start();
  (void)must(stream.next_event(in(2s))); // the leader's own transaction
  sql("INSERT INTO low VALUES (1, 'x')");
  for (const auto until = in(1s); std::chrono::steady_clock::now() < until;)
    EXPECT_FALSE(must(stream.next_event(until))) << "without its place";
  allow("true");
  const auto seen = stream.next_transaction();
  EXPECT_THAT(seen.changes, ElementsAre("0 low + 1|x"));
  EXPECT_THAT(seen.relations, ElementsAre("public.low a b full" + below("root")));
}

} // namespace
} // namespace busbar::testing
