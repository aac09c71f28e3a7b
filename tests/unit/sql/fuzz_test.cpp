// Clauses that were bent, cut and stitched together: whatever a client sends, the answer is a
// compiled clause or a complaint, and it comes in time.

#include "tests/unit/sql/clause.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <random>

namespace busbar::sql {
namespace {

using namespace std::chrono_literals;

const test::columns table = [] {
  auto out = test::typed({{"a", "int4"},
                          {"c", "int4"},
                          {"b", "bool"},
                          {"t", "text"},
                          {"n", "numeric"},
                          {"f", "float8"},
                          {"u", "uuid"},
                          {"d", "date"},
                          {"tm", "time"},
                          {"ts", "timestamp"},
                          {"tz", "timestamptz"},
                          {"iv", "interval"},
                          {"j", "jsonb"},
                          {"y", "bytea"},
                          {"x", "varchar"}});
  out.push_back({.name = "ia", .type_name = "int4", .dimensions = 1});
  out.push_back({.name = "ta", .type_name = "text", .dimensions = 1});
  for (auto& c : out) {
    c.cases = case_rule::unicode;
    c.not_null = true; // which only NOT IN (SELECT …) asks for
  }
  return out;
}();

/// Any text that looks like what PostgreSQL prints for some of the types.
const std::vector<std::string> cells{"",
                                     "1",
                                     "-5",
                                     "t",
                                     "abc",
                                     "1.50",
                                     "NaN",
                                     "2024-01-01",
                                     "10:00:00",
                                     "2024-01-01 10:00:00",
                                     "2024-01-01 10:00:00+00",
                                     "P1Y2M3DT4H5M6.7S",
                                     "{}",
                                     "{1,2,NULL}",
                                     "{{1,2},{3,4}}",
                                     "[0:1]={5,6}",
                                     "{\"a,b\",c}",
                                     "{\"a\": [1, {\"b\": null}]}",
                                     "\\xdeadbeef",
                                     "\xff\xfe",
                                     "{",
                                     "[",
                                     "\"",
                                     "é",
                                     "9223372036854775808",
                                     "infinity",
                                     "1e400",
                                     std::string(3000, '9'),
                                     std::string(300, '{')};

const std::vector<std::string> pieces{"(",
                                      ")",
                                      "[",
                                      "]",
                                      "'",
                                      "\"",
                                      "$1",
                                      "$2",
                                      "::",
                                      "::int4",
                                      "::text[]",
                                      "NOT ",
                                      " AND ",
                                      " OR ",
                                      " IN (",
                                      " IS NULL",
                                      " BETWEEN ",
                                      " LIKE ",
                                      " ESCAPE '!'",
                                      "ARRAY[",
                                      " = ANY (",
                                      "CASE WHEN ",
                                      " THEN ",
                                      " END",
                                      "COALESCE(",
                                      "--",
                                      "/*",
                                      "*/",
                                      ";",
                                      "E'\\",
                                      "U&'",
                                      "$$",
                                      "\\",
                                      "%",
                                      ",",
                                      ":",
                                      "interval '1 day'",
                                      "ROW(",
                                      " || ",
                                      " @> ",
                                      " -> ",
                                      "99999999999999999999",
                                      "1e9999",
                                      "1e-9999",
                                      "'{{{{{{{1}}}}}}}'",
                                      "(SELECT 1)",
                                      " IN (SELECT a FROM t WHERE ",
                                      "a = ANY (SELECT t.a FROM public.t)",
                                      "(a, t) NOT IN (SELECT a, t FROM t AS u)",
                                      " OR NOT (",
                                      "\xc3",
                                      "\x01",
                                      " COLLATE \"C\"",
                                      "[1:2]",
                                      "^",
                                      "lower(",
                                      "'P1Y'",
                                      "extract(year from ",
                                      " AT TIME ZONE 'Europe/Berlin'"};

class mutator {
public:
  mutator(std::vector<std::string> seeds, std::mt19937_64& random)
      : seeds_{std::move(seeds)}, random_{random} {}

