#include "http/identifiers.hpp"

#include <gtest/gtest.h>

namespace busbar::http {
namespace {

TEST(Identifiers, UnquotedNamesAreFoldedForAsciiOnly) {
  EXPECT_EQ(parse_identifier("Items_1$").value(), "items_1$");
  EXPECT_EQ(parse_identifier("ÜBER").value(), "Über");
}

TEST(Identifiers, QuotedNamesAreLiteral) {
  EXPECT_EQ(parse_identifier(R"("My Table")").value(), "My Table");
  EXPECT_EQ(parse_identifier(R"("a""b")").value(), R"(a"b)");
}

TEST(Identifiers, MalformedNamesAreRefused) {
  for (const auto* name :
       {"", "1a", "a b", "a-b", "$a", " a", "a ", R"(")", R"("")", R"("a"b")", R"(a"b)", R"("a)"})
    EXPECT_FALSE(parse_identifier(name)) << name;
}

TEST(Identifiers, AZeroByteIsRefused) {
  using namespace std::string_view_literals;
  EXPECT_FALSE(parse_identifier("\"a\0b\""sv));
  EXPECT_FALSE(parse_identifier("a\0b"sv));
}

TEST(Identifiers, SixtyThreeCharactersFitAndNoMore) {
  EXPECT_TRUE(parse_identifier(std::string(63, 'a')));
  EXPECT_FALSE(parse_identifier(std::string(64, 'a')));
  std::string umlauts;
  for (int i = 0; i < 63; ++i)
    umlauts += "ü";
  EXPECT_TRUE(parse_identifier(umlauts)) << "counted in characters, not bytes";
}

TEST(Identifiers, ATableWithoutSchemaIsInPublic) {
  const auto name = parse_table_name("Items").value();
  EXPECT_EQ(name.schema, "public");
  EXPECT_EQ(name.table, "items");
}

TEST(Identifiers, ADotInsideQuotesDoesNotSplit) {
  const auto name = parse_table_name(R"("My.Schema"."a.b")").value();
  EXPECT_EQ(name.schema, "My.Schema");
  EXPECT_EQ(name.table, "a.b");
}

TEST(Identifiers, TableNamesWithTooManyOrEmptyPartsAreRefused) {
  for (const auto* name : {"a.b.c", ".a", "a.", ".", R"(a."")"})
    EXPECT_FALSE(parse_table_name(name)) << name;
}

TEST(Identifiers, ListsSplitOnCommasOutsideQuotes) {
  EXPECT_EQ(parse_identifier_list(R"("id","a,b",Title)").value(),
            (std::vector<std::string>{"id", "a,b", "title"}));
}

TEST(Identifiers, ListsAreNotTrimmed) {
  for (const auto* list : {"id, title", "id ,title", "id,", ",id", ""})
    EXPECT_FALSE(parse_identifier_list(list)) << list;
}

} // namespace
} // namespace busbar::http
