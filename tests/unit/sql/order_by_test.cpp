// What an ORDER BY list may say, and what of it reaches PostgreSQL.
#include "sql/order_by.hpp"
#include "tests/unit/sql/clause.hpp"

namespace busbar::sql {
namespace {

const auto table = test::typed({{"id", "int4"}, {"Title", "text"}, {"a\"b", "text"}});

/// What is written for a list; "refused: …" if there is nothing.
std::string rewritten(std::string_view order_by, const test::columns& columns = table) {
  const auto written = rewrite_order_by(order_by, columns);
  if (written)
    return *written;
  EXPECT_EQ(written.error().code, errc::invalid_argument);
  EXPECT_EQ(written.error().field, "order_by");
  return "refused: " + written.error().message;
}

// F62
TEST(OrderBy, IsWrittenAnewWithEveryNameQuoted) {
  EXPECT_EQ(rewritten("id"), R"("id")");
  EXPECT_EQ(rewritten("ID asc, \"Title\" desc"), R"("id", "Title" DESC)");
  EXPECT_EQ(rewritten("id nulls first,\n \"Title\" DESC NULLS LAST -- why not"),
            R"("id" NULLS FIRST, "Title" DESC NULLS LAST)");
  EXPECT_EQ(rewritten(R"("a""b" /* x */ DESC)"), R"("a""b" DESC)");
}

// F62
TEST(OrderBy, NothingButColumnsIsUnderstood) {
  for (const auto* text : {"1",
                           "'id'",
                           "id + 1",
                           "id::text",
                           "lower(\"Title\")",
                           "$1",
                           "NULL",
                           "(SELECT 1)",
                           "t.id",
                           "*",
                           "id COLLATE \"C\"",
                           "id USING <",
                           "CASE WHEN true THEN id END",
                           "-id",
                           "ARRAY[id]",
                           "id IS NULL",
                           "true",
                           "CURRENT_USER",
                           "ROW(id)",
                           "(id).x"})
    EXPECT_TRUE(rewritten(text).starts_with("refused: At location ")) << text;
}

TEST(OrderBy, NothingMayStandBehindTheList) {
  for (const auto* text :
       {"id LIMIT 1", "id OFFSET 1", "id FOR UPDATE", "id; DROP TABLE t", "id;", "id) TO STDOUT",
        "id FETCH FIRST ROW ONLY", "id UNION SELECT 2", "id, ", "", " ", "-- id", "id DESC ASC"})
    EXPECT_TRUE(rewritten(text).starts_with("refused: At location ")) << text;
}

TEST(OrderBy, UnknownColumnsAreNamedWithTheirPlace) {
  EXPECT_EQ(rewritten("id, title"), R"(refused: At location 4: unknown column "title")");
  EXPECT_EQ(rewritten("id x"), R"(refused: At location 3: syntax error at or near "x")");
}

TEST(OrderBy, LongAndMalformedTextIsRefused) {
  std::string many = "id";
  for (std::size_t i = 0; i < sort_keys_max; ++i)
    many += ",id";
  EXPECT_TRUE(rewritten(many).starts_with("refused: "));
  EXPECT_TRUE(rewritten(std::string(70'000, ' ') + "id").starts_with("refused: "));
  EXPECT_TRUE(rewritten("\"\xff\"").starts_with("refused: "));
  EXPECT_TRUE(rewritten(std::string(30'000, '(')).starts_with("refused: "));
}

} // namespace
} // namespace busbar::sql
