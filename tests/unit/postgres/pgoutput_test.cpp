#include "postgres/pgoutput.hpp"
#include "shapes/table_record.hpp"
#include "tests/unit/postgres/pgoutput_bytes.hpp"

#include <gmock/gmock.h>

namespace busbar::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint32_t table = 16384;

class PgoutputTest : public ::testing::Test {
protected:
  void give(const std::string& message) {
    const auto done = decoder_.consume(message);
    ASSERT_TRUE(done) << done.error().message;
  }
  void give_all(const std::vector<std::string>& messages) {
    for (const auto& message : messages)
      give(message);
  }
  /// What is wrong with it; empty if nothing is.
  std::string problem(const std::string& message) {
    const auto done = decoder_.consume(message);
    if (done)
      return {};
    EXPECT_EQ(done.error().code, errc::corrupt);
    return done.error().message;
  }
  void begin(char identity = 'f') {
    give(begin_message(100, 7));
    give(relation_message(table, "public", "item", {"id", "name"}, identity));
  }
  static std::vector<value> image(schema::Frame::Reader root, std::uint32_t at,
                                  std::uint32_t bytes) {
    const auto rows = root.getRows();
    EXPECT_LE(std::uint64_t{at} + bytes, rows.size());
    row_image row{{reinterpret_cast<const char*>(rows.begin()) + at, bytes}};
    std::vector<value> values;
    bool is_null = false;
    std::string_view text;
    while (row.next(is_null, text))
      values.push_back(is_null ? value{} : value{std::string{text}});
    EXPECT_EQ(values.size(), row.column_count());
    return values;
  }
  static std::vector<value> before(schema::Frame::Reader root, std::uint32_t i) {
    return image(root, root.getChanges()[i].getOldAt(), root.getChanges()[i].getOldBytes());
  }
  static std::vector<value> after(schema::Frame::Reader root, std::uint32_t i) {
    return image(root, root.getChanges()[i].getNewAt(), root.getChanges()[i].getNewBytes());
  }

  postgres::pgoutput_decoder decoder_{42};
};

TEST_F(PgoutputTest, NothingGatheredIsAnEmptyFrame) {
  EXPECT_TRUE(decoder_.take().empty());
  EXPECT_EQ(decoder_.pending_bytes(), 0u);
}

