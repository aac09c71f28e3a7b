#include "tests/unit/sql/clause.hpp"

#include <gtest/gtest.h>

namespace busbar::sql {
namespace {

using test::canonical;
using test::emitted;

const test::columns table = test::typed({{"a", "int4"},
                                         {"l", "int8"},
                                         {"f", "float8"},
                                         {"n", "numeric"},
                                         {"t", "text"},
                                         {"v", "varchar"},
                                         {"c", "bpchar"},
                                         {"b", "bool"},
                                         {"d", "date"},
                                         {"ts", "timestamp"},
                                         {"tz", "timestamptz"},
                                         {"od\"d Name", "int4"}});

TEST(EmittedSql, QualifiesAndTypesEverything) {
  const std::pair<const char*, const char*> cases[] = {
      {"a = 1", R"(("a" OPERATOR(pg_catalog.=) '1'::pg_catalog.int4))"},
      {"\"od\"\"d Name\" < -5", R"(("od""d Name" OPERATOR(pg_catalog.<) '-5'::pg_catalog.int4))"},
      {"f = 0.10", R"(("f" OPERATOR(pg_catalog.=) '0.1'::pg_catalog.float8))"},
      {"a = f", R"((("a"::pg_catalog.float8) OPERATOR(pg_catalog.=) "f"))"},
      {"n = 1.10", R"(("n" OPERATOR(pg_catalog.=) '1.10'::pg_catalog.numeric))"},
      {"v = 'it''s'",
       R"((("v"::pg_catalog.text) OPERATOR(pg_catalog.=) 'it''s'::pg_catalog.text))"},
      {R"(t = 'a\b')", R"(("t" OPERATOR(pg_catalog.=) E'a\\b'::pg_catalog.text))"},
      {"t NOT LIKE 'x%'", R"((NOT ("t" OPERATOR(pg_catalog.~~) 'x%'::pg_catalog.text)))"},
      {"b IS NOT TRUE", R"(("b" IS NOT TRUE))"},
      {"a IN (1, NULL)",
       R"((("a" OPERATOR(pg_catalog.=) '1'::pg_catalog.int4) OR NULL::pg_catalog.bool))"},
      {"a IN (1, 2)",
       R"(("a" OPERATOR(pg_catalog.=) ANY (ARRAY['1'::pg_catalog.int4, '2'::pg_catalog.int4])))"},
      {"- a + 1 = 2",
       R"((((OPERATOR(pg_catalog.-) "a") OPERATOR(pg_catalog.+) '1'::pg_catalog.int4) )"
       R"(OPERATOR(pg_catalog.=) '2'::pg_catalog.int4))"},
      {"length(t) = 1", R"((pg_catalog.length("t") OPERATOR(pg_catalog.=) '1'::pg_catalog.int4))"},
      {"t::varchar(2) = 'x'",
       R"((((("t"::pg_catalog.varchar)::pg_catalog.varchar(2))::pg_catalog.text) )"
       R"(OPERATOR(pg_catalog.=) 'x'::pg_catalog.text))"},
      {"d = '1 Feb 2024'", R"(("d" OPERATOR(pg_catalog.=) '2024-02-01'::pg_catalog.date))"},
      {"tz > '2024-01-01T10:00+02'",
       R"(("tz" OPERATOR(pg_catalog.>) '2024-01-01 08:00:00+00'::pg_catalog.timestamptz))"},
      {"d < ts", R"(("d" OPERATOR(pg_catalog.<) "ts"))"},
  };
  for (const auto& [where, sql] : cases)
    EXPECT_EQ(emitted(where, table), sql) << where;
}

TEST(EmittedSql, TextCannotLeaveItsQuotes) {
  for (const char* text :
       {"'", "\\", "\\'", "''; DROP TABLE x --", "\\\\'", "\xe2\x98\x83", "\n"}) {
    const auto made = test::compile("t = $1", table, {text});
    ASSERT_TRUE(made) << text;
    test::row row(table.size());
    row[4] = text;
    EXPECT_EQ(test::verdict((*made)->to_sql(), table, row), truth::yes) << (*made)->to_sql();
  }
}

TEST(CanonicalForm, IsEqualForDifferentSpellings) {
  const std::pair<const char*, const char*> cases[] = {
      {"a = 1", " A=1 /* x */"},
      {"a = 1", "((1) = (a))"},
      {"a = 1", "a = '1'"},
      {"a = 1", "a = ' +01 '::int"},
      {"a <> 1", "a != 1"},
      {"a > 1", "1 < a"},
      {"a = 1 AND b", "b AND a = 1"},
      {"a = 1 AND (b AND d IS NULL)", "(d IS NULL AND a = 1) AND b"},
      {"a = 1 OR a = 1", "a = 1 OR a = 1 OR a = 1"},
      {"a BETWEEN 1 AND 2", "a >= 1 AND a <= 2"},
      {"a NOT BETWEEN 1 AND 2", "NOT (a <= 2 AND 1 <= a)"},
      {"a IN (1, 2)", "a IN (2, 1, 2)"},
      {"a NOT IN (1, 2)", "NOT a IN (1, 2)"},
      {"a NOT IN (1, 2)", "a <> ALL (ARRAY[1, 2])"},
      {"a IS NOT NULL", "NOT a ISNULL"},
      {"NOT NOT b", "b"},
      {"f = 0.1", "f = '1e-1'"},
      {"tz = '2024-01-01 00:00:00Z'", "tz = '20240101 02:00 +02'"},
      {"CAST(a AS int8) = l", "a::bigint = l"},
      {"t = 'x'", "t = E'\\x78'"},
      {"a IN (1, 2)", "a = 2 OR 1 = a"},
      {"a IN (1, 2, 3) OR b", "a IN (3, 2) OR b OR a = 1"},
      {"a = 1", "a IN (1, 1)"},
      {"a = 3", "a = 1 + 2"},
      {"b", "b AND true"},
      {"t NOT LIKE 'x%'", "NOT t ~~ 'x%'"},
      {"(a, l) = (1, 2)", "a = 1 AND l = 2"},
      {"a = ANY ('{1,2}')", "a IN (1, 2)"},
  };
  for (const auto& [one, other] : cases)
    EXPECT_EQ(canonical(one, table), canonical(other, table)) << one << " and " << other;
  EXPECT_EQ(canonical("a = $1", table, {"5"}), canonical("a = 5", table));
}

TEST(CanonicalForm, DiffersWhereTheAnswerMay) {
  const std::pair<const char*, const char*> cases[] = {
      {"a = 1", "a = 2"},
      {"a = 1", "l = 1"},
      {"a < 1", "a <= 1"},
      {"t = 'a'", "t = 'A'"},
      {"t = 'a'", "t = 'a '"},
      {"b", "NOT b"},
      {"b AND d IS NULL", "b OR d IS NULL"},
      {"b IS TRUE", "b"},
      {"a IN (1, 2)", "a IN (1, 2, NULL)"},
      {"f = 0.1", "f = 0.2"},
      {"c = 'x'", "c = 'x'::text"},
      {"t LIKE 'a'", "t = 'a'"},
  };
  for (const auto& [one, other] : cases)
    EXPECT_NE(canonical(one, table), canonical(other, table)) << one << " and " << other;
}

} // namespace
} // namespace busbar::sql
