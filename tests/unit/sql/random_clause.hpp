// tests/unit/sql/random_clause.hpp: a table with a column of every type, and clauses and rows for
// it by chance.
#pragma once

#include "sql/enum_type.hpp"
#include "tests/unit/sql/clause.hpp"

#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace busbar::sql::test {

/// Prints the seed; BUSBAR_TEST_SEED repeats a run.
inline std::mt19937_64 seeded_random() {
  const auto* chosen = std::getenv("BUSBAR_TEST_SEED");
  const auto seed = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : std::random_device{}();
  std::cout << "BUSBAR_TEST_SEED=" << seed << "\n";
  return std::mt19937_64{seed};
}

using texts = std::vector<std::string>;

struct test_column {
  column is;
  texts values; ///< In rows and, quoted, as literals.
};

inline column made(const char* name, const char* type, std::int32_t dimensions = 0) {
  return column{.name = name, .type_name = type, .dimensions = dimensions};
}

inline column mood() {
  auto out = made("m", "mood");
  out.type_class = "e";
  out.labels = std::make_shared<enum_type>(enum_type{"public", "mood", {"sad", "ok", "happy"}});
  return out;
}

inline const std::vector<test_column> typed_table{
    {made("a", "int4"), {"0", "1", "2", "3", "-5", "2147483647"}},
    {made("l", "int8"), {"0", "1", "2", "9007199254740993", "-9223372036854775808"}},
    {made("n", "numeric"),
     {"0.00", "1", "1.0", "1.50", "-0.001", "-12", "1e20", "NaN", "Infinity", "-Infinity"}},
    {made("g", "float4"), {"0", "-0", "0.1", "1", "NaN", "-Infinity", "16777216"}},
    {made("f", "float8"), {"0", "-0", "0.1", "1", "1.5", "NaN", "Infinity", "-1e300"}},
    {made("b", "bool"), {"t", "f"}},
    {made("t", "text"), {"", "a", "ab", "ab ", "abc", "b", "a%c", "é", "a_"}},
    {made("v", "varchar"), {"", "a", "ab", "ab ", "b"}},
    {made("c", "bpchar"), {"", "a  ", "ab ", "ab", "b  "}},
    {made("u", "uuid"),
     {"550e8400-e29b-41d4-a716-446655440000", "00000000-0000-0000-0000-000000000000"}},
    {made("d", "date"), {"2024-01-01", "2024-02-29", "infinity", "-infinity", "5874897-12-31"}},
    {made("ts", "timestamp"), {"2024-01-01 00:00:00", "2024-02-29 10:00:00", "infinity"}},
    {made("i", "interval"), {"P1M", "P30D", "PT24H", "P1D", "P-1D", "P-1M31D", "PT0S"}},
    {mood(), {"sad", "ok", "happy"}},
    {made("y", "bytea"), {"\\x", "\\x01", "\\x01ff"}},
    {made("ia", "int4", 1), {"{}", "{1}", "{1,2}", "{2,NULL}", "{{1,2},{3,3}}", "[0:1]={0,1}"}},
    {made("j", "jsonb"),
     {"{}", "{\"a\": 1}", "{\"a\": 1, \"b\": null}", "[\"a\", 1]", "\"a\"", "1"}},
    {made("ta", "text", 1), {"{}", "{a}", "{a,ab}", "{NULL}", "{\"\"}"}},
};

inline columns every_type() {
  columns out;
  for (const auto& c : typed_table)
    out.push_back(c.is);
  return out;
}

inline row random_row(std::mt19937_64& random) {
  row out;
  for (const auto& c : typed_table)
    out.push_back(random() % 6 == 0 ? std::nullopt
                                    : std::optional{c.values[random() % c.values.size()]});
  return out;
}

class clause_maker {
public:
  explicit clause_maker(std::mt19937_64& random) : random_{random} {}

  std::string condition(int depth) {
    switch (depth == 0 ? 4 : below(6)) {
    case 0:
    case 1:
      return "(" + condition(depth - 1) + " AND " + condition(depth - 1) + ")";
    case 2:
      return "(" + condition(depth - 1) + " OR " + condition(depth - 1) + ")";
    case 3:
      return "(NOT " + condition(depth - 1) + ")";
    default:
      return leaf();
    }
  }

private:
  std::size_t below(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>{0, n - 1}(random_);
  }
  template <class Range>
  auto pick(const Range& from) {
    return from[below(from.size())];
  }
  std::string literal(const test_column& c) { return "'" + pick(c.values) + "'"; }

  std::string leaf() {
    const auto& c = typed_table[below(typed_table.size())];
    const auto& x = c.is.name;
    const auto compare = pick(texts{"=", "<>", "<", "<=", ">", ">="});
    switch (below(9)) {
    case 0:
      return x + " IS " + pick(texts{"", "NOT "}) + "NULL";
    case 1:
      return x + " IN (" + literal(c) + ", " + literal(c) + ", NULL)";
    case 2:
      return x + " BETWEEN " + literal(c) + " AND " + literal(c);
    case 3:
      return pick(texts{"t", "v", "c"}) + " LIKE '" +
             pick(texts{"a%", "ab%", "ab", "a\\%%", "%", "a_", "ab %", ""}) + "'";
    case 4:
      return pick(texts{"a", "l", "n", "g", "f"}) + " " + compare + " " +
             pick(texts{"1", "1.0", "1.5", "0.1", "3000000000", "0", "1e0::float8", "16777217"});
    case 5:
      return pick(texts{"ia @> '{1}'", "ia @> '{1,2}'", "1 = ANY (ia)", "ia && '{2,3}'",
                        "'{3}' <@ ia", "ta @> '{a}'", "ta && '{a,\"\"}'", "2 = ANY (ia)",
                        "ia <@ '{1,2,3}'", "ia @> '{}'", "ia @> '{NULL}'", "j ? 'a'",
                        "j @> '{\"a\": 1}'", "j @> '[1]'", "'{\"b\": null}' <@ j", "j @> '{}'",
                        "j ->> 'a' = '1'", "j -> 'b' IS NOT NULL", "j ->> 'a' <> '2'"});
    case 6:
      return pick(texts{"d < ts", "d = '2024-01-01'::timestamp", "ts > '2024-01-01'::date", "b",
                        "m::text = 'ok'", "c = 'ab'::text", "c = 'ab '::text", "a + 1 > 1",
                        "b IS TRUE", "b IS NOT FALSE", "(a = 1) IS UNKNOWN", "a = l"});
    default:
      return x + " " + compare + " " + literal(c);
    }
  }

  std::mt19937_64& random_;
};

} // namespace busbar::sql::test
