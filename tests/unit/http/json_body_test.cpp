// How the JSON of a POST joins the query string's parameters.
#include "http/json_body.hpp"
#include "http/shape_params.hpp"

#include <gtest/gtest.h>

namespace busbar::http {
namespace {

query merged(std::string_view raw, std::string_view body) {
  auto parameters = query::parse(raw).value();
  const auto done = merge_json_body(body, parameters);
  EXPECT_TRUE(done) << body << ": " << done.error();
  return parameters;
}

shape_query read_of(std::string_view raw, std::string_view body) {
  auto read = parse_shape_read(merged(raw, body));
  if (!read) {
    ADD_FAILURE() << body << ": " << read.error().at(0).field << " " << read.error().at(0).message;
    return {};
  }
  return read->query;
}

std::string fields_of(std::string_view raw, std::string_view body = "") {
  const auto read = parse_shape_read(merged(raw, body));
  std::string fields;
  for (const auto& error : read ? read->later : read.error())
    fields += (fields.empty() ? "" : " ") + error.field;
  return fields;
}

constexpr std::string_view base = "table=t&offset=-1";

TEST(JsonBody, SubsetMembersAreTheSubsetsAndNeverTheShapes) {
  const auto read = read_of(
      "table=t&offset=-1&where=a",
      R"({"where":"b = $1","params":{"1":"x","2":5},"limit":10,"offset":2,"order_by":"c","log":"changes_only"})");
  EXPECT_EQ(read.shape.where, "a");
  EXPECT_EQ(read.offset, log_offset::start());
  EXPECT_TRUE(read.shape.changes_only);
  ASSERT_TRUE(read.subset);
  EXPECT_EQ(read.subset->where, "b = $1");
  EXPECT_EQ(read.subset->parameters, (std::vector<std::string>{"x", "5"}));
  EXPECT_EQ(read.subset->order_by, "c");
  EXPECT_EQ(read.subset->limit, 10u);
  EXPECT_EQ(read.subset->offset, 2u);
}

TEST(JsonBody, BesideAMemberSubsetTheOthersAreTheShapes) {
  const auto read = read_of("table=t&offset=-1&where=a&subset__order_by=q&subset__where=q",
                            R"({"subset":{"where":"b"},"where":"c = $1","params":{"1":"z"}})");
  EXPECT_EQ(read.shape.where, "c = $1");
  EXPECT_EQ(read.shape.parameters, (std::vector<std::string>{"z"}));
  ASSERT_TRUE(read.subset);
  EXPECT_EQ(read.subset->where, "b") << "the body wins";
  EXPECT_EQ(read.subset->order_by, "q") << "what the body leaves open the query says";
}

TEST(JsonBody, WithoutSubsetMembersItIsALogRead) {
  EXPECT_FALSE(read_of(base, "").subset);
  EXPECT_FALSE(read_of(base, "{}").subset);
  const auto read = read_of("table=t&offset=0_0&handle=q",
                            R"({"handle":"h","columns":["id","b"],"live":false,"replica":"full"})");
  EXPECT_FALSE(read.subset);
  EXPECT_EQ(read.handle, "h");
  EXPECT_EQ(read.shape.columns, (std::vector<std::string>{"b", "id"}));
  EXPECT_TRUE(read.shape.replica_full);
  EXPECT_FALSE(read.live);
  EXPECT_TRUE(read_of("table=t&offset=0_0&handle=q", R"({"live":true})").live);
  EXPECT_FALSE(read_of("table=t&offset=0_0&handle=q&live=1", R"({"live":null})").live);
}

TEST(JsonBody, NullMembersTakeBackWhatTheQuerySaysHoweverManyThereAre) {
  std::string raw;
  std::string body = R"({"live":null,"table":null)";
  for (int i = 0; i < 1'000; ++i) {
    raw +=
        "a" + std::to_string(i) + "=1&a" + std::to_string(i) + "=2&b" + std::to_string(i) + "=1&";
    body += ",\"a" + std::to_string(i) + "\":null";
  }
  const auto parameters = merged(raw + "table=t&live=true&offset=-1&live=1", body + "}");
  EXPECT_FALSE(parameters.has_key_with_prefix("a"));
  EXPECT_FALSE(parameters.find("live"));
  EXPECT_FALSE(parameters.find("table"));
  ASSERT_TRUE(parameters.find("offset"));
  EXPECT_EQ(parameters.find("offset")->text, "-1");
  for (int i = 0; i < 1'000; ++i)
    EXPECT_TRUE(parameters.find("b" + std::to_string(i)));
}

TEST(JsonBody, AlsoAnEmptySubsetIsOne) {
  EXPECT_TRUE(read_of(base, R"({"subset":{}})").subset);
  EXPECT_TRUE(read_of("table=t&offset=-1&subset__unknown=1", "").subset);
  EXPECT_TRUE(read_of("table=t&offset=-1&subset[where]=a", "").subset);
  EXPECT_TRUE(read_of(base, R"({"order_by_expr":[{"a":{"b":{"c":{}}}}]})").subset);
  EXPECT_FALSE(read_of("table=t&offset=-1&subset=a", "").subset);
}

TEST(JsonBody, ParameterValuesBecomeTexts) {
  const auto values = [](std::string_view params) {
    return read_of(base, R"({"where":"x","params":)" + std::string{params} + "}")
        .subset.value()
        .parameters;
  };
  EXPECT_EQ(values(R"({"1":1,"2":-2.5,"3":true,"4":null,"5":"a","6":18446744073709551615})"),
            (std::vector<std::string>{"1", "-2.5", "true", "", "a", "18446744073709551615"}));
  EXPECT_EQ(values(R"("{\"1\":\"a\"}")"), (std::vector<std::string>{"a"}));
  EXPECT_EQ(values("null"), std::vector<std::string>{});
  EXPECT_EQ(values("{}"), std::vector<std::string>{});
}

TEST(JsonBody, WrongSubsetsAreNamed) {
  const auto body = [](std::string_view text) { return fields_of(base, text); };
  EXPECT_EQ(body(R"({"where":5})"), "subset.where");
  EXPECT_EQ(body(R"({"order_by":["a"]})"), "subset.order_by");
  EXPECT_EQ(body(R"({"limit":1.5,"order_by":"a"})"), "subset.limit");
  EXPECT_EQ(body(R"({"limit":0,"order_by":"a"})"), "subset.limit");
  EXPECT_EQ(body(R"({"limit":true,"order_by":"a"})"), "subset.limit");
  EXPECT_EQ(body(R"({"offset":-1,"order_by":"a"})"), "subset.offset");
  EXPECT_EQ(body(R"({"limit":1,"offset":1})"), "subset.limit subset.offset");
  EXPECT_EQ(body(R"({"where":"x","params":{"1":[]}})"), "subset.params");
  EXPECT_EQ(body(R"({"where":"x","params":{"1":{"a":{}}}})"), "subset.params");
  EXPECT_EQ(body(R"({"where":"x","params":{"2":"a"}})"), "subset.params");
  EXPECT_EQ(body(R"({"where":"x","params":{"a":"a"}})"), "subset.params");
  EXPECT_EQ(body(R"({"where":"x","params":[1]})"), "subset.params");
  EXPECT_EQ(body(R"({"where":"x","params":{"1":123456789012345678901234567890}})"), "subset.params")
      << "digits must not get lost silently";
  EXPECT_EQ(body(R"({"where":"a\u0000"})"), "subset.where");
  EXPECT_EQ(fields_of("table=t&offset=-1&subset__params=[1"), "subset.params");
  EXPECT_EQ(fields_of("table=t&offset=-1&subset__limit=x&subset__order_by=a"), "subset.limit");
  EXPECT_EQ(fields_of("offset=-1&subset__limit=x"), "table") << "the shape comes first";
}

TEST(JsonBody, TreesBesideTheSqlDoNotCount) {
  std::string list = "0";
  for (int i = 0; i < 60'000; ++i)
    list += R"(,{"type":"val","value":)" + std::to_string(i) + '}';
  const auto tree = R"({"type":"func","name":"in","where_expr":1,"args":[)" + list + "]}";
  for (const std::string name : {"where_expr", "order_by_expr"}) {
    const auto flat =
        read_of(base, "{\"" + name + "\":" + tree +
                          R"(,"where":"a = $1","params":{"1":"x"},"limit":1,"order_by":"a"})");
    ASSERT_TRUE(flat.subset);
    EXPECT_EQ(flat.subset->where, "a = $1");
    EXPECT_EQ(flat.subset->parameters, std::vector<std::string>{"x"});
    EXPECT_EQ(flat.subset->limit, 1u);
    const auto nested = read_of(base, R"({"log":"changes_only","subset":{"where":"b",")" + name +
                                          "\":[" + list + R"(]},"where":"c","replica":"full"})");
    ASSERT_TRUE(nested.subset);
    EXPECT_EQ(nested.subset->where, "b");
    EXPECT_EQ(nested.shape.where, "c");
    EXPECT_TRUE(nested.shape.changes_only && nested.shape.replica_full);
    // Elsewhere the name means nothing.
    auto parameters = query::parse(base).value();
    EXPECT_FALSE(merge_json_body(R"({"other":{")" + name + "\":[" + list + "]}}", parameters));
    EXPECT_FALSE(merge_json_body("{\"" + name + "\":1,\"a\":[" + list + "]}", parameters));
    EXPECT_FALSE(
        merge_json_body(R"({"subset":{")" + name + "\":1},\"a\":[" + list + "]}", parameters));
  }
  EXPECT_TRUE(read_of(base, R"({"where_expr":{"a":[1]},"order_by_expr":[{"b":2}]})").subset);
}

TEST(JsonBody, WhatIsNoObjectIsRefused) {
  for (const std::string_view body : {"[]", "1", "null", "\"{}\"", "{", "{}x", "{\"a\":\"\xff\"}",
                                      "{'a':1}", "{\"a\":1,}", " "}) {
    auto parameters = query::parse(base).value();
    EXPECT_FALSE(merge_json_body(body, parameters)) << body;
  }
  std::string flood = "{\"a\":[0";
  for (int i = 0; i < 200'000; ++i)
    flood += ",0";
  auto parameters = query::parse(base).value();
  EXPECT_FALSE(merge_json_body(flood + "]}", parameters));
  EXPECT_FALSE(merge_json_body(std::string(1'000'000, '['), parameters));
}

} // namespace
} // namespace busbar::http
