// Random clauses over random rows: our verdict must be PostgreSQL's, for the text that the client
// wrote, for to_sql() and for canonical().

#include "sql/predicate.hpp"
#include "tests/integration/postgres_server.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>

namespace busbar::testing {
namespace {

using sql::truth;
using texts = std::vector<std::string>;

struct test_column {
  const char* name;
  const char* type;
  texts values;  ///< In rows, and as literals.
  texts related; ///< Columns that compare with this one.
};

const texts days{"2024-01-01", "2024-02-29",    "1999-12-31",   "infinity",
                 "-infinity",  "0044-03-15 BC", "294276-12-31", "5874897-12-31"};
const texts moments{"2024-01-01 00:00:00",
                    "2024-01-01 10:00:00.5",
                    "2024-02-29 23:59:59.999999",
                    "infinity",
                    "-infinity",
                    "0044-03-15 00:00:00 BC",
                    "2000-01-01 00:00:00",
                    "1999-12-31 23:59:59.999999"};
const texts words{"", "a", "A", "ab", "a ", "é", "🙂", "a%c", "_", "a\nc", "\\z", "it's"};

const std::vector<test_column> table{
    {"s", "int2", {"0", "1", "-1", "32767"}, {"s", "a", "l", "n", "f", "g"}},
    {"a", "int4", {"0", "1", "5", "16777217", "-2147483648"}, {"s", "a", "l", "n", "f", "g"}},
    {"l", "int8", {"0", "1", "9007199254740993", "-9223372036854775808"}, {"a", "l", "n", "f"}},
    {"n",
     "numeric",
     {"0.00", "1.0", "-1.50", "0.1", "NaN", "Infinity", "9007199254740993"},
     {"a", "l", "n", "f", "g"}},
    {"g", "float4", {"0", "-0", "0.1", "1", "NaN", "-Infinity", "16777216"}, {"a", "n", "f", "g"}},
    {"f",
     "float8",
     {"0", "0.1", "1.5", "NaN", "Infinity", "9007199254740992", "5e-324"},
     {"a", "l", "n", "f", "g"}},
    {"b", "bool", {"t", "f"}, {"b"}},
    {"t", "text", words, {"t", "v", "c"}},
    {"v", "varchar", words, {"t", "v", "c"}},
    {"c", "bpchar", words, {"t", "v", "c"}},
    {"u",
     "uuid",
     {"550e8400-e29b-41d4-a716-446655440000", "00000000-0000-0000-0000-000000000000"},
     {"u"}},
    {"d", "date", days, {"d", "ts", "tz"}},
    {"ts", "timestamp", moments, {"d", "ts", "tz"}},
    {"tz", "timestamptz", moments, {"d", "ts", "tz"}},
};

/// Literals for any place: most are invalid for most types, and then both must refuse them.
const texts oddities{" 1 ",
                     "+1",
                     "007",
                     "1e3",
                     "inf",
                     "-nan",
                     "0x10",
                     ".",
                     "1.",
                     "yes",
                     "of",
                     "o",
                     "{550e8400e29b41d4a716446655440000}",
                     "20240101",
                     "January 1, 2024",
                     "1 jan 2024",
                     "02/01/2024",
                     "13/13/2024",
                     "2024-02-30",
                     "0000-01-01",
                     "2024-01-01T10:00Z",
                     "2024-01-01 10:00:00+02",
                     "2024-01-01 24:00:00",
                     "2024-01-01 12:30 AM",
                     "2024-01-01 23:59:60",
                     "2024-01-01 10:00:00.0000005",
                     "epoch",
                     "32768",
                     "9223372036854775808",
                     "1e-400",
                     "a%",
                     "%",
                     "\\",
                     "_%"};

class clause_maker {
public:
  explicit clause_maker(std::mt19937_64& random) : random_{random} {}

