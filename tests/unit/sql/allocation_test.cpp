// Evaluation is on the path of every change: for common types it takes no memory.

// Sanitizers have an operator new of their own, and this test would be in its way.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include "tests/unit/base/counted_allocations.hpp"
#include "tests/unit/sql/clause.hpp"

#include <gtest/gtest.h>

namespace busbar::sql {
namespace {

using busbar::testing::allocations;

TEST(Evaluation, TakesNoMemoryForValuesOfUsualSize) {
  auto table = test::typed({{"a", "int4"},
                            {"t", "text"},
                            {"n", "numeric"},
                            {"f", "float8"},
                            {"d", "date"},
                            {"ts", "timestamp"},
                            {"u", "uuid"},
                            {"i", "interval"},
                            {"j", "jsonb"}});
  table.push_back({.name = "ia", .type_name = "int4", .dimensions = 1});
  for (auto& c : table)
    c.cases = case_rule::unicode;
  const std::vector<cell> row{"42",
                              "hello world, this is longer than a short string",
                              "123.456",
                              "1.5",
                              "2024-01-31",
                              "2024-01-31 10:00:00.5",
                              "550e8400-e29b-41d4-a716-446655440000",
                              "P1DT2H",
                              R"({"a": [1, 2, {"b": "c"}]})",
                              "{1,2,3,NULL}"};
  for (const auto* where : {"a = 42 AND t LIKE 'hello%' AND n > 100 AND f < 2",
                            "a IN (1, 2, 42)",
                            "a + 1 = 43",
                            "n + 1 > 100 AND n * n > 5 AND round(n, 1) = 123.5",
                            "d + 1 = '2024-02-01'",
                            "ts + interval '1 month' > '2024-02-01'",
                            "ts AT TIME ZONE 'America/New_York' > '2024-01-01 00:00:00Z'",
                            "u = '550e8400-e29b-41d4-a716-446655440000'",
                            "i > '1 day'",
                            "j -> 'a' IS NOT NULL",
                            R"(j @> '{"a": [2]}')",
                            "ia @> '{2}'",
                            "2 = ANY (ia)",
                            "ia[2] = 2",
                            "lower(t) LIKE 'hello%'",
                            "t || 'x' <> t",
                            "coalesce(a, 0) = 42",
                            "CASE WHEN a > 1 THEN true ELSE false END",
                            "length(t) > 5",
                            "a::text = '42'",
                            "greatest(a, 7) = 42"}) {
    const auto made = test::compile(where, table);
    ASSERT_TRUE(made) << where << ": " << made.error().message;
    const auto before = allocations;
    const auto answer = (*made)->evaluate(row);
    EXPECT_EQ(allocations - before, 0u) << where;
    EXPECT_EQ(answer, truth::yes) << where;
  }
}

} // namespace
} // namespace busbar::sql

#endif
