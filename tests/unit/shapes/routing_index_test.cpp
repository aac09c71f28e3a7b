#include "shapes/routing_index.hpp"
#include "tests/unit/base/touched_memory.hpp"
#include "tests/unit/sql/random_clause.hpp"
#include "tests/unit/sql/vectors.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace busbar {
namespace {

using sql::test::compiled;
using sql::test::row;
using target = routing_index::target;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

/// The index under test, next to the predicates that it knows.
class predicates {
public:
  explicit predicates(sql::test::columns table = sql::test::every_type())
      : table_{std::move(table)} {}

  /// False if the clause does not compile.
  bool add(target who, const std::string& where) {
    const auto made = sql::test::compile(where, table_);
    if (!made)
      return false;
    index_.add(who, (*made)->conjunctions());
    known_[who] = *made;
    return true;
  }
  void remove(target who) {
    index_.remove(who);
    known_.erase(who);
  }

  /// Who is found, in order; fails the test if it misses one, or claims too much.
  std::vector<target> find(const row& values) {
    std::vector<sql::cell> cells;
    for (const auto& v : values)
      cells.push_back(v ? sql::cell{*v} : sql::cell{});
    std::vector<routing_index::candidate> found;
    index_.find(cells, found);
    std::map<target, bool> candidates;
    for (const auto& [who, certain] : found) {
      EXPECT_TRUE(known_.contains(who)) << who;
      EXPECT_TRUE(candidates.emplace(who, certain).second) << who << " is found twice";
    }
    certain_ = 0;
    true_ = 0;
    std::vector<target> out;
    for (const auto& [who, predicate] : known_) {
      const auto answer = predicate->evaluate(cells);
      const auto candidate = candidates.find(who);
      true_ += answer == sql::truth::yes ? 1 : 0;
      if (candidate == candidates.end()) {
        EXPECT_NE(answer, sql::truth::yes) << predicate->to_sql() << " is missed";
        continue;
      }
      out.push_back(who);
      certain_ += candidate->second ? 1 : 0;
      if (candidate->second) {
        // Of an OR, a value that no enum has fails one side, while the other is true.
        EXPECT_TRUE(answer == sql::truth::yes || answer == sql::truth::failed)
            << predicate->to_sql() << " is said to be certain";
      }
    }
    return out;
  }

