#include "http/query.hpp"

#include <gtest/gtest.h>

namespace busbar::http {
namespace {

query parse(std::string_view raw) {
  auto parsed = query::parse(raw);
  EXPECT_TRUE(parsed) << raw;
  return parsed ? *parsed : query{};
}

std::string text_of(const query& parsed, std::string_view name) {
  const auto* value = parsed.find(name);
  return value && value->is == query_value::form::text ? value->text : "(none)";
}

TEST(Query, DecodesPercentSequencesAndPlus) {
  const auto parsed = parse("where=done+%3D+%241&note=%C3%9Cn");
  EXPECT_EQ(text_of(parsed, "where"), "done = $1");
  EXPECT_EQ(text_of(parsed, "note"), "Ün");
}

TEST(Query, TheLastOfARepeatedKeyWins) {
  EXPECT_EQ(text_of(parse("a=1&b=2&a=3"), "a"), "3");
}

TEST(Query, AKeyWithoutEqualsSignIsEmptyText) {
  const auto parsed = parse("live&offset=-1");
  EXPECT_EQ(text_of(parsed, "live"), "");
  EXPECT_EQ(text_of(parsed, "offset"), "-1");
}

TEST(Query, KeepsEverythingAfterTheFirstEqualsSign) {
  EXPECT_EQ(text_of(parse("where=a=b=c"), "where"), "a=b=c");
}

TEST(Query, EmptyPairsAndEmptyKeysAreSkipped) {
  const auto parsed = parse("&&=x&a=1&");
  EXPECT_EQ(text_of(parsed, "a"), "1");
  EXPECT_EQ(parsed.find(""), nullptr);
}

TEST(Query, MalformedPercentSequencesAreTakenLiterally) {
  EXPECT_EQ(text_of(parse("a=%zz&b=%4&c=%"), "a"), "%zz");
  EXPECT_EQ(text_of(parse("a=%zz&b=%4&c=%"), "b"), "%4");
  EXPECT_EQ(text_of(parse("a=%zz&b=%4&c=%"), "c"), "%");
}

TEST(Query, WhatIsNotUtf8IsRefusedInKeysAndValues) {
  for (const auto* raw : {"a=%ff", "%ff=a", "a=%C3", "a=%ED%A0%80", "a=%C0%AF", "a=%F5%80%80%80"})
    EXPECT_FALSE(query::parse(raw)) << raw;
}

TEST(Query, BracketsNestAlsoWhenTheyAreEncoded) {
  const auto parsed = parse("params[1]=a&params%5B2%5D=b");
  const auto* params = parsed.find("params");
  ASSERT_NE(params, nullptr);
  ASSERT_EQ(params->is, query_value::form::object);
  ASSERT_EQ(params->members.size(), 2u);
  EXPECT_EQ(params->members[0].first, "1");
  EXPECT_EQ(params->members[0].second, "a");
  EXPECT_EQ(params->members[1].first, "2");
  EXPECT_EQ(params->members[1].second, "b");
}

TEST(Query, EmptyBracketsMakeAList) {
  const auto parsed = parse("columns[]=id&columns[]=title");
  const auto* columns = parsed.find("columns");
  ASSERT_NE(columns, nullptr);
  EXPECT_EQ(columns->is, query_value::form::list);
  EXPECT_EQ(columns->items, (std::vector<std::string>{"id", "title"}));
}

TEST(Query, DeeperNestingHasNoText) {
  const auto parsed = parse("params[1][x]=a");
  ASSERT_NE(parsed.find("params"), nullptr);
  EXPECT_FALSE(parsed.find("params")->members.at(0).second);
}

TEST(Query, ALaterValueOfAnotherFormReplacesTheEarlier) {
  EXPECT_EQ(text_of(parse("params[1]=a&params=x"), "params"), "x");
  EXPECT_EQ(parse("params=x&params[1]=a").find("params")->is, query_value::form::object);
}

TEST(Query, FindsKeysByPrefix) {
  EXPECT_TRUE(parse("subset__limit=1").has_key_with_prefix("subset__"));
  EXPECT_FALSE(parse("subset=1").has_key_with_prefix("subset__"));
}

} // namespace
} // namespace busbar::http