TEST_F(PgoutputTest, ATransactionBecomesAFrame) {
  begin();
  give_all({insert_message(table, {"1", std::nullopt}),
            update_message(table, 'O', {"1", std::nullopt}, {"1", ""}),
            delete_message(table, 'O', {"1", ""}), truncate_message({table, table}),
            commit_message(100, 130)});
  EXPECT_FALSE(decoder_.in_transaction());
  EXPECT_EQ(decoder_.last_end(), lsn{130});
  EXPECT_GT(decoder_.pending_bytes(), 0u);
  const auto taken = decoder_.take();
  ASSERT_FALSE(taken.empty());
  EXPECT_EQ(decoder_.pending_bytes(), 0u);
  const auto root = taken.read();
  EXPECT_EQ(root.getTerm(), 42u);
  ASSERT_EQ(root.getTransactions().size(), 1u);
  const auto transaction = root.getTransactions()[0];
  EXPECT_EQ(transaction.getCommitLsn(), 100u);
  EXPECT_EQ(transaction.getEndLsn(), 130u);
  EXPECT_EQ(transaction.getCommitMicros(), 77);
  EXPECT_EQ(transaction.getXid(), 7u);
  EXPECT_EQ(transaction.getFirstChange(), 0u);
  EXPECT_EQ(transaction.getChangeCount(), 5u);
  EXPECT_EQ(transaction.getFirstPosition(), 0u);
  EXPECT_TRUE(transaction.getBegins());
  EXPECT_TRUE(transaction.getEnds());
  const auto changes = root.getChanges();
  ASSERT_EQ(changes.size(), 5u);
  EXPECT_EQ(changes[0].getKind(), schema::Change::Kind::INSERT);
  EXPECT_EQ(changes[0].getOldBytes(), 0u);
  EXPECT_THAT(after(root, 0), ElementsAre(value{"1"}, value{}));
  EXPECT_EQ(changes[1].getKind(), schema::Change::Kind::UPDATE);
  EXPECT_THAT(before(root, 1), ElementsAre(value{"1"}, value{}));
  EXPECT_THAT(after(root, 1), ElementsAre(value{"1"}, value{""}));
  EXPECT_EQ(changes[2].getKind(), schema::Change::Kind::DELETE);
  EXPECT_THAT(before(root, 2), ElementsAre(value{"1"}, value{""}));
  EXPECT_EQ(changes[2].getNewBytes(), 0u);
  EXPECT_EQ(changes[4].getKind(), schema::Change::Kind::TRUNCATE);
  EXPECT_EQ(changes[4].getRelation(), table);
  EXPECT_FALSE(changes[1].getKeyOnly());
  ASSERT_EQ(root.getRelations().size(), 1u);
  const auto relation = root.getRelations()[0];
  EXPECT_STREQ(relation.getSchema().cStr(), "public");
  EXPECT_STREQ(relation.getName().cStr(), "item");
  EXPECT_TRUE(relation.getIdentityFull());
  ASSERT_EQ(relation.getColumns().size(), 2u);
  EXPECT_STREQ(relation.getColumns()[1].getName().cStr(), "name");
  EXPECT_EQ(relation.getColumns()[1].getTypeOid(), 25u);
  EXPECT_EQ(relation.getColumns()[1].getTypeModifier(), -1);
}

TEST_F(PgoutputTest, AFrameSurvivesItsBytes) {
  begin();
  give_all({insert_message(table, {"1", "x"}), commit_message(100, 130)});
  const auto parsed = frame::parse(decoder_.take().bytes());
  ASSERT_TRUE(parsed);
  EXPECT_THAT(after(parsed->read(), 0), ElementsAre(value{"1"}, value{"x"}));
}

// F05
TEST_F(PgoutputTest, ATransactionTakenInPiecesKeepsItsPositions) {
  begin();
  give_all({insert_message(table, {"1", "a"}), insert_message(table, {"2", "b"})});
  const auto first = decoder_.take();
  EXPECT_TRUE(decoder_.take().empty()) << "nothing new came";
  EXPECT_TRUE(decoder_.in_transaction());
  give(insert_message(table, {"3", "c"}));
  const auto second = decoder_.take();
  give(commit_message(100, 130));
  give_all({begin_message(200, 8), insert_message(table, {"4", "d"}), commit_message(200, 230)});
  const auto third = decoder_.take();

  const auto a = first.read().getTransactions()[0];
  EXPECT_TRUE(a.getBegins());
  EXPECT_FALSE(a.getEnds());
  EXPECT_EQ(a.getEndLsn(), 0u);
  EXPECT_EQ(a.getChangeCount(), 2u);
  const auto b = second.read().getTransactions()[0];
  EXPECT_FALSE(b.getBegins());
  EXPECT_FALSE(b.getEnds());
  EXPECT_EQ(b.getXid(), 7u);
  EXPECT_EQ(b.getCommitLsn(), 100u);
  EXPECT_EQ(b.getFirstPosition(), 4u);
  EXPECT_EQ(b.getFirstChange(), 0u);
  EXPECT_EQ(b.getChangeCount(), 1u);
  ASSERT_EQ(third.read().getTransactions().size(), 2u);
  const auto c = third.read().getTransactions()[0];
  EXPECT_FALSE(c.getBegins());
  EXPECT_TRUE(c.getEnds());
  EXPECT_EQ(c.getChangeCount(), 0u);
  EXPECT_EQ(c.getFirstPosition(), 6u);
  const auto d = third.read().getTransactions()[1];
  EXPECT_TRUE(d.getBegins());
  EXPECT_EQ(d.getFirstPosition(), 0u);
  EXPECT_EQ(d.getFirstChange(), 0u);
  EXPECT_EQ(d.getChangeCount(), 1u);
  EXPECT_TRUE(second.read().getRelations().size() == 0);
}

