#include "shapes/upkeep.hpp"
#include "tests/unit/shapes/tables.hpp"

#include <gmock/gmock.h>

namespace busbar::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class UpkeepTest : public ::testing::Test {
protected:
  UpkeepTest() {
    for (std::size_t i = 0; i < now_.columns.size(); ++i)
      now_.columns[i].number = static_cast<std::int16_t>(i + 1);
    before_ = std::make_shared<const table_info>(now_);
  }
  static table_info made() {
    return *table({column("id", "int4", 0), column("title", "varchar", -1, 14),
                   column("price", "numeric", -1, ((10 << 16) | 2) + 4), column("other", "text")});
  }
  shape_definition shape(std::vector<std::string> columns = {"id", "title", "price"},
                         std::string where = {}) const {
    shape_request request;
    if (!columns.empty())
      request.columns = std::move(columns);
    request.where = std::move(where);
    auto defined = define_shape(request, before_);
    EXPECT_TRUE(defined) << defined.error().message;
    return *defined;
  }
  std::string fault(const shape_definition& of) const { return fault_of(of, now_); }
  table_column& at(const std::string& name) {
    return *std::find_if(now_.columns.begin(), now_.columns.end(),
                         [&](const auto& c) { return c.name == name; });
  }

  table_info now_ = made();
  std::shared_ptr<const table_info> before_;
};

TEST_F(UpkeepTest, WhatIsNotUsedMayBeAnything) {
  now_.columns.erase(now_.columns.begin() + 3);
  now_.columns.push_back(column("more", "int4"));
  at("title").not_null = true;
  EXPECT_THAT(fault(shape()), IsEmpty());
  EXPECT_THAT(fault(shape({})), HasSubstr("\"other\" was dropped"));
}

TEST_F(UpkeepTest, AnAddedColumnEndsWhoAskedForAll) {
  now_.columns.push_back(column("more", "int4"));
  EXPECT_THAT(fault(shape({})), HasSubstr("added"));
  EXPECT_THAT(fault(shape({"id", "title", "price", "other"})), IsEmpty());
}

TEST_F(UpkeepTest, AnotherColumnOfTheNameIsAnother) {
  at("title").number = 9;
  EXPECT_THAT(fault(shape()), HasSubstr("\"title\""));
  EXPECT_THAT(fault(shape({"id"})), IsEmpty());
  EXPECT_THAT(fault(shape({"id"}, "title = 'a'")), HasSubstr("\"title\""));
}

TEST_F(UpkeepTest, NamesThatAreSwappedAreNoticed) {
  at("title").name = "x";
  at("other").name = "title";
  at("title").type_oid = at("x").type_oid;
  EXPECT_THAT(fault(shape()), HasSubstr("\"title\""));
}

TEST_F(UpkeepTest, ColumnsWhoseNumbersAreNotKnownAreComparedByName) {
  for (auto& column : now_.columns)
    column.number = 0;
  EXPECT_THAT(fault(shape()), IsEmpty());
  at("price").type_oid = 7;
  EXPECT_THAT(fault(shape()), HasSubstr("\"price\""));
}

TEST_F(UpkeepTest, AModifierMayWidenWhereNoTextChanges) {
  const auto numeric = [](int precision, int scale) { return ((precision << 16) | scale) + 4; };
  at("title").type_modifier = 24;
  at("price").type_modifier = numeric(12, 2);
  EXPECT_THAT(fault(shape()), IsEmpty());
  at("title").type_modifier = at("price").type_modifier = -1;
  EXPECT_THAT(fault(shape()), IsEmpty());
  at("title").type_modifier = 12;
  EXPECT_THAT(fault(shape()), HasSubstr("\"title\""));
  at("title").type_modifier = 14;
  at("price").type_modifier = numeric(10, 3);
  EXPECT_THAT(fault(shape()), HasSubstr("\"price\""));
}