  std::string next() {
    auto clause = pick(seeds_);
    for (auto changes = below(4); changes > 0; --changes) {
      const auto at = below(clause.size() + 1);
      switch (below(6)) {
      case 0:
        clause.insert(at, pick(pieces));
        break;
      case 1:
        clause.erase(at, below(6));
        break;
      case 2:
        if (at < clause.size())
          clause[at] = static_cast<char>(random_() % 256);
        break;
      case 3: {
        const auto& other = pick(seeds_);
        clause = clause.substr(0, at) + other.substr(below(other.size() + 1));
        break;
      }
      case 4:
        clause = "(" + clause + ") " + pick({"AND", "OR", "=", "IS DISTINCT FROM"}) + " (" +
                 pick(seeds_) + ")";
        break;
      default:
        clause.insert(at, clause.substr(below(clause.size() + 1), 20));
      }
    }
    return clause;
  }

  std::size_t below(std::size_t n) {
    return n == 0 ? 0 : std::uniform_int_distribution<std::size_t>{0, n - 1}(random_);
  }
  const std::string& pick(const std::vector<std::string>& from) { return from[below(from.size())]; }

private:
  std::vector<std::string> seeds_;
  std::mt19937_64& random_;
};

// F62
TEST(ClauseFuzzing, AnyTextIsCompiledOrRefusedInTime) {
  const auto* chosen = std::getenv("BUSBAR_TEST_SEED");
  const auto seed = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : std::random_device{}();
  const auto* longer = std::getenv("BUSBAR_FUZZ_CASES");
  const auto rounds = longer != nullptr ? std::strtoull(longer, nullptr, 10) : 20'000;
  std::cout << "BUSBAR_TEST_SEED=" << seed << "\n";
  std::mt19937_64 random{seed};
  std::ifstream file{BUSBAR_TEST_DATA "/where-vectors.json"};
  std::vector<std::string> seeds;
  for (const auto& vector : nlohmann::json::parse(file))
    seeds.push_back(vector.at("where"));
  for (int copies = 0; copies < 20; ++copies) // so that they are not lost among the others
    for (const auto* clause :
         {"a IN (SELECT a FROM t WHERE b AND a = 1) AND NOT b OR t = 'x'",
          "NOT (b OR (a, t) IN (SELECT a, t FROM t WHERE a IN (SELECT a FROM t)))",
          "(a IN (SELECT a FROM t) OR b) AND (t IN (SELECT t FROM t WHERE b) OR a > 1)"})
      seeds.emplace_back(clause);
  const std::vector<inner_table> inner{{"public", "t", table}};
  mutator mutate{std::move(seeds), random};

  int accepted = 0;
  int with_subquery = 0;
  auto slowest = 0ns;
  std::string slowest_clause;
  for (std::size_t round = 0; round < rounds; ++round) {
    const auto where = mutate.next();
    const std::vector<std::string> parameters{mutate.pick(cells), mutate.pick(cells)};
    test::row row;
    for (std::size_t i = 0; i < table.size(); ++i)
      row.push_back(mutate.below(8) == 0 ? std::nullopt : std::optional{mutate.pick(cells)});
    const auto start = std::chrono::steady_clock::now();
    const auto made =
        predicate::compile(where, parameters, table, {true, true, case_rule::ascii}, inner);
    if (made) {
      ++accepted;
      with_subquery += (*made)->subqueries() != nullptr;
      (void)test::evaluate(**made, row);
    } else {
      EXPECT_EQ(made.error().code, errc::invalid_argument) << where;
      EXPECT_FALSE(made.error().message.empty()) << where;
    }
    const auto took = std::chrono::steady_clock::now() - start;
    if (took > slowest) {
      slowest = took;
      slowest_clause = where;
    }
  }
  std::cout << "accepted " << accepted << " of " << rounds << ", " << with_subquery
            << " with subqueries; the slowest took "
            << std::chrono::duration_cast<std::chrono::microseconds>(slowest).count() << " us\n";
  EXPECT_GT(accepted, static_cast<int>(rounds / 50));
  EXPECT_GT(with_subquery, static_cast<int>(rounds / 500));
  EXPECT_LT(slowest, 2s) << slowest_clause;
}

} // namespace
} // namespace busbar::sql