// F10
TEST_F(PgoutputTest, UnchangedValuesComeFromTheOldTuple) {
  begin();
  give(update_message(table, 'O', {"1", std::string(5000, 'x')}, {"2", unchanged}));
  const auto taken = decoder_.take();
  EXPECT_THAT(after(taken.read(), 0), ElementsAre(value{"2"}, value{std::string(5000, 'x')}));
  EXPECT_FALSE(taken.read().getChanges()[0].getKeyOnly());
}

TEST_F(PgoutputTest, AnUnchangedValueThatTheOldTupleLacksIsCorrupt) {
  begin();
  EXPECT_THAT(problem(update_message(table, 'O', {"1", std::nullopt}, {"1", unchanged})),
              HasSubstr("unchanged"));
  EXPECT_THAT(problem(update_message(table, 0, {}, {"1", unchanged})), HasSubstr("unchanged"));
  EXPECT_THAT(problem(insert_message(table, {"1", unchanged})), HasSubstr("unchanged"));
  EXPECT_THAT(problem(delete_message(table, 'O', {"1", unchanged})), HasSubstr("unchanged"));
}

TEST_F(PgoutputTest, WithoutFullIdentityChangesAreKeyOnly) {
  begin('d');
  give_all({update_message(table, 0, {}, {"1", unchanged}),
            update_message(table, 'K', {"1", std::nullopt}, {"2", unchanged}),
            delete_message(table, 'K', {"2", std::nullopt})});
  const auto taken = decoder_.take();
  const auto root = taken.read();
  EXPECT_FALSE(root.getRelations()[0].getIdentityFull());
  for (const auto change : root.getChanges())
    EXPECT_TRUE(change.getKeyOnly());
  EXPECT_EQ(root.getChanges()[0].getOldBytes(), 0u);
  EXPECT_THAT(after(root, 0), ElementsAre(value{"1"}, value{}));
  EXPECT_THAT(before(root, 1), ElementsAre(value{"1"}, value{}));
  EXPECT_THAT(after(root, 1), ElementsAre(value{"2"}, value{}));
}

// F21
TEST_F(PgoutputTest, ARepeatedRelationIsDroppedAndAChangedOneIsPlacedWhereItBegins) {
  begin();
  give(insert_message(table, {"1", "a"}));
  give(relation_message(table, "public", "item", {"id", "name"}));
  give(relation_message(table, "public", "item", {"id", "name", "more"}));
  give(insert_message(table, {"2", "b", "c"}));
  const auto taken = decoder_.take();
  const auto relations = taken.read().getRelations();
  ASSERT_EQ(relations.size(), 2u);
  EXPECT_EQ(relations[0].getBeforeChange(), 0u);
  EXPECT_EQ(relations[1].getBeforeChange(), 1u);
  EXPECT_EQ(relations[1].getColumns().size(), 3u);
}

TEST_F(PgoutputTest, AncestorsAreToldWithTheDescriptionAndKeptByARelationThatHasGone) {
  begin();
  ASSERT_EQ(decoder_.described().size(), 1u);
  EXPECT_EQ(decoder_.described()[0].oid, table);
  EXPECT_EQ(decoder_.described()[0].xid, 7u);
  decoder_.place(table, {{.oid = 50, .attached_xid = 0}, {.oid = 51, .attached_xid = 9}});
  auto taken = decoder_.take();
  ASSERT_EQ(taken.read().getRelations().size(), 1u);
  auto ancestors = taken.read().getRelations()[0].getAncestors();
  ASSERT_EQ(ancestors.size(), 2u);
  EXPECT_EQ(ancestors[0].getOid(), 50u);
  EXPECT_EQ(ancestors[0].getAttachedXid(), 0u);
  EXPECT_EQ(ancestors[1].getOid(), 51u);
  EXPECT_EQ(ancestors[1].getAttachedXid(), 9u);
  EXPECT_TRUE(decoder_.described().empty());
  give(relation_message(table, "public", "item", {"id", "name", "more"}));
  taken = decoder_.take(); // nobody has found it in the catalog any more
  EXPECT_EQ(taken.read().getRelations()[0].getAncestors().size(), 2u);
}

