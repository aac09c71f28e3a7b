#include "shapes/definition.hpp"
#include "shapes/upkeep.hpp"
#include "tests/unit/shapes/tables.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace busbar {
namespace {

using testing::column;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::items;
using testing::table;

using names = std::vector<std::string>;

shape_request request() {
  shape_request r;
  r.table = "items";
  return r;
}

std::string identity_of(const shape_request& r,
                        const std::shared_ptr<const table_info>& t = items()) {
  const auto shape = define_shape(r, t);
  EXPECT_TRUE(shape) << shape.error().message;
  return shape ? shape->identity() : std::string{};
}

/// The field that the request is refused on; empty if it is accepted.
std::string refused_on(const shape_request& r,
                       const std::shared_ptr<const table_info>& t = items()) {
  const auto shape = define_shape(r, t);
  if (shape)
    return {};
  EXPECT_EQ(shape.error().code, errc::invalid_argument);
  EXPECT_FALSE(shape.error().message.empty());
  return shape.error().field;
}

TEST(DefinitionTest, WithoutColumnsAllAreSelected) {
  const auto shape = define_shape(request(), items());
  ASSERT_TRUE(shape);
  EXPECT_TRUE(shape->selects_all);
  EXPECT_THAT(shape->selected, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(shape->filter, nullptr);
}

TEST(DefinitionTest, ColumnsAreSelectedInTableOrderWithoutDuplicates) {
  auto r = request();
  r.columns = names{"done", "id", "done"};
  const auto shape = define_shape(r, items());
  ASSERT_TRUE(shape);
  EXPECT_FALSE(shape->selects_all);
  EXPECT_THAT(shape->selected, ElementsAre(0, 2));
}

TEST(DefinitionTest, QueryableColumnsAreTheDefaultSelection) {
  auto r = request();
  r.queryable_columns = names{"id", "title"};
  const auto shape = define_shape(r, items());
  ASSERT_TRUE(shape);
  EXPECT_THAT(shape->selected, ElementsAre(0, 1));
}

TEST(DefinitionTest, RefusalsNameTheField) {
  auto r = request();
  r.columns = names{"id", "nothing"};
  EXPECT_EQ(refused_on(r), "columns");
  r.columns = names{"title"}; // without the key
  EXPECT_EQ(refused_on(r), "columns");
  r.columns = names{};
  EXPECT_EQ(refused_on(r), "columns");
  r = request();
  r.queryable_columns = names{"title"};
  EXPECT_EQ(refused_on(r), "queryable_columns");
  r.queryable_columns = names{"id", "nothing"};
  EXPECT_EQ(refused_on(r), "queryable_columns");
  r.queryable_columns = names{"id", "title"};
  r.columns = names{"id", "note"};
  EXPECT_EQ(refused_on(r), "columns");
  r = request();
  r.where = "id = ";
  EXPECT_EQ(refused_on(r), "where");
  r.where = "nothing = 1";
  EXPECT_EQ(refused_on(r), "where");
  EXPECT_EQ(refused_on(request(), table({})), "table");
}

TEST(DefinitionTest, AFlawIsToldAfterWhatIsLookedAtBefore) {
  auto r = request();
  r.columns = names{"nothing"};
  r.where = "nothing = 1";
  r.flaw = error{errc::invalid_argument, "malformed", "subset.limit"};
  EXPECT_EQ(refused_on(r), "columns");
  r.columns.reset();
  EXPECT_EQ(refused_on(r), "where");
  r.flaw->field = "params";
  EXPECT_EQ(refused_on(r), "params");
  r.where.clear();
  r.flaw->field = "subset.limit";
  EXPECT_EQ(refused_on(r), "subset.limit");
  r.flaw->field = "columns";
  EXPECT_EQ(refused_on(r), "columns");
}

TEST(DefinitionTest, MissingColumnIsNamed) {
  auto r = request();
  r.columns = names{"id", "nothing"};
  EXPECT_THAT(define_shape(r, items()).error().message, HasSubstr("nothing"));
  r.columns = names{"title"};
  EXPECT_THAT(define_shape(r, items()).error().message, HasSubstr("id"));
}

TEST(DefinitionTest, WithoutAPrimaryKeyEveryColumnMustBeSelected) {
  const auto keyless = table({column("a", "int4"), column("b", "int4")});
  auto r = request();
  r.columns = names{"a"};
  EXPECT_EQ(refused_on(r, keyless), "columns");
  r.columns = names{"b", "a"};
  EXPECT_EQ(refused_on(r, keyless), "");
}

// F26
TEST(DefinitionTest, GeneratedColumnIsRefusedUnlessLeftOut) {
  auto made = *items();
  made.columns[3].generated = true;
  const auto generated = std::make_shared<const table_info>(made);
  auto r = request();
  EXPECT_EQ(refused_on(r, generated), "columns");
  r.columns = names{"id", "note"};
  EXPECT_EQ(refused_on(r, generated), "columns");
  r.columns = names{"id", "title"};
  EXPECT_EQ(refused_on(r, generated), "");
}

// -- identity -------------------------------------------------------------------------------------

TEST(IdentityTest, OrderAndRepetitionOfColumnsDoNotMatter) {
  auto a = request(), b = request();
  a.columns = names{"id", "title"};
  b.columns = names{"title", "id", "title"};
  EXPECT_EQ(identity_of(a), identity_of(b));
}

TEST(IdentityTest, ListingAllColumnsIsAnotherShape) {
  auto listed = request();
  listed.columns = names{"id", "title", "done", "note"};
  EXPECT_NE(identity_of(listed), identity_of(request()));
}

TEST(ClauseColumnsTest, KnowWhatCannotBeNull) {
  auto domain = column("d", "posint");
  domain.type_class = "d";
  domain.base = {"int4", "b", 0, -1};
  domain.not_null = true;
  const auto columns =
      clause_columns(*testing::table({column("id", "int4", 0), domain, column("n", "text")}));
  EXPECT_TRUE(columns[0].not_null);
  EXPECT_TRUE(columns[1].not_null);
  EXPECT_FALSE(columns[2].not_null);
}

TEST(IdentityTest, SpellingOfTheClauseAndItsParametersDoesNotMatter) {
  auto literal = request(), parameter = request(), spaced = request();
  literal.where = "id = '5'";
  parameter.where = "id = $1";
  parameter.parameters = {"5"};
  spaced.where = "  ( id  =  '5' ) ";
  EXPECT_EQ(identity_of(literal), identity_of(parameter));
  EXPECT_EQ(identity_of(literal), identity_of(spaced));
}

TEST(IdentityTest, EverythingElseThatDefinesAShapeMatters) {
  std::vector<shape_request> all(7, request());
  all[1].where = "id = 5";
  all[2].where = "id = 6";
  all[3].replica_full = true;
  all[4].changes_only = true;
  all[5].columns = names{"id"};
  all[6].columns = names{"id", "title"};
  std::set<std::string> seen;
  for (const auto& r : all)
    seen.insert(identity_of(r));
  EXPECT_EQ(seen.size(), all.size());
}

TEST(IdentityTest, TableIsItsOidAndItsNameAndItsKey) {
  const std::vector<table_column> columns{column("a", "int4", 0), column("b", "int4")};
  const std::vector<table_column> other_key{column("a", "int4"), column("b", "int4", 0)};
  std::set<std::string> seen{identity_of(request(), table(columns)),
                             identity_of(request(), table(columns, "items", "public", 16385)),
                             identity_of(request(), table(columns, "renamed")),
                             identity_of(request(), table(columns, "items", "moved")),
                             identity_of(request(), table(other_key))};
  EXPECT_EQ(seen.size(), 5u);
}

TEST(IdentityTest, QueryableColumnsMatterOnlyThroughTheSelection) {
  auto a = request(), b = request();
  a.columns = b.columns = names{"id"};
  b.queryable_columns = names{"id", "title"};
  EXPECT_EQ(identity_of(a), identity_of(b));
}

TEST(HandleTest, IsUrlSafeAndEndsInTheTime) {
  const auto handle = make_handle("some \"identity\"", 1787299205123456);
  EXPECT_THAT(handle, ::testing::MatchesRegex("[0-9]+-1787299205123456"));
  EXPECT_LT(std::stoul(handle.substr(0, handle.find('-'))), 1ul << 27);
}

TEST(HandleTest, SameIdentityAtAnotherTimeIsAnotherIncarnation) {
  EXPECT_EQ(make_handle("a", 1), make_handle("a", 1));
  EXPECT_NE(make_handle("a", 1), make_handle("a", 2));
  EXPECT_NE(make_handle("a", 1), make_handle("b", 1));
}

// -- the schema header ----------------------------------------------------------------------------

std::string schema_of(const std::vector<table_column>& columns) {
  const auto shape = define_shape(request(), table(columns));
  EXPECT_TRUE(shape);
  return shape ? schema_json(*shape, *shape->table) : std::string{};
}
std::string type_of(const table_column& c) {
  return schema_of({c});
}

TEST(DefinitionTest, ParametersAreLimitedTogether) {
  auto r = request();
  r.where = "title = $1 OR note = $2";
  r.parameters = {std::string(131'072, 'a'), std::string(131'072, 'b')};
  EXPECT_EQ(refused_on(r), "");
  r.parameters.front() += 'a';
  EXPECT_EQ(refused_on(r), "params");
}

TEST(SchemaJsonTest, TableOfTheTranscripts) {
  const auto shape = define_shape(request(), items());
  ASSERT_TRUE(shape);
  EXPECT_EQ(schema_json(*shape, *shape->table),
            R"({"id":{"type":"int4","pk_index":0,"not_null":true},)"
            R"("title":{"type":"text","not_null":true},)"
            R"("done":{"type":"bool","not_null":true},)"
            R"("note":{"type":"text"}})");
}

TEST(SchemaJsonTest, OnlySelectedColumnsAreTold) {
  auto r = request();
  r.columns = names{"id"};
  EXPECT_EQ(schema_json(*define_shape(r, items()), *items()),
            R"({"id":{"type":"int4","pk_index":0,"not_null":true}})");
}

TEST(SchemaJsonTest, KeyIndexIsThePlaceInTheKey) {
  EXPECT_EQ(schema_of({column("a", "int4", 1), column("b", "int4", 0)}),
            R"({"a":{"type":"int4","pk_index":1,"not_null":true},)"
            R"("b":{"type":"int4","pk_index":0,"not_null":true}})");
}

TEST(SchemaJsonTest, ModifiersAreToldInTheTypesOwnTerms) {
  EXPECT_EQ(type_of(column("c", "varchar", -1, 14)), R"({"c":{"type":"varchar","max_length":10}})");
  EXPECT_EQ(type_of(column("c", "varchar")), R"({"c":{"type":"varchar"}})");
  EXPECT_EQ(type_of(column("c", "bpchar", -1, 7)), R"({"c":{"type":"bpchar","length":3}})");
  EXPECT_EQ(type_of(column("c", "bit", -1, 1)), R"({"c":{"type":"bit","length":1}})");
  EXPECT_EQ(type_of(column("c", "varbit", -1, 8)), R"({"c":{"type":"varbit","length":8}})");
  EXPECT_EQ(type_of(column("c", "timestamptz", -1, 3)),
            R"({"c":{"type":"timestamptz","precision":3}})");
  EXPECT_EQ(type_of(column("c", "time", -1, 0)), R"({"c":{"type":"time","type_mod":0}})");
  EXPECT_EQ(type_of(column("c", "geometry", -1, 1107460)),
            R"({"c":{"type":"geometry","type_mod":1107460}})");
}

TEST(SchemaJsonTest, NumericHasPrecisionAndASignedScale) {
  const auto modifier = [](int precision, int scale) { // PostgreSQL's make_numeric_typmod
    return static_cast<std::int32_t>(((precision << 16) | (scale & 0x7ff)) + 4);
  };
  EXPECT_EQ(type_of(column("c", "numeric")), R"({"c":{"type":"numeric"}})");
  EXPECT_EQ(type_of(column("c", "numeric", -1, modifier(10, 2))),
            R"({"c":{"type":"numeric","precision":10,"scale":2}})");
  EXPECT_EQ(type_of(column("c", "numeric", -1, modifier(5, 0))),
            R"({"c":{"type":"numeric","precision":5,"scale":0}})");
  EXPECT_EQ(type_of(column("c", "numeric", -1, modifier(1000, 1000))),
            R"({"c":{"type":"numeric","precision":1000,"scale":1000}})");
  EXPECT_EQ(type_of(column("c", "numeric", -1, modifier(3, -2))),
            R"({"c":{"type":"numeric","precision":3,"scale":-2}})");
}

TEST(SchemaJsonTest, IntervalHasFieldsAndPrecision) {
  auto c = column("c", "interval");
  EXPECT_EQ(type_of(c), R"({"c":{"type":"interval"}})");
  c.type_modifier = 0x7fff'0003; // interval(3)
  EXPECT_EQ(type_of(c), R"({"c":{"type":"interval","precision":3}})");
  c.type_modifier = 0x1c08'ffff;
  c.interval_fields = "DAY TO SECOND";
  EXPECT_EQ(type_of(c), R"({"c":{"type":"interval","fields":"DAY TO SECOND"}})");
  c.type_modifier = 0x1c08'0006;
  EXPECT_EQ(type_of(c), R"({"c":{"type":"interval","fields":"DAY TO SECOND","precision":6}})");
}

TEST(SchemaJsonTest, ArrayHasItsDimensions) {
  auto c = column("c", "int4");
  c.dimensions = 2;
  EXPECT_EQ(type_of(c), R"({"c":{"type":"int4","dims":2}})");
}

TEST(SchemaJsonTest, NamesBeyondAsciiAreEscapedForTheHeader) {
  EXPECT_EQ(type_of(column("größe", "text")), R"({"gr\u00f6\u00dfe":{"type":"text"}})");
  EXPECT_EQ(type_of(column("名", "text")), R"({"\u540d":{"type":"text"}})");
  EXPECT_EQ(type_of(column("😀", "text")), R"({"\ud83d\ude00":{"type":"text"}})");
  EXPECT_EQ(type_of(column("a\"b\\", "text")), R"({"a\"b\\":{"type":"text"}})");
  EXPECT_EQ(type_of(column("a\x7f!", "text")), R"({"a\u007f!":{"type":"text"}})")
      << "no header text";
  EXPECT_EQ(type_of(column("c", "größe")), R"({"c":{"type":"gr\u00f6\u00dfe"}})");
}

} // namespace
} // namespace busbar