  std::string condition(int depth) {
    switch (depth == 0 ? 6 + below(7) : below(13)) {
    case 0:
      return "(" + condition(depth - 1) + " AND " + condition(depth - 1) + ")";
    case 1:
      return "(" + condition(depth - 1) + " OR " + condition(depth - 1) + ")";
    case 2:
    case 3:
      return "(NOT " + condition(depth - 1) + ")";
    case 4:
      return "(" + condition(depth - 1) + one_of({" IS ", " IS NOT "}) +
             one_of({"TRUE", "FALSE", "UNKNOWN", "NULL"}) + ")";
    case 5:
      return "(" + condition(depth - 1) + one_of({" = ", " < ", " IS DISTINCT FROM "}) +
             condition(depth - 1) + ")";
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
  std::string one_of(const texts& from) { return pick(from); }

  std::string partner(const test_column& c) {
    switch (below(8)) {
    case 0:
      return "NULL";
    case 1:
      return postgres::quote_literal(pick(oddities));
    case 2:
      return postgres::quote_literal(pick(c.values)) + "::" + pick(table).type;
    case 3:
      return one_of({"1", "-1", "1.5", "0.1", "3000000000", "1e0", "true"});
    case 4:
    case 5:
      return postgres::quote_literal(pick(c.values));
    default:
      return pick(c.related);
    }
  }

  std::string leaf() {
    const auto c = pick(table);
    std::string x = c.name;
    auto y = partner(c);
    const auto negation = one_of({"", "NOT "});
    switch (below(8)) {
    case 0:
      return "(" + x + " IS " + negation + "DISTINCT FROM " + y + ")";
    case 1:
      return "(" + x + " " + negation + "BETWEEN " + one_of({"", "SYMMETRIC "}) + y + " AND " +
             partner(c) + ")";
    case 2:
      return "(" + x + " " + negation + "IN (" + y + ", " + partner(c) + ", " + partner(c) + "))";
    case 3:
      return "(" + one_of({"t", "v", "c"}) + " " + negation + "LIKE " +
             one_of({"t", "'a%'", "'_'", "'%\\%'", "'a_c'", y}) + ")";
    case 4:
      return "b";
    default:
      if (below(4) == 0)
        std::swap(x, y);
      return "(" + x + " " + one_of({"=", "<>", "<", "<=", ">", ">="}) + " " + y + ")";
    }
  }

  std::mt19937_64& random_;
};

class WhereProperty : public PostgresTest {
protected:
  void fill(std::mt19937_64& random) {
    std::string definition;
    std::string values;
    for (const auto& c : table) {
      columns_.push_back(sql::column{c.name, c.type});
      definition += std::string{", "} + c.name + " " + c.type;
    }
    for (int id = 0; id < 40; ++id) {
      values += (id == 0 ? "(" : ", (") + std::to_string(id);
      for (const auto& c : table)
        values += random() % 8 == 0
                      ? ", NULL"
                      : ", " + postgres::quote_literal(c.values[random() % c.values.size()]);
      values += ")";
    }
    sql("SET TimeZone = 'UTC'; SET DateStyle = 'ISO, DMY'; SET extra_float_digits = 1");
    sql("CREATE TABLE samples (id int PRIMARY KEY" + definition + ")");
    sql("INSERT INTO samples VALUES " + values);
    stored_.emplace(sql("SELECT * FROM samples ORDER BY id"));
  }

  /// PostgreSQL's verdicts on all rows. The rows hold nothing on which evaluation errs, because
  /// then the verdict would depend on the order in which PostgreSQL looks at the operands.
  std::vector<truth> ask(const std::string& condition) {
    const auto answered =
        must(admin_->command("SELECT (" + condition + ") FROM samples ORDER BY id", in(30s)));
    std::vector<truth> out;
    for (int i = 0; i < answered.count(); ++i) {
      const auto cell = answered.at(i, 0);
      out.push_back(!cell ? truth::unknown : *cell == "t" ? truth::yes : truth::no);
    }
    return out;
  }

  std::vector<truth> judge(const sql::predicate& p) const {
    std::vector<truth> out;
    for (int i = 0; i < stored_->count(); ++i) {
      std::vector<sql::cell> row;
      for (int c = 0; c < static_cast<int>(columns_.size()); ++c)
        row.push_back(stored_->at(i, c + 1));
      out.push_back(p.evaluate(row));
    }
    return out;
  }

  std::vector<sql::column> columns_;
  std::optional<postgres::rows> stored_;
};

TEST_F(WhereProperty, EveryAcceptedClauseIsAnsweredAsPostgresAnswersIt) {
  const auto* chosen = std::getenv("BUSBAR_TEST_SEED");
  const auto seed = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : std::random_device{}();
  std::cout << "BUSBAR_TEST_SEED=" << seed << "\n";
  std::mt19937_64 random{seed};
  fill(random);
  clause_maker maker{random};
  std::map<std::string, int> counts;
  for (int round = 0; round < 3000; ++round) {
    const auto where = maker.condition(static_cast<int>(round % 3));
    const auto made = sql::predicate::compile(where, {}, columns_);
    if (!made) {
      ++counts["refused"];
      continue;
    }
    const auto ours = judge(**made);
    ++counts["answered"];
    SCOPED_TRACE(where);
    for (const auto& text : {where, (*made)->to_sql(), (*made)->canonical()})
      ASSERT_EQ(ours, ask(text)) << "sent as " << text;
  }
  for (const auto& [what, count] : counts)
    std::cout << what << ": " << count << "\n";
  EXPECT_GT(counts["answered"], 1000);
}

} // namespace
} // namespace busbar::testing