TEST_F(PgoutputTest, WhatTheCatalogSaysIsInTheFrameAndInNoLaterOne) {
  begin();
  give(insert_message(table, {"1", "a"}));
  give(commit_message(100, 110));
  const auto facts = std::make_shared<const table_facts>(table_facts{
      .table = {.oid = table,
                .schema = "public",
                .name = "item",
                .columns = {{.name = "id", .type_name = "int4", .interval_fields = {}}}},
      .published_by = {5, 6},
      .publication_xid = 7,
      .partitions = {{8, 9}}});
  decoder_.tell({.tables = {facts}, .seen = {.xmin = 10, .xmax = 12, .xip = {11}}});
  const auto taken = frame::parse(decoder_.take().bytes());
  ASSERT_TRUE(taken);
  ASSERT_EQ(taken->read().getTables().size(), 1u);
  EXPECT_EQ(decode(taken->read().getTables()[0]), *facts);
  EXPECT_EQ(decode(taken->read().getTablesSeen()), (snapshot{.xmin = 10, .xmax = 12, .xip = {11}}));
  give(begin_message(200, 8));
  give(commit_message(200, 210));
  EXPECT_EQ(decoder_.take().read().getTables().size(), 0u);
}

TEST_F(PgoutputTest, ARepetitionIsToldOnlyIfTheRelationStandsElsewhereNow) {
  begin();
  decoder_.place(table, {});
  decoder_.take();
  const auto again = relation_message(table, "public", "item", {"id", "name"});
  give(again);
  give(insert_message(table, {"1", "a"}));
  EXPECT_EQ(decoder_.described().size(), 1u);
  decoder_.place(table, {});
  EXPECT_EQ(decoder_.take().read().getRelations().size(), 0u);
  give(insert_message(table, {"2", "b"}));
  give(again);
  give(insert_message(table, {"3", "c"}));
  decoder_.place(table, {{.oid = 50, .attached_xid = 0}});
  const auto taken = decoder_.take();
  ASSERT_EQ(taken.read().getRelations().size(), 1u);
  EXPECT_EQ(taken.read().getRelations()[0].getBeforeChange(), 1u);
  EXPECT_EQ(taken.read().getRelations()[0].getColumns().size(), 2u);
  ASSERT_EQ(taken.read().getRelations()[0].getAncestors().size(), 1u);
}

TEST_F(PgoutputTest, TheSystemSchemaIsSpelledOut) {
  give_all({begin_message(100, 7), relation_message(5, "", "pg_thing", {})});
  EXPECT_STREQ(decoder_.take().read().getRelations()[0].getSchema().cStr(), "pg_catalog");
}

TEST_F(PgoutputTest, OnlyTransactionalMessagesOfOursAreKeptInPlace) {
  begin();
  const std::string content{"\0\1binary", 8};
  give_all({insert_message(table, {"1", "a"}), logical_message(true, "busbar", content),
            logical_message(true, "busbarx", "x"), logical_message(true, "", "x"),
            logical_message(false, "busbar", "x"), insert_message(table, {"2", "b"}),
            logical_message(true, "busbar", ""), commit_message(100, 130),
            logical_message(false, "busbar", "x")});
  const auto taken = decoder_.take();
  const auto messages = taken.read().getMessages();
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(std::string(messages[0].getContent().asChars().begin(), 8), content);
  EXPECT_EQ(messages[0].getBeforeChange(), 1u);
  EXPECT_EQ(messages[0].getTransaction(), 0u);
  EXPECT_EQ(messages[1].getBeforeChange(), 2u);
  EXPECT_EQ(messages[1].getContent().size(), 0u);
}