  std::size_t certain() const { return certain_; } ///< In the last answer.
  std::size_t right() const { return true_; }      ///< Predicates that were true.
  routing_index::extent size() const { return index_.size(); }
  const std::map<target, compiled>& known() const { return known_; }

private:
  sql::test::columns table_;
  routing_index index_;
  std::map<target, compiled> known_;
  std::size_t certain_ = 0;
  std::size_t true_ = 0;
};

sql::test::columns orders() {
  auto out = sql::test::typed({{"tenant", "int4"},
                               {"kind", "int4"},
                               {"amount", "numeric"},
                               {"title", "text"},
                               {"done", "bool"}});
  out.push_back(sql::column{.name = "tags", .type_name = "text", .dimensions = 1});
  return out;
}
row order(const char* tenant, const char* kind = "1", const char* amount = "0",
          const char* title = "x", const char* done = "f", const char* tags = "{}") {
  return {tenant, kind, amount, title, done, tags};
}

TEST(RoutingIndex, EqualityIsFoundByItsValue) {
  predicates all{orders()};
  for (target i = 0; i < 1000; ++i)
    ASSERT_TRUE(all.add(i, "tenant = " + std::to_string(i)));
  EXPECT_THAT(all.find(order("7")), ElementsAre(7));
  EXPECT_EQ(all.certain(), 1u) << "nothing is left to evaluate";
  EXPECT_THAT(all.find(order("1000")), IsEmpty());
  EXPECT_EQ(all.size().tables, 1u);
}

TEST(RoutingIndex, EqualitiesOnSeveralColumnsAreFoundTogether) {
  predicates all{orders()};
  for (target i = 0; i < 900; ++i)
    ASSERT_TRUE(all.add(i, (i % 2 ? "kind = " : "tenant = ") + std::to_string(i % 30) +
                               (i % 2 ? " AND tenant = " : " AND kind = ") +
                               std::to_string(i / 30)));
  EXPECT_THAT(all.find(order("8", "2")), ElementsAre(68)) << "not 248, whose columns are swapped";
  EXPECT_THAT(all.find(order("2", "9")), ElementsAre(69, 272));
  EXPECT_EQ(all.size().tables, 1u);
}

TEST(RoutingIndex, ListsOfValuesMakeEveryCombination) {
  predicates all{orders()};
  ASSERT_TRUE(all.add(0, "tenant IN (1, 2, 3) AND kind IN (4, 5)"));
  ASSERT_TRUE(all.add(1, "tenant IN (3, 4) AND kind = 4 AND title LIKE '%a'"));
  EXPECT_THAT(all.find(order("3", "5")), ElementsAre(0));
  EXPECT_EQ(all.certain(), 1u);
  EXPECT_THAT(all.find(order("3", "4", "0", "ba")), ElementsAre(0, 1));
  EXPECT_EQ(all.certain(), 1u) << "the title has to be looked at";
  EXPECT_THAT(all.find(order("4", "5")), IsEmpty());
}

TEST(RoutingIndex, WhatNoAtomNarrowsIsACandidateForEveryRow) {
  predicates all{orders()};
  ASSERT_TRUE(all.add(0, "title LIKE '%b%'"));
  ASSERT_TRUE(all.add(1, "tenant = 1 OR title LIKE '%x%'"));
  ASSERT_TRUE(all.add(2, "tenant = 1 AND title LIKE '%x%'"));
  EXPECT_THAT(all.find(order("2")), ElementsAre(0, 1));
  EXPECT_THAT(all.find(order("1")), ElementsAre(0, 1, 2));
  EXPECT_EQ(all.certain(), 0u);
}

TEST(RoutingIndex, FalseIsNoCandidateForAnyRow) {
  predicates all{orders()};
  ASSERT_TRUE(all.add(0, "tenant = 1 AND false"));
  EXPECT_THAT(all.find(order("1")), IsEmpty());
  EXPECT_EQ(all.size(), routing_index::extent{});
}

TEST(RoutingIndex, RangesAndPrefixesAreFoundByWhereAValueLies) {
  predicates all{orders()};
  ASSERT_TRUE(all.add(0, "amount > 10"));
  ASSERT_TRUE(all.add(1, "amount >= 10.0 AND amount < 20"));
  ASSERT_TRUE(all.add(2, "amount < 10"));
  ASSERT_TRUE(all.add(3, "title LIKE 'ab%'"));
  ASSERT_TRUE(all.add(4, "title LIKE 'ab%c'"));
  ASSERT_TRUE(all.add(5, "title LIKE 'a%'"));
  EXPECT_THAT(all.find(order("1", "1", "10.00")), ElementsAre(1));
  EXPECT_THAT(all.find(order("1", "1", "15")), ElementsAre(0, 1));
  EXPECT_THAT(all.find(order("1", "1", "9.99", "abx")), ElementsAre(2, 3, 4, 5));
  EXPECT_THAT(all.find(order("1", "1", "20", "ac")), ElementsAre(0, 5));
  EXPECT_THAT(all.find(order("1", "1", "NaN", "b")), ElementsAre(0));
}

TEST(RoutingIndex, PrefixOfTheHighestBytesHasNoEnd) {
  sql::atom a{.kind = sql::atom::kind_type::prefix, .keys = {"\xff\xff"}};
  const std::vector<sql::conjunction> alternatives{{.atoms = {a}, .complete = false}};
  routing_index index;
  index.add(0, alternatives);
  std::vector<routing_index::candidate> found;
  const std::vector<sql::cell> yes{"\xff\xff\xffz"};
  index.find(yes, found);
  EXPECT_EQ(found.size(), 1u);
  const std::vector<sql::cell> no{"\xff\xfe"};
  index.find(no, found);
  EXPECT_TRUE(found.empty());
}

TEST(RoutingIndex, ElementsAreFoundByTheRarestOfThem) {
  predicates all{orders()};
  ASSERT_TRUE(all.add(0, "tags @> '{all}'"));
  for (target i = 1; i < 100; ++i)
    ASSERT_TRUE(all.add(i, "tags @> '{all,t" + std::to_string(i) + "}'"));
  ASSERT_TRUE(all.add(100, "tags && '{t1,t2}'"));
  ASSERT_TRUE(all.add(101, "'t2' = ANY (tags)"));
  EXPECT_THAT(all.find(order("1", "1", "0", "x", "f", "{all,all}")), ElementsAre(0));
  EXPECT_THAT(all.find(order("1", "1", "0", "x", "f", "{t2}")), ElementsAre(2, 100, 101));
  EXPECT_THAT(all.find(order("1", "1", "0", "x", "f", "{t2,t1,all,NULL}")),
              ElementsAre(0, 1, 2, 100, 101));
}

TEST(RoutingIndex, JsonIsFoundByTheKeysOfItsTopLevel) {
  auto table = orders();
  table.push_back(sql::column{.name = "doc", .type_name = "jsonb"});
  predicates all{table};
  constexpr target count = 600;
  const auto clause = [](target i) {
    const auto key = "'k" + std::to_string(i / 6) + "'";
    switch (i % 6) {
    case 0:
      return "doc ? " + key;
    case 1:
      return "doc @> '{\"k" + std::to_string(i / 6) + "\": 1}'";
    case 2:
      return "doc ->> " + key + " = '1'";
    case 3:
      return "(doc ->> " + key + ")::int IN (1, 5)";
    case 4:
      return "doc -> " + key + " IS NOT NULL";
    default:
      return "(doc ->> " + key + ") LIKE '%1'";
    }
  };
  for (target i = 0; i < count; ++i)
    ASSERT_TRUE(all.add(i, clause(i))) << clause(i);
  const auto document = [](const char* doc) {
    auto values = order("1");
    values.emplace_back(doc);
    return values;
  };
  EXPECT_THAT(all.find(document(R"({"k7": 1, "x": "k8"})")), ElementsAre(42, 43, 44, 45, 46, 47));
  EXPECT_EQ(all.right(), 6u);
  EXPECT_EQ(all.certain(), 1u) << "of the others the value counts, too";
  EXPECT_EQ(all.find(document(R"({"k7": 1, "k99": 1, "k100": 1})")).size(), 12u);
  EXPECT_EQ(all.right(), 12u);
  EXPECT_EQ(all.find(document(R"({"k0": 2})")).size(), 6u);
  EXPECT_EQ(all.right(), 2u) << "all of its key are asked";
  EXPECT_THAT(all.find(document(R"({"x": {"k7": 1}})")), IsEmpty());
  EXPECT_THAT(all.find(document("{}")), IsEmpty());
  EXPECT_EQ(all.size().lists, count / 6);
}

TEST(RoutingIndex, PathIntoJsonIsFoundByItsFirstKey) {
  auto table = orders();
  table.push_back(sql::column{.name = "doc", .type_name = "jsonb"});
  predicates all{table};
  ASSERT_TRUE(all.add(0, "doc -> 'a' ->> 'b' = 'x'"));
  ASSERT_TRUE(all.add(1, "doc -> 'b' ->> 'a' = 'x'"));
  ASSERT_TRUE(all.add(2, "NOT doc ->> 'a' = 'x'"));
  ASSERT_TRUE(all.add(3, "doc ->> 'a' IS NULL"));
  ASSERT_TRUE(all.add(4, "doc ->> 0 = 'x'"));
  ASSERT_TRUE(all.add(5, "coalesce(doc ->> 'a', 'x') = 'x'"));
  ASSERT_TRUE(all.add(6, "(doc ->> 'b')::bool"));
  auto values = order("1");
  values.emplace_back(R"({"a": {"b": "x"}})");
  EXPECT_THAT(all.find(values), ElementsAre(0, 2, 3, 4, 5));
  values.back() = R"({"b": true})";
  EXPECT_THAT(all.find(values), ElementsAre(1, 3, 4, 5, 6));
  values.back() = R"(["x", "a"])"; // as ? has it, a text in an array is a key
  EXPECT_THAT(all.find(values), ElementsAre(0, 2, 3, 4, 5));
}

TEST(RoutingIndex, NullIsFoundByNullTestsOnly) {
  predicates all{orders()};
  ASSERT_TRUE(all.add(0, "tenant IS NULL"));
  ASSERT_TRUE(all.add(1, "tenant IS NOT NULL"));
  ASSERT_TRUE(all.add(2, "tenant = 1"));
  ASSERT_TRUE(all.add(3, "tenant < 5"));
  EXPECT_THAT(all.find({{}, "1", "1", "x", "f", "{}"}), ElementsAre(0));
  EXPECT_EQ(all.certain(), 1u);
  EXPECT_THAT(all.find(order("1")), ElementsAre(1, 2, 3));
}

TEST(RoutingIndex, MoreSelectiveAtomDecides) {
  predicates all{orders()};
  ASSERT_TRUE(all.add(0, "done AND amount > 5 AND tenant = 3"));
  ASSERT_TRUE(all.add(1, "done AND amount > 5"));
  ASSERT_TRUE(all.add(2, "kind IS NOT NULL AND done"));
  EXPECT_THAT(all.find(order("1", "1", "9", "x", "t")), ElementsAre(1, 2));
  EXPECT_THAT(all.find(order("3", "1", "9", "x", "f")), ElementsAre(0, 1));
}

TEST(RoutingIndex, ValueThatCannotBeReadFindsAllThatWereEnteredByItAndNothingIsCertain) {
  predicates all{orders()};
  ASSERT_TRUE(all.add(0, "tenant = 1"));
  ASSERT_TRUE(all.add(1, "tenant = 2 AND kind = 3"));
  ASSERT_TRUE(all.add(2, "tenant > 5"));
  ASSERT_TRUE(all.add(3, "kind = 1"));
  ASSERT_TRUE(all.add(4, "tags @> '{a}'"));
  EXPECT_THAT(all.find(order("x", "1", "0", "x", "f", "{a")), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(all.certain(), 0u);
}

TEST(RoutingIndex, EnumIsOneFormHoweverClausesNumberIt) {
  auto table = orders();
  for (const auto* name : {"first", "second"}) {
    sql::column made{.name = name, .type_name = name, .type_class = "e"};
    made.labels =
        std::make_shared<sql::enum_type>(sql::enum_type{"public", name, {"sad", "ok", "happy"}});
    table.push_back(made);
  }
  predicates all{table};
  ASSERT_TRUE(all.add(0, "second = 'ok'"));
  ASSERT_TRUE(all.add(1, "second = 'ok' OR first = 'ok'"));
  EXPECT_EQ(all.size().forms, 2u);
  auto values = order("1");
  values.insert(values.end(), {"sad", "ok"});
  EXPECT_THAT(all.find(values), ElementsAre(0, 1));
}

TEST(RoutingIndex, SetsOfColumnsAreBoundedInNumber) {
  sql::test::columns table;
  row values;
  for (int i = 0; i < 40; ++i) {
    table.push_back(sql::column{.name = "c" + std::to_string(i), .type_name = "int4"});
    values.emplace_back("1");
  }
  predicates all{table};
  target next = 0;
  for (int i = 0; i < 40; ++i)
    for (int j = 0; j < i; ++j)
      ASSERT_TRUE(
          all.add(next++, "c" + std::to_string(i) + " = 1 AND c" + std::to_string(j) + " = 1"));
  EXPECT_LE(all.size().tables, 64u + 40u);
  EXPECT_EQ(all.find(values).size(), next);
  while (next > 0)
    all.remove(--next);
  EXPECT_EQ(all.size(), routing_index::extent{});
}

TEST(RoutingIndex, EveryRowOfTheVectorsFindsItsClause) {
  using namespace sql::test::vectors;
  for (const auto& vector : sql::test::vectors::all()) {
    const auto v = prepare(vector);
    const auto made = compile(v);
    if (!made || v.expected.is_string() || answer_of(v.expected) != sql::truth::yes)
      continue;
    routing_index index;
    index.add(3, (*made)->conjunctions());
    std::vector<sql::cell> cells;
    for (const auto& text : v.row)
      cells.push_back(text ? sql::cell{*text} : sql::cell{});
    std::vector<routing_index::candidate> found;
    index.find(cells, found);
    EXPECT_EQ(found.size(), 1u) << v.id << ": " << v.where;
    index.remove(3);
    EXPECT_EQ(index.size(), routing_index::extent{}) << v.id << ": " << v.where;
  }
}

/// Clauses of one indexable kind each, with enough values that an index pays.
std::string friendly(std::mt19937_64& random) {
  const auto number = [&] { return std::to_string(random() % 200); };
  switch (random() % 9) {
  case 0:
    return "tenant = " + number();
  case 1:
    return "tenant IN (" + number() + ", " + number() + ", " + number() + ")";
  case 2:
    return "kind = " + number() + " AND tenant = " + number();
  case 3:
    return "amount BETWEEN " + number() + " AND " + number();
  case 4:
    return "amount >= " + number() + " AND amount < " + number() + ".5";
  case 5:
    return "title LIKE '" + number() + "%'";
  case 6:
    return "tags @> '{" + number() + "}'";
  case 7:
    return "tags && '{" + number() + "," + number() + "}'";
  default:
    return "tenant = " + number() + " OR amount = " + number();
  }
}

TEST(RoutingIndex, FindsHardlyMoreThanIsTrueIfAtomsSayItAll) {
  auto random = sql::test::seeded_random();
  predicates all{orders()};
  const auto number = [&] { return std::to_string(random() % 200); };
  std::size_t found = 0;
  std::size_t right = 0;
  for (target round = 0; round < 4000; ++round) {
    if (round % 4 == 3 && round > 1000)
      all.remove(static_cast<target>(random() % round));
    else
      ASSERT_TRUE(all.add(round, friendly(random)));
    if (round % 20 != 0)
      continue;
    const auto tags = "{" + number() + "," + number() + "," + number() + "}";
    found += all.find({number(), number(), number() + ".0", number(), "t", tags}).size();
    right += all.right();
  }
  EXPECT_EQ(found, right);
  EXPECT_GT(right, 1000u);
}

// Sanitizers look at memory of their own, and take long.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

/// One in five is entered by each way in which it has a structure of its own.
std::string structured(target i) {
  const auto n = std::to_string(i);
  switch (i % 5) {
  case 0:
    return "tenant = " + n;
  case 1:
    return "tenant = " + n + " AND kind = " + n;
  case 2:
    return "tenant IN (" + n + ", " + n + "1, " + n + "2)";
  case 3:
    return "amount BETWEEN " + n + " AND " + n + ".5";
  default:
    return "tags @> '{" + n + "}'";
  }
}

TEST(RoutingIndex, ComingAndGoingLooksAtLittleOfWhatIsThere) {
  constexpr target count = 100'000;
  routing_index index;
  const auto enter = [&](target who) {
    const auto made = sql::test::compile(structured(who), orders());
    ASSERT_TRUE(made) << structured(who);
    index.add(who, (*made)->conjunctions());
  };
  for (target who = 0; who < count; ++who)
    enter(who);
  // A row that cannot be read looks at all of it.
  const std::vector<sql::cell> unreadable{"x", "x", "x", "x", "x", "{"};
  std::vector<routing_index::candidate> found;
  found.reserve(count);
  const auto all = testing::touched_kilobytes([&] { index.find(unreadable, found); });
  ASSERT_EQ(found.size(), count);
  if (!all)
    GTEST_SKIP() << "the kernel does not tell which memory was touched";
  for (target who = count / 2; who < count / 2 + 10; ++who) {
    const auto made = *sql::test::compile(structured(who), orders());
    const auto alternatives = made->conjunctions();
    const auto touched = *testing::touched_kilobytes([&] {
      index.remove(who);
      index.add(who, alternatives);
    });
    EXPECT_LT(touched, *all / 5) << structured(who);
  }
}

#endif

TEST(RoutingIndex, MissesNothingWhateverTheClausesAndWhoeverComesAndGoes) {
  auto random = sql::test::seeded_random();
  sql::test::clause_maker maker{random};
  predicates all;
  std::vector<target> present;
  std::vector<target> free;
  std::size_t candidates = 0;
  std::size_t asked = 0;
  for (int round = 0; round < 6000; ++round) {
    if (present.size() < 50 || random() % 100 < 52) {
      const auto who = free.empty() ? static_cast<target>(present.size()) : free.back();
      if (!all.add(who, maker.condition(static_cast<int>(random() % 4))))
        continue; // a literal that some type refuses
      if (!free.empty())
        free.pop_back();
      present.push_back(who);
    } else {
      const auto at = random() % present.size();
      all.remove(present[at]);
      free.push_back(present[at]);
      present[at] = present.back();
      present.pop_back();
    }
    if (round % 10 != 0)
      continue;
    auto values = sql::test::random_row(random);
    if (random() % 8 == 0)
      values[random() % values.size()] = "unreadable {";
    candidates += all.find(values).size();
    asked += present.size();
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_LT(candidates, asked) << "it narrows something";
  for (const auto who : present)
    all.remove(who);
  EXPECT_EQ(all.size(), routing_index::extent{}) << "nothing is left behind";
}

} // namespace
} // namespace busbar
