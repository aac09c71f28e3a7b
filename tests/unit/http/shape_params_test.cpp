#include "http/shape_params.hpp"

#include <gtest/gtest.h>

namespace busbar::http {
namespace {

shape_read parse(std::string_view raw) {
  auto read = parse_shape_read(query::parse(raw).value());
  if (!read) {
    ADD_FAILURE() << raw << ": " << read.error().at(0).field << " " << read.error().at(0).message;
    return {};
  }
  return *read;
}

/// The fields complained of, in order, separated by spaces; with "later:" those that are only told
/// if the table exists.
std::string fields_of(std::string_view raw) {
  const auto read = parse_shape_read(query::parse(raw).value());
  std::string fields;
  for (const auto& error : read ? read->later : read.error())
    fields += (fields.empty() ? read ? "later:" : "" : " ") + error.field;
  return fields;
}

TEST(ShapeParams, ASimpleRequestHasTheDefaults) {
  const auto read = parse("table=items&offset=-1");
  EXPECT_EQ(read.query.shape.schema, "public");
  EXPECT_EQ(read.query.shape.table, "items");
  EXPECT_EQ(read.query.offset, log_offset::start());
  EXPECT_FALSE(read.query.now);
  EXPECT_FALSE(read.query.live);
  EXPECT_FALSE(read.query.sse);
  EXPECT_FALSE(read.query.shape.columns);
  EXPECT_FALSE(read.query.shape.replica_full);
  EXPECT_FALSE(read.query.shape.changes_only);
  EXPECT_TRUE(read.query.shape.where.empty());
}

TEST(ShapeParams, TheWholeDefinitionIsRead) {
  const auto read =
      parse("table=app.Items&offset=0_inf&handle=h-1&replica=full&log=changes_only&live=true"
            "&live_sse=true&cursor=77&columns=%22title%22,%22id%22,id&where=a+%3D+%241"
            "&params[2]=&params[1]=5&queryable_columns[]=A+b&experimental_compaction=true");
  const auto& shape = read.query.shape;
  EXPECT_EQ(shape.schema, "app");
  EXPECT_EQ(shape.table, "items");
  EXPECT_EQ(shape.where, "a = $1");
  EXPECT_EQ(shape.parameters, (std::vector<std::string>{"5", ""}));
  EXPECT_EQ(shape.columns, (std::vector<std::string>{"id", "title"}));
  EXPECT_EQ(shape.queryable_columns, (std::vector<std::string>{"A b"}));
  EXPECT_TRUE(shape.replica_full);
  EXPECT_TRUE(shape.changes_only);
  EXPECT_EQ(read.query.offset, log_offset::snapshot_end());
  EXPECT_EQ(read.query.handle, "h-1");
  EXPECT_TRUE(read.query.live);
  EXPECT_TRUE(read.query.sse);
  EXPECT_EQ(read.cursor, "77");
}

TEST(ShapeParams, TheOrderOfColumnsDoesNotMakeAnotherRequest) {
  EXPECT_EQ(parse("table=t&offset=-1&columns=b,a").query.shape.cache_key(),
            parse("table=t&offset=-1&columns=a,b,a").query.shape.cache_key());
}

TEST(ShapeParams, BlankValuesCountAsAbsent) {
  EXPECT_EQ(fields_of("table=t&offset="), "offset");
  EXPECT_EQ(fields_of("table=+&offset=-1"), "table");
  const auto read = parse("table=t&offset=-1&where=+%09&columns=&replica=&log=&params=");
  EXPECT_TRUE(read.query.shape.where.empty());
  EXPECT_FALSE(read.query.shape.columns);
}

TEST(ShapeParams, UnknownParametersAreIgnored) {
  EXPECT_EQ(fields_of("table=t&offset=-1&cache-buster=1&expired_handle=h&source_id=x&foo[]=1"), "");
}

// F67
TEST(ShapeParams, OffsetGrammar) {
  for (const auto* good : {"-1", "-1_0", "now", "0_0", "0_02", "12_34", "5_inf"})
    EXPECT_EQ(fields_of(std::string{"table=t&handle=h&offset="} + good), "") << good;
  for (const auto* bad : {"10", "1_2_3", "0_-1", "0_-0", "-1_1", "-2", "a", "1_", "_1", "1_x",
                          "+1_0", "+0_0", "0_0+", "NOW", "18446744073709551616_0", "-1_-0"})
    EXPECT_EQ(fields_of(std::string{"table=t&handle=h&offset="} + bad), "offset") << bad;
}

// F69
TEST(ShapeParams, TheLargestOffsetsFit) {
  const auto read = parse("table=t&handle=h&offset=18446744073709551615_9223372036854775806");
  EXPECT_EQ(read.query.offset.tx, 18446744073709551615u);
  EXPECT_EQ(read.query.offset.op, 9223372036854775806);
}

TEST(ShapeParams, AHandleIsRequiredUnlessTheOffsetIsAnAnchor) {
  EXPECT_EQ(fields_of("table=t&offset=0_0"), "handle");
  EXPECT_EQ(fields_of("table=t&offset=0_0&handle=+"), "handle");
  EXPECT_EQ(fields_of("table=t&offset=-1"), "");
  EXPECT_EQ(fields_of("table=t&offset=now"), "");
  EXPECT_TRUE(parse("table=t&offset=now").query.now);
}

TEST(ShapeParams, LiveIsTrueUnlessItSaysExactlyFalse) {
  for (const auto* yes : {"live", "live=", "live=0", "live=true", "live=False", "live[]=false"})
    EXPECT_TRUE(parse(std::string{"table=t&handle=h&offset=0_0&"} + yes).query.live) << yes;
  EXPECT_FALSE(parse("table=t&handle=h&offset=0_0&live=false").query.live);
}

TEST(ShapeParams, LiveNeedsAPosition) {
  EXPECT_EQ(fields_of("table=t&offset=-1&live=true"), "live");
  EXPECT_EQ(fields_of("table=t&offset=now&live=true"), "live");
  EXPECT_EQ(fields_of("table=t&offset=-1_0&live"), "live");
}

TEST(ShapeParams, SseNeedsLive) {
  EXPECT_EQ(fields_of("table=t&handle=h&offset=0_0&live_sse=true"), "live_sse");
  EXPECT_EQ(fields_of("table=t&handle=h&offset=0_0&live=false&live_sse"), "live_sse");
  EXPECT_EQ(fields_of("table=t&handle=h&offset=0_0&live_sse=false"), "");
}

TEST(ShapeParams, TheExperimentalSseNameIsAStrictBooleanAndOnlyAFallback) {
  const std::string base = "table=t&handle=h&offset=0_0&live=true&";
  EXPECT_TRUE(parse(base + "experimental_live_sse=1").query.sse);
  EXPECT_FALSE(parse(base + "experimental_live_sse=0").query.sse);
  EXPECT_FALSE(parse(base + "experimental_live_sse=").query.sse);
  EXPECT_FALSE(parse(base + "experimental_live_sse=true&live_sse=false").query.sse);
  EXPECT_EQ(fields_of(base + "experimental_live_sse=yes"), "live_sse");
  EXPECT_EQ(fields_of(base + "experimental_live_sse=yes&live_sse=true"), "");
}

TEST(ShapeParams, TypeErrorsAreReportedTogetherAndBeforeAllOthers) {
  EXPECT_EQ(fields_of("replica=FULL&log=some&params=%7B%7D&experimental_compaction=maybe"),
            "replica log params experimental_compaction offset");
  EXPECT_EQ(fields_of("table[]=t&offset=-1"), "table");
  EXPECT_EQ(fields_of("table=t&offset[x]=1"), "offset");
  EXPECT_EQ(fields_of("table=t&offset=-1&columns[a]=b"), "columns");
  EXPECT_EQ(fields_of("table=t&offset=-1&params[]=b"), "params");
  EXPECT_EQ(fields_of("table=t&offset=-1&params[1][2]=b"), "params");
}

TEST(ShapeParams, LaterStagesAreNotReportedWithEarlierOnes) {
  EXPECT_EQ(fields_of("offset=bad&live_sse=true"), "offset");
  EXPECT_EQ(fields_of("offset=0_0&live_sse=true"), "handle");
  EXPECT_EQ(fields_of("offset=-1&live=true&live_sse=true"), "live");
  EXPECT_EQ(fields_of("offset=-1"), "table");
  EXPECT_EQ(fields_of("offset=-1&table=a.b.c&columns=1"), "table");
  EXPECT_EQ(fields_of("offset=-1&table=t&columns=1&queryable_columns=2"), "later:columns");
  EXPECT_EQ(fields_of("offset=-1&table=t&queryable_columns=a,"), "later:queryable_columns");
  EXPECT_EQ(fields_of("offset=-1&table=t&columns=1&subset__limit=x"), "later:columns");
}

TEST(ShapeParams, WhatIsMalformedBehindTheTableIsAFlawOfTheRequest) {
  const auto flaw_of = [](std::string_view raw) {
    return parse(raw).query.shape.flaw.value_or(error{}).field;
  };
  EXPECT_EQ(flaw_of("table=t&offset=-1"), "");
  EXPECT_EQ(flaw_of("table=t&offset=-1&columns=a,"), "columns");
  EXPECT_EQ(flaw_of("table=t&offset=-1&where=a&params[2]=b"), "params");
  EXPECT_EQ(flaw_of("table=t&offset=-1&subset__limit=1&subset__offset=1"), "subset.limit");
  EXPECT_NE(parse("table=t&offset=-1&columns=a,").query.shape.cache_key(),
            parse("table=t&offset=-1&columns[]=a").query.shape.cache_key());
}

// F65
TEST(ShapeParams, WhereParametersCountUpFromOne) {
  const std::string base = "table=t&offset=-1&where=a+%3D+%241&";
  EXPECT_EQ(fields_of(base + "params[1]=a&params[2]=b"), "");
  EXPECT_EQ(fields_of(base + "params[2]=b"), "later:params");
  EXPECT_EQ(fields_of(base + "params[0]=b"), "later:params");
  EXPECT_EQ(fields_of(base + "params[1]=a&params[3]=b"), "later:params");
  EXPECT_EQ(fields_of(base + "params[x]=b"), "later:params");
  EXPECT_EQ(fields_of(base + "params[1x]=b"), "later:params");
  EXPECT_EQ(parse(base + "params[1]=a&params[1]=b").query.shape.parameters,
            (std::vector<std::string>{"b"}));
}

TEST(ShapeParams, WhereParametersWithoutWhereAreIgnored) {
  EXPECT_TRUE(parse("table=t&offset=-1&params[7]=b").query.shape.parameters.empty());
}

TEST(ShapeParams, ZeroBytesAreRefused) {
  EXPECT_EQ(fields_of("table=t&offset=-1&where=a%00"), "later:where");
  EXPECT_EQ(fields_of("table=t&offset=-1&where=a&params[1]=%00"), "later:params");
  EXPECT_EQ(fields_of("table=t&offset=-1&columns[]=a%00"), "later:columns");
}

TEST(ShapeParams, DeletionTakesAHandleOrADefinition) {
  const auto deletion = [](std::string_view raw) {
    return parse_shape_deletion(query::parse(raw).value());
  };
  EXPECT_EQ(deletion("handle=h&offset=bad").value().handle, "h");
  EXPECT_FALSE(deletion("handle=h").value().definition.has_value());
  EXPECT_EQ(deletion("").error().at(0).field, "handle");
  const auto defined = deletion("table=a.t&where=x%3D1&handle=h").value();
  EXPECT_EQ(defined.handle, "h");
  EXPECT_EQ(defined.definition.value().schema, "a");
  EXPECT_EQ(defined.definition.value().table, "t");
  EXPECT_EQ(defined.definition.value().where, "x=1");
  EXPECT_EQ(deletion("table=a.b.c").error().at(0).field, "table");
  EXPECT_EQ(deletion("table=t&replica=half").error().at(0).field, "replica");
  EXPECT_EQ(deletion("handle=h&live=maybe").error().at(0).field, "live");
  // Told only if there is such a table.
  EXPECT_EQ(deletion("table=t&columns=a,").value().definition->flaw->field, "columns");
  EXPECT_EQ(deletion("handle=h&live_sse=2").error().at(0).field, "live_sse");
}

} // namespace
} // namespace busbar::http
