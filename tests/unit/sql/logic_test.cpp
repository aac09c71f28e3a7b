#include "tests/unit/sql/clause.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <iostream>
#include <random>

namespace busbar::sql {
namespace {

using test::verdict;

const test::columns flags = test::typed({{"x", "bool"}, {"y", "bool"}, {"z", "bool"}});
constexpr truth truths[] = {truth::no, truth::yes, truth::unknown};

std::optional<std::string> cell_of(truth t) {
  return t == truth::unknown ? std::nullopt
                             : std::optional<std::string>{t == truth::yes ? "t" : "f"};
}

truth both(truth a, truth b) {
  if (a == truth::no || b == truth::no)
    return truth::no;
  return a == truth::unknown || b == truth::unknown ? truth::unknown : truth::yes;
}
truth inverse(truth a) {
  return a == truth::unknown ? a : a == truth::yes ? truth::no : truth::yes;
}
truth either(truth a, truth b) {
  return inverse(both(inverse(a), inverse(b)));
}

// F66
TEST(ThreeValuedLogic, TablesOfAndOrNot) {
  for (const auto a : truths)
    for (const auto b : truths) {
      const test::row row{cell_of(a), cell_of(b), {}};
      EXPECT_EQ(verdict("x AND y", flags, row), both(a, b));
      EXPECT_EQ(verdict("x OR y", flags, row), either(a, b));
      EXPECT_EQ(verdict("NOT x", flags, row), inverse(a));
      EXPECT_EQ(verdict("NOT (x AND y)", flags, row), inverse(both(a, b)));
    }
}

/// A random expression and what it means, said twice: as SQL and by the functions above.
struct random_clause {
  std::mt19937_64& random;
  const std::array<truth, 3>& row;
  std::string text = {};

  truth grow(int depth) {
    const auto pick = std::uniform_int_distribution<int>{0, depth == 0 ? 1 : 11}(random);
    switch (pick) {
    case 0:
    case 1: {
      const auto i = std::uniform_int_distribution<std::size_t>{0, 2}(random);
      text += "xyz"[i];
      return row[i];
    }
    case 2:
      text += "NULL";
      return truth::unknown;
    case 3:
    case 4:
      return binary(depth, " AND ", both);
    case 5:
    case 6:
      return binary(depth, " OR ", either);
    case 7: {
      text += "(NOT ";
      const auto a = grow(depth - 1);
      text += ")";
      return inverse(a);
    }
    case 8:
      return tested(depth, " IS TRUE)", truth::yes);
    case 9:
      return tested(depth, " IS NOT UNKNOWN)", truth::unknown, true);
    case 10:
      return binary(depth, " = ", [](truth a, truth b) {
        return a == truth::unknown || b == truth::unknown ? truth::unknown
               : a == b                                   ? truth::yes
                                                          : truth::no;
      });
    default:
      return binary(depth, " IS DISTINCT FROM ",
                    [](truth a, truth b) { return a == b ? truth::no : truth::yes; });
    }
  }

  template <class Meaning>
  truth binary(int depth, const char* name, Meaning meaning) {
    text += "(";
    const auto a = grow(depth - 1);
    text += name;
    const auto b = grow(depth - 1);
    text += ")";
    return meaning(a, b);
  }
  truth tested(int depth, const char* name, truth wanted, bool negated = false) {
    text += "(";
    const auto a = grow(depth - 1);
    text += name;
    return (a == wanted) != negated ? truth::yes : truth::no;
  }
};

// F66
TEST(ThreeValuedLogic, RandomClausesMeanWhatTheTablesSay) {
  const auto seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random{seed};
  for (int round = 0; round < 2000; ++round) {
    std::array<truth, 3> values{};
    for (auto& v : values)
      v = truths[std::uniform_int_distribution<std::size_t>{0, 2}(random)];
    random_clause clause{random, values};
    const auto expected = clause.grow(4);
    const test::row row{cell_of(values[0]), cell_of(values[1]), cell_of(values[2])};
    const auto made = test::compile("(" + clause.text + ")::bool", flags);
    ASSERT_TRUE(made) << clause.text << ": " << made.error().message;
    ASSERT_EQ(test::evaluate(**made, row), expected) << clause.text;
    for (const auto& text : {(*made)->to_sql(), (*made)->canonical()})
      ASSERT_EQ(verdict(text, flags, row), expected) << clause.text << " became " << text;
  }
}

TEST(ThreeValuedLogic, UnreadableValueFailsTheRowButNotItsNullTest) {
  const auto a = test::typed({{"a", "int4"}, {"b", "bool"}});
  EXPECT_EQ(verdict("a = 1", a, {"one", "t"}), truth::failed);
  EXPECT_EQ(verdict("NOT a = 1", a, {"one", "t"}), truth::failed);
  EXPECT_EQ(verdict("(a = 1) IS UNKNOWN", a, {"one", "t"}), truth::failed);
  EXPECT_EQ(verdict("a IS NOT NULL", a, {"one", "t"}), truth::yes);
  EXPECT_EQ(verdict("b OR a = 1", a, {"one", "t"}), truth::yes);
  EXPECT_EQ(verdict("b AND a = 1", a, {"one", "t"}), truth::failed);
}

TEST(ThreeValuedLogic, ConversionThatOverflowsFailsTheRow) {
  const auto table = test::typed({{"n", "numeric"}, {"l", "int8"}, {"f", "float8"}});
  EXPECT_EQ(verdict("n = f", table, {"1e400", "1", "1"}), truth::failed);
  EXPECT_EQ(verdict("l::int4 = 1", table, {"1", "3000000000", "1"}), truth::failed);
  EXPECT_EQ(verdict("l::int4 = 1", table, {"1", "1", "1"}), truth::yes);
}

TEST(ThreeValuedLogic, ARowThatIsTooShortFails) {
  EXPECT_EQ(verdict("y", flags, {"t"}), truth::failed);
  EXPECT_EQ(verdict("x", flags, {"t"}), truth::yes);
}

TEST(ThreeValuedLogic, ManyColumnsUsedTwiceAreRememberedRight) {
  test::columns table;
  test::row row;
  std::string where = "true";
  for (int i = 0; i < 20; ++i) {
    const auto name = "c" + std::to_string(i);
    table.push_back(column{name, "int4"});
    row.push_back(std::to_string(i));
    where += " AND " + name + " > " + std::to_string(i - 1) + " AND " + name + " < " +
             std::to_string(i + 1);
  }
  EXPECT_EQ(verdict(where, table, row), truth::yes);
  row[19] = "18";
  EXPECT_EQ(verdict(where, table, row), truth::no);
  row[19] = std::nullopt;
  EXPECT_EQ(verdict(where, table, row), truth::unknown);
}

TEST(ThreeValuedLogic, ColumnsUsedAreAscendingAndOnce) {
  const auto made = test::compile("z OR x OR z IS NULL", flags);
  ASSERT_TRUE(made);
  const auto used = (*made)->columns_used();
  EXPECT_EQ(std::vector<std::uint16_t>(used.begin(), used.end()),
            (std::vector<std::uint16_t>{0, 2}));
  EXPECT_TRUE((*test::compile("true", flags))->columns_used().empty());
}

} // namespace
} // namespace busbar::sql