TEST_F(UpkeepTest, WhatWasWidenedBeforeMustNotBeNarrowed) {
  auto wider = facts_of(now_);
  wider.table.columns[1].type_modifier = 24;
  at("title").type_modifier = 18; // still wider than at first
  EXPECT_THAT(fault_of(shape(), wider, {}, facts_of(now_)), HasSubstr("\"title\""));
  EXPECT_THAT(fault_of(shape(), facts_of(*before_), {}, facts_of(now_)), IsEmpty());
}

TEST_F(UpkeepTest, AClauseIsMoreParticular) {
  at("title").type_modifier = 24;
  EXPECT_THAT(fault(shape({"id"}, "title = 'a'")), HasSubstr("\"title\""));
  at("title").type_modifier = 14;
  EXPECT_THAT(fault(shape({"id"}, "title = 'a'")), IsEmpty());
  at("title").ordered_bytewise = false;
  EXPECT_THAT(fault(shape({"id"}, "title = 'a'")), HasSubstr("\"title\""));
  EXPECT_THAT(fault(shape()), IsEmpty());
}

TEST_F(UpkeepTest, LabelsOfAnEnumMayBeAddedButNotRenamed) {
  at("title").labels = {"low", "high"};
  before_ = std::make_shared<const table_info>(now_);
  at("title").labels = {"lowest", "low", "high"};
  EXPECT_THAT(fault(shape()), IsEmpty());
  EXPECT_THAT(fault(shape({"id"}, "title = 'low'")), HasSubstr("\"title\"")); // their order counts
  at("title").labels = {"low", "highest"};
  EXPECT_THAT(fault(shape()), HasSubstr("\"title\""));
}

TEST_F(UpkeepTest, AnotherNameOrKeyIsAnotherShape) {
  now_.name = "renamed";
  EXPECT_THAT(fault(shape()), HasSubstr("renamed"));
  now_ = *before_;
  at("id").key_index = 1;
  at("title").key_index = 0;
  EXPECT_THAT(fault(shape()), HasSubstr("key"));
}

class FactsTest : public UpkeepTest {
protected:
  FactsTest() {
    facts_.published_by = {501, 502};
    facts_.partitions = {{.oid = 7, .attached_xid = 0}, {.oid = 8, .attached_xid = 90}};
    next_ = facts_;
  }
  std::string fault() const { return fault_of(shape(), facts_, seen_, next_); }

  const snapshot seen_{.xmin = 100, .xmax = 110, .xip = {104}};
  table_facts facts_ = facts_of(*before_);
  table_facts next_;
};

TEST_F(FactsTest, NothingNewIsNoFault) {
  EXPECT_THAT(fault(), IsEmpty());
}

TEST_F(FactsTest, OneRowThatStaysKeepsTheTablePublished) {
  next_.published_by = {502, 503};
  EXPECT_THAT(fault(), IsEmpty());
  next_.published_by = {503, 504};
  EXPECT_THAT(fault(), HasSubstr("out of the publication for a time"));
  next_.published_by.clear();
  EXPECT_THAT(fault(), HasSubstr("left the publication"));
}

TEST_F(FactsTest, WhatIsPublishedAboveCountsWhileItStandsBelow) {
  facts_.published_by.clear();
  facts_.published_above = {601};
  facts_.placed_by = {90, 95};
  next_ = facts_;
  EXPECT_THAT(fault(), IsEmpty());
  next_.placed_by = {90, 112}; // detached and attached again since
  EXPECT_THAT(fault(), HasSubstr("out of the publication for a time"));
  // In the publication by itself, too, it misses nothing meanwhile.
  facts_.published_by = next_.published_by = {501};
  EXPECT_THAT(fault(), IsEmpty());
  next_.published_by.clear();
  next_.published_above.clear();
  EXPECT_THAT(fault(), HasSubstr("left the publication"));
}

TEST_F(FactsTest, AnAlteredPublicationMayHaveWithheldSomething) {
  ++next_.publication_xid;
  EXPECT_THAT(fault(), HasSubstr("altered"));
}

TEST_F(FactsTest, APartitionThatIsGoneTookItsRowsAlong) {
  next_.partitions.erase(next_.partitions.begin());
  EXPECT_THAT(fault(), HasSubstr("detached or dropped"));
}

