#include "postgres/catalog.hpp"
#include "tests/integration/postgres_server.hpp"

#include <gmock/gmock.h>

namespace busbar::testing {
namespace {

class CatalogTest : public PostgresTest {
protected:
  std::optional<table_info> find(const std::string& name, const std::string& schema = "public") {
    return must(postgres::find_table(*admin_, schema, name, in(10s)));
  }
  table_column column(const std::string& table, const std::string& name) {
    const auto found = find(table);
    if (found)
      for (const auto& each : found->columns)
        if (each.name == name)
          return each;
    ADD_FAILURE() << "no column " << table << "." << name;
    return {};
  }
};

TEST_F(CatalogTest, DescribesEveryColumnInOrderWithoutDroppedOnes) {
  sql("CREATE SCHEMA \"od.d\"; CREATE TYPE mood AS ENUM ('sad', 'ok');"
      "CREATE DOMAIN word AS text;"
      "CREATE TABLE \"od.d\".\"Ta\"\"ble\" (gone int, b varchar(20), a int NOT NULL, m mood, ms "
      "mood[],"
      " grid int[][], w word, twice int GENERATED ALWAYS AS (a * 2) STORED, PRIMARY KEY (b, a));"
      "ALTER TABLE \"od.d\".\"Ta\"\"ble\" DROP gone");
  const auto found = find("Ta\"ble", "od.d");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(std::to_string(found->oid), value("SELECT '\"od.d\".\"Ta\"\"ble\"'::regclass::oid"));
  EXPECT_FALSE(found->partitioned);
  ASSERT_EQ(found->columns.size(), 7u);
  const auto& c = found->columns;
  EXPECT_EQ(c[0].name, "b");
  EXPECT_EQ(c[0].type_name, "varchar");
  EXPECT_EQ(c[0].type_modifier, 24);
  EXPECT_EQ(c[0].key_index, 0);
  EXPECT_EQ(c[1].name, "a");
  EXPECT_EQ(c[1].type_oid, 23u);
  EXPECT_EQ(c[1].key_index, 1);
  EXPECT_TRUE(c[1].not_null);
  EXPECT_EQ(c[2].type_name, "mood");
  EXPECT_EQ(c[2].type_class, "e");
  EXPECT_EQ(c[2].dimensions, 0);
  EXPECT_EQ(c[2].key_index, -1);
  EXPECT_EQ(c[3].type_name, "mood");
  EXPECT_EQ(c[3].type_class, "e");
  EXPECT_EQ(c[3].dimensions, 1);
  EXPECT_EQ(c[4].type_name, "int4");
  EXPECT_EQ(c[4].dimensions, 2);
  EXPECT_EQ(c[5].type_name, "word");
  EXPECT_EQ(c[5].type_class, "d");
  EXPECT_TRUE(c[6].generated);
  EXPECT_FALSE(c[1].generated);
}

TEST_F(CatalogTest, EnumsAreToldWithTheirLabelsInOrder) {
  sql("CREATE SCHEMA \"od.d\"; CREATE TYPE \"od.d\".mood AS ENUM ('sad', '5:größe', '');"
      "ALTER TYPE \"od.d\".mood ADD VALUE 'middling' AFTER 'sad';"
      "CREATE TYPE empty_one AS ENUM ();"
      "CREATE DOMAIN feeling AS \"od.d\".mood; CREATE DOMAIN feelings AS \"od.d\".mood[];");
  sql("CREATE TABLE t (m \"od.d\".mood, ms \"od.d\".mood[], f feeling, fs feelings, fa feeling[],"
      " n empty_one, i int)");
  for (const auto* name : {"m", "ms", "f", "fs", "fa"}) {
    EXPECT_EQ(column("t", name).enum_schema, "od.d") << name;
    EXPECT_EQ(column("t", name).enum_name, "mood") << name;
    EXPECT_THAT(column("t", name).labels, ::testing::ElementsAre("sad", "middling", "5:größe", ""))
        << name;
  }
  EXPECT_EQ(column("t", "n").enum_name, "empty_one");
  EXPECT_THAT(column("t", "n").labels, ::testing::IsEmpty());
  EXPECT_EQ(column("t", "i").enum_name, "");
}

TEST_F(CatalogTest, DomainsAreToldWithTheTypeAtTheBottom) {
  sql("CREATE DOMAIN code AS varchar(7); CREATE DOMAIN short_code AS code CHECK (VALUE <> '');"
      "CREATE DOMAIN grid AS int[][]; CREATE DOMAIN price AS numeric(6,2)");
  sql("CREATE TABLE t (c code, s short_code, ss short_code[], g grid, p price, i int)");
  const auto base = [&](const char* name) {
    const auto found = column("t", name).base;
    return found.name + " " + found.type_class + " " + std::to_string(found.dimensions) + " " +
           std::to_string(found.type_modifier);
  };
  EXPECT_EQ(base("c"), "varchar b 0 11");
  EXPECT_EQ(base("s"), "varchar b 0 11");
  EXPECT_EQ(base("ss"), "varchar b 0 11");
  EXPECT_EQ(base("g"), "int4 b 2 -1");
  EXPECT_EQ(base("p"), "numeric b 0 393222");
  EXPECT_EQ(base("i"), "  0 -1");
}

TEST_F(CatalogTest, TellsWhatACollationKnowsOfLetters) {
  sql("CREATE COLLATION other (provider = icu, locale = 'de');"
      "CREATE COLLATION wide (provider = libc, locale = 'C.UTF-8');"
      "CREATE COLLATION mixed (provider = libc, lc_collate = 'C', lc_ctype = 'C.UTF-8')");
  sql("CREATE TABLE t (d text, c text COLLATE \"C\", p text COLLATE \"POSIX\","
      " u text COLLATE wide, m text COLLATE mixed, o text COLLATE other, n int)");
  const auto ctype = [&](const char* name) { return column("t", name).ctype; };
  EXPECT_EQ(ctype("d"), find("t")->database_ctype);
  EXPECT_EQ(ctype("c"), "C");
  EXPECT_EQ(ctype("p"), "C");
  EXPECT_EQ(ctype("u"), "C.UTF-8");
  EXPECT_EQ(ctype("m"), "C.UTF-8");
  EXPECT_TRUE(column("t", "m").ordered_bytewise);
  EXPECT_EQ(ctype("o"), "");
  EXPECT_EQ(ctype("n"), "");
  EXPECT_TRUE(find("t")->database_ordered_bytewise);
}

TEST_F(CatalogTest, KeyColumnsThatAnIndexOnlyIncludesAreNoKey) {
  sql("CREATE TABLE t (a int, b int, PRIMARY KEY (b) INCLUDE (a))");
  EXPECT_EQ(column("t", "a").key_index, -1);
  EXPECT_EQ(column("t", "b").key_index, 0);
}

TEST_F(CatalogTest, TellsCollationsThatAreBytewiseFromOthers) {
  sql("CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
      "CREATE COLLATION other (provider = icu, locale = 'de')");
  sql("CREATE TABLE t (d text, c text COLLATE \"C\", p text COLLATE \"POSIX\", o text COLLATE "
      "other,"
      " l text COLLATE loose, n int, cs text[] COLLATE other)");
  EXPECT_TRUE(column("t", "d").ordered_bytewise); // the database's default is C here
  EXPECT_TRUE(column("t", "c").ordered_bytewise);
  EXPECT_TRUE(column("t", "p").ordered_bytewise);
  EXPECT_FALSE(column("t", "o").ordered_bytewise);
  EXPECT_TRUE(column("t", "o").deterministic);
  EXPECT_FALSE(column("t", "l").ordered_bytewise);
  EXPECT_FALSE(column("t", "l").deterministic);
  EXPECT_TRUE(column("t", "n").ordered_bytewise);
  EXPECT_FALSE(column("t", "cs").ordered_bytewise);
}

TEST_F(CatalogTest, ADefaultCollationThatIsNotBytewiseIsSeen) {
  sql("CREATE DATABASE icu_" + database_ +
      " TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de' LOCALE 'C'");
  const auto target = postgres::connection_url::parse(server().url("icu_" + database_)).value();
  {
    auto session = must(postgres::connection::open(target, "test", in(10s)));
    must(session.command("CREATE TABLE t (a text)", in(10s)));
    const auto found = must(postgres::find_table(session, "public", "t", in(10s)));
    ASSERT_TRUE(found.has_value());
    EXPECT_FALSE(found->columns[0].ordered_bytewise);
    EXPECT_TRUE(found->columns[0].deterministic);
  }
  sql("DROP DATABASE icu_" + database_ + " WITH (FORCE)");
}

TEST_F(CatalogTest, IntervalFieldsAreNamed) {
  sql("CREATE TABLE t (i interval, d interval DAY TO SECOND(3), y interval YEAR,"
      " a interval HOUR TO MINUTE[], s interval(2), n int)");
  EXPECT_EQ(column("t", "i").interval_fields, "");
  EXPECT_EQ(column("t", "d").interval_fields, "DAY TO SECOND");
  EXPECT_EQ(column("t", "y").interval_fields, "YEAR");
  EXPECT_EQ(column("t", "a").interval_fields, "HOUR TO MINUTE");
  EXPECT_EQ(column("t", "s").interval_fields, "");
  EXPECT_EQ(column("t", "n").interval_fields, "");
}

TEST_F(CatalogTest, OnlyTablesWithAStreamAreFound) {
  sql("CREATE TABLE plain (a int); CREATE TABLE empty (); CREATE UNLOGGED TABLE fast (a int);"
      "CREATE VIEW seen AS SELECT 1 AS a; CREATE MATERIALIZED VIEW kept AS SELECT 1 AS a;"
      "CREATE SEQUENCE counted; CREATE TEMPORARY TABLE passing (a int);"
      "CREATE TABLE root (a int) PARTITION BY LIST (a);"
      "CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1);"
      "CREATE TABLE parent (a int); CREATE TABLE child () INHERITS (parent)");
  EXPECT_TRUE(find("plain"));
  ASSERT_TRUE(find("empty"));
  EXPECT_TRUE(find("empty")->columns.empty());
  ASSERT_TRUE(find("root"));
  EXPECT_TRUE(find("root")->partitioned);
  EXPECT_TRUE(find("leaf"));
  EXPECT_TRUE(find("child"));
  for (const auto* name : {"fast", "seen", "kept", "counted", "passing", "missing", "parent"})
    EXPECT_FALSE(find(name)) << name;
  EXPECT_FALSE(find("pg_class", "pg_catalog"));
  EXPECT_FALSE(find("plain", "nowhere"));
  sql("CREATE UNLOGGED TABLE leaf_fast PARTITION OF root FOR VALUES IN (2)");
  EXPECT_FALSE(find("root"));
}

TEST_F(CatalogTest, ATableWithRowSecurityForThisRoleIsNotFound) {
  sql("CREATE TABLE t (a int); ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
      "CREATE ROLE reader_" +
      database_ + " LOGIN PASSWORD 'secret'");
  EXPECT_TRUE(find("t")); // a superuser bypasses it
  sql("SET ROLE reader_" + database_);
  EXPECT_FALSE(find("t"));
  sql("RESET ROLE; DROP ROLE reader_" + database_);
}

} // namespace
} // namespace busbar::testing
