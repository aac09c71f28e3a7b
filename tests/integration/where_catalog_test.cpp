// From a column's declaration through the catalog to a clause that uses it.

#include "postgres/catalog.hpp"
#include "shapes/definition.hpp"
#include "tests/integration/postgres_server.hpp"

namespace busbar::testing {
namespace {

using sql::truth;

class WhereCatalogTest : public PostgresTest {
protected:
  /// The verdict on the only row of table t, which is PostgreSQL's too; `failed` if it is refused.
  truth verdict(const std::string& where) {
    const auto table = must(postgres::find_table(*admin_, "public", "t", in(10s)));
    if (!table)
      return truth::failed;
    const auto columns = clause_columns(*table);
    const auto made = sql::predicate::compile(where, {}, columns, clause_collation(*table));
    if (!made) {
      refusal_ = made.error().message;
      return truth::failed;
    }
    const auto stored = sql("SELECT * FROM t");
    std::vector<sql::cell> cells;
    for (int i = 0; i < static_cast<int>(columns.size()); ++i)
      cells.push_back(stored.at(0, i));
    const auto theirs = sql("SELECT coalesce((" + where + ")::text, 'null') FROM t").text(0, 0);
    const auto again =
        sql("SELECT coalesce((" + std::string{(*made)->to_sql()} + ")::text, 'null') FROM t");
    EXPECT_EQ(theirs, again.text(0, 0)) << where << " as " << (*made)->to_sql();
    const auto ours = (*made)->evaluate(cells);
    EXPECT_EQ(ours, theirs == "true"    ? truth::yes
                    : theirs == "false" ? truth::no
                                        : truth::unknown)
        << where;
    return ours;
  }

  std::string refusal_;
};

TEST_F(WhereCatalogTest, EnumsAreComparedInTheirOwnOrder) {
  sql("CREATE SCHEMA \"Odd\"; CREATE TYPE \"Odd\".mood AS ENUM ('sad', 'ok', 'happy');"
      "ALTER TYPE \"Odd\".mood ADD VALUE 'meh' BEFORE 'ok'");
  sql("CREATE TABLE t (m \"Odd\".mood, ma \"Odd\".mood[])");
  sql("INSERT INTO t VALUES ('ok', '{ok,sad}')");
  for (const auto* where : {"m = 'ok'", "m > 'meh'", "m < 'happy'", "m IN ('ok', 'sad')",
                            "m::text = 'ok'", "'sad' = ANY (ma)", "ma @> '{sad}'", "m = ma[1]"})
    EXPECT_EQ(verdict(where), truth::yes) << where << ": " << refusal_;
}

TEST_F(WhereCatalogTest, DomainsBehaveAsTheirBaseTypes) {
  sql("CREATE DOMAIN positive AS int4 CHECK (VALUE > 0); CREATE DOMAIN small AS positive;"
      "CREATE DOMAIN email AS text; CREATE DOMAIN list AS int4[]");
  sql("CREATE TABLE t (p small, e email, l list, many positive[])");
  sql("INSERT INTO t VALUES (5, 'x@y', '{1,2}', '{1}')");
  for (const auto* where : {"p = 5", "p + 1 > 5", "p IN (5, 6)", "e = 'x@y'", "e LIKE 'x%'",
                            "l @> '{1}'", "2 = ANY (l)", "many IS NOT NULL"})
    EXPECT_EQ(verdict(where), truth::yes) << where << ": " << refusal_;
  EXPECT_EQ(verdict("many @> '{1}'"), truth::failed) << "an array of a domain is opaque";
  sql("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN feeling AS mood");
  sql("ALTER TABLE t ADD f feeling DEFAULT 'ok'");
  EXPECT_EQ(verdict("f IS NOT NULL"), truth::yes);
  EXPECT_EQ(verdict("f = 'ok'"), truth::failed) << "PostgreSQL has no operator for it either";
}

TEST_F(WhereCatalogTest, LettersFollowTheColumnsCollation) {
  sql("CREATE COLLATION letters (provider = libc, locale = 'C.UTF-8');"
      "CREATE COLLATION other (provider = icu, locale = 'en-US')");
  sql("CREATE TABLE t (a int4, d text, c text COLLATE \"C\", u text COLLATE letters,"
      " o text COLLATE other, n name)");
  sql("INSERT INTO t VALUES (1, 'É', 'É', 'É', 'É', 'É')");
  for (const auto* where : {"lower(c) = 'É'", "lower(u) = 'é'", "u ILIKE 'é'", "c < 'é'", "o = 'É'",
                            "n = 'É'", "lower(a::text) = '1'", "d = c"})
    EXPECT_EQ(verdict(where), truth::yes) << where << ": " << refusal_;
  for (const auto* where : {"lower(o) = 'é'", "o < 'z'", "o ILIKE 'é'"})
    EXPECT_EQ(verdict(where), truth::failed) << where;
}

} // namespace
} // namespace busbar::testing