TEST_F(FactsTest, APartitionThatWasMadeBroughtNoRowsButOneThatWasAttachedDid) {
  next_.partitions.push_back({.oid = 9, .attached_xid = 0});
  EXPECT_THAT(fault(), IsEmpty());
  next_.partitions.back().attached_xid = 104; // not seen when the facts were last read
  EXPECT_THAT(fault(), HasSubstr("attached"));
  next_.partitions.back().attached_xid = 111;
  EXPECT_THAT(fault(), HasSubstr("attached"));
}

TEST_F(FactsTest, APartitionThatWasDetachedAndAttachedAgainIsAnother) {
  next_.partitions[0].attached_xid = 120;
  EXPECT_THAT(fault(), HasSubstr("attached"));
  // The proof that it was made as a partition can get lost later; that is no attachment.
  next_.partitions[0].attached_xid = 95;
  EXPECT_THAT(fault(), IsEmpty());
}

TEST_F(FactsTest, RowsThatWereRewrittenWithAnAlteredColumnMayHaveOtherValues) {
  facts_.column_xids = {70, 71, 72, 73};
  facts_.files = {.heap = 900, .toast = 910};
  next_ = facts_;
  next_.files = {.heap = 901, .toast = 911};
  EXPECT_THAT(fault(), IsEmpty()) << "another column was added, with a value for every row";
  next_.column_xids[1] = 120;
  EXPECT_THAT(fault(), HasSubstr("values of column \"title\""));
  EXPECT_THAT(fault_of(shape({"id", "price"}), facts_, seen_, next_), IsEmpty());
  EXPECT_THAT(fault_of(shape({"id"}, "title = 'a'"), facts_, seen_, next_), HasSubstr("\"title\""));
  next_.files = facts_.files;
  EXPECT_THAT(fault(), IsEmpty()) << "SET DEFAULT and the like rewrite nothing";
}

TEST_F(FactsTest, WhatPacksRowsAnewKeepsTheToastTableAndTheirValues) {
  facts_.column_xids = {70, 71, 72, 73};
  facts_.files = {.heap = 900, .toast = 910};
  next_ = facts_;
  next_.files.heap = 901;
  next_.column_xids[1] = 120;
  EXPECT_THAT(fault(), IsEmpty());
  facts_.files.toast = next_.files.toast = 0;
  EXPECT_THAT(fault(), HasSubstr("\"title\"")) << "without it they cannot be told apart";
}

TEST_F(FactsTest, APartitionThatWasRewrittenIsToldFromOneThatIsNew) {
  facts_.column_xids = {70, 71, 72, 73};
  facts_.partitions[0].files = {.heap = 900, .toast = 910};
  next_ = facts_;
  next_.column_xids[1] = 120;
  next_.partitions[0] = {.oid = 9, .attached_xid = 0, .files = {.heap = 901, .toast = 911}};
  EXPECT_THAT(fault(), HasSubstr("detached or dropped"));
  next_.partitions[0].oid = 7;
  EXPECT_THAT(fault(), HasSubstr("values of column \"title\""));
}

TEST_F(FactsTest, WhatWasStoredWithoutFilesEndsNothing) {
  next_.column_xids = {70, 120, 72, 73};
  next_.files = {.heap = 901, .toast = 911};
  EXPECT_THAT(fault(), IsEmpty());
  facts_.files = {.heap = 900, .toast = 910};
  EXPECT_THAT(fault(), IsEmpty());
  facts_.column_xids = {70};
  EXPECT_THAT(fault(), IsEmpty());
}

TEST_F(FactsTest, TheSchemaHeaderIsThatOfTheTableNow) {
  now_.columns[1].type_modifier = 24;
  now_.columns[1].not_null = true;
  now_.columns.erase(now_.columns.begin() + 3);
  EXPECT_EQ(schema_json(shape({"id", "title"}), now_),
            R"({"id":{"type":"int4","pk_index":0,"not_null":true},)"
            R"("title":{"type":"varchar","not_null":true,"max_length":20}})");
}

} // namespace
} // namespace busbar::testing