TEST_F(PgoutputTest, AMessageInATransactionOfItsOwnIsDelivered) {
  give_all(
      {begin_message(100, 7), logical_message(true, "busbar", "hi"), commit_message(100, 130)});
  const auto taken = decoder_.take();
  EXPECT_EQ(taken.read().getMessages().size(), 1u);
  EXPECT_EQ(taken.read().getTransactions()[0].getChangeCount(), 0u);
}

TEST_F(PgoutputTest, OriginsAndTypesAreIgnored) {
  give(begin_message(100, 7));
  std::string origin{"O"};
  append_be64(origin, 5);
  give(origin + zero_ended("elsewhere"));
  std::string type{"Y"};
  append_be32(type, 600);
  give(type + zero_ended("public") + zero_ended("mood"));
  decoder_.take();
  EXPECT_TRUE(decoder_.take().empty());
}

TEST_F(PgoutputTest, WhatWasNotAskedForIsCorrupt) {
  give(begin_message(100, 7));
  for (const char tag : std::string{"SEcAbPKrpx\0\xff", 12})
    EXPECT_THAT(problem(std::string{tag} + std::string(40, '\0')), HasSubstr("not asked for"));
  EXPECT_THAT(problem(""), HasSubstr("empty"));
}

TEST_F(PgoutputTest, MessagesOutOfOrderAreCorrupt) {
  EXPECT_NE(problem(insert_message(table, {"1", "a"})), "");
  EXPECT_NE(problem(commit_message(100, 130)), "");
  EXPECT_NE(problem(logical_message(true, "busbar", "x")), "");
  begin();
  EXPECT_NE(problem(begin_message(200, 8)), "");
  EXPECT_NE(problem(commit_message(101, 130)), "");
  EXPECT_NE(problem(commit_message(100, 100)), "");
  EXPECT_NE(problem(insert_message(table + 1, {"1", "a"})), "");
  EXPECT_NE(problem(truncate_message({table, table + 1})), "");
  EXPECT_NE(problem(insert_message(table, {"1"})), "");
  EXPECT_NE(problem(insert_message(table, {"1", "a", "b"})), "");
  EXPECT_EQ(problem(commit_message(100, 130)), "");
  EXPECT_EQ(problem(begin_message(110, 9)), "");
  EXPECT_NE(problem(commit_message(110, 125)), "") << "ends before the one before it";
}

TEST_F(PgoutputTest, ABinaryValueIsCorrupt) {
  begin();
  auto message = insert_message(table, {"1", "a"});
  message[message.size() - 6] = 'b';
  EXPECT_THAT(problem(message), HasSubstr("binary"));
}

TEST_F(PgoutputTest, ManyTransactionsShareAFrame) {
  give(begin_message(100, 1));
  give(relation_message(table, "public", "item", {"id", "name"}));
  give_all({insert_message(table, {"0", "x"}), commit_message(100, 105)});
  for (std::uint32_t i = 1; i < 1000; ++i)
    give_all({begin_message(100 + 10 * i, i), insert_message(table, {std::to_string(i), "x"}),
              commit_message(100 + 10 * i, 105 + 10 * i)});
  const auto taken = decoder_.take();
  const auto root = taken.read();
  ASSERT_EQ(root.getTransactions().size(), 1000u);
  ASSERT_EQ(root.getChanges().size(), 1000u);
  EXPECT_EQ(root.getTransactions()[999].getFirstChange(), 999u);
  EXPECT_EQ(root.getTransactions()[999].getChangeCount(), 1u);
  EXPECT_THAT(after(root, 999), ElementsAre(value{"999"}, value{"x"}));
}

} // namespace
} // namespace busbar::testing
