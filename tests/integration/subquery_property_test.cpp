// Random clauses with subqueries over small tables with NULLs: the verdict that follows from the
// plan must be PostgreSQL's, for the text that the client wrote, for to_sql() and for canonical().
// BUSBAR_TEST_SEED repeats a run, BUSBAR_SUBQUERY_CASES says how many clauses are compared.

#include "sql/subquery.hpp"
#include "tests/integration/postgres_server.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <set>

namespace busbar::testing {
namespace {

constexpr int root_rows = 30;

struct declared_column {
  sql::column said;
  std::string declaration;
  std::vector<std::string> values;
};

/// All tables have these. Pairs of one type, the second of them NOT NULL.
std::vector<declared_column> declared_columns() {
  const std::vector<std::string> integers{"1", "2", "3", "4"};
  const std::vector<std::string> words{"", "a", "A", "ab", "it's", "é\\"};
  const std::vector<std::string> numbers{"1", "1.0", "1.00", "-2.5", "NaN"};
  const std::vector<std::string> reals{"0", "-0", "0.1", "NaN", "Infinity"};
  const std::vector<std::string> spans{"P1M", "P30D", "PT720H", "PT0S"};
  const std::vector<std::string> padded{"", "a", "ab", "a "};
  const std::vector<std::string> days{"2024-01-01", "infinity", "2024-01-02"};
  const std::vector<std::string> moods{"sad", "ok", "happy"};
  const auto labels = std::make_shared<sql::enum_type>(sql::enum_type{"public", "mood", moods});
  std::vector<declared_column> out;
  const auto add = [&](const std::string& name, const std::string& type,
                       const std::vector<std::string>& values) {
    for (const bool not_null : {false, true}) {
      sql::column c{.name = name, .type_name = type};
      c.ordered_bytewise = false;
      if (type == "mood") {
        c.type_class = "e";
        c.labels = labels;
      }
      c.name += not_null ? "n" : "";
      c.not_null = not_null;
      out.push_back({c, type + (not_null ? " NOT NULL" : ""), values});
    }
  };
  add("x", "int4", integers);
  add("y", "int4", integers);
  add("s", "text", words);
  add("n", "numeric", numbers);
  add("f", "float8", reals);
  add("p", "interval", spans);
  add("c", "bpchar", padded);
  add("d", "date", days);
  add("m", "mood", moods);
  add("b", "bool", {"t", "f"});
  return out;
}

struct stored_table {
  std::string name;
  postgres::rows rows;
};

class SubqueryProperty : public PostgresTest {
protected:
  void fill() {
    sql("CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')");
    sql("SET TimeZone = 'UTC'; SET DateStyle = 'ISO, DMY'; SET extra_float_digits = 1;"
        "SET IntervalStyle = 'iso_8601'; SET jit = off");
    sql(R"(CREATE FUNCTION judge(clauses text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
           DECLARE
             clause text;
             answers text;
           BEGIN
             FOREACH clause IN ARRAY clauses LOOP
               EXECUTE 'SELECT string_agg(CASE WHEN v THEN ''t'' ELSE ''f'' END, '''' ORDER BY id)'
                       ' FROM (SELECT id, (' || clause || ') AS v FROM root) s' INTO answers;
               RETURN NEXT answers;
             END LOOP;
           END $$)");
    for (const auto& c : declared_)
      columns_.push_back(c.said);
    fill("root", root_rows);
    fill("\"In n\"\"er\"", 7);
    fill("other.t", 5);
    fill("none", 0); // IN of nothing is false, also for NULL
    inner_ = {{"public", "root", columns_},
              {"public", "In n\"er", columns_},
              {"other", "t", columns_},
              {"public", "none", columns_}};
  }

  void fill(const std::string& name, int count) {
    if (name.starts_with("other."))
      sql("CREATE SCHEMA other");
    std::string definition;
    for (const auto& c : declared_)
      definition += ", " + c.said.name + " " + c.declaration;
    sql("CREATE TABLE " + name + " (id int PRIMARY KEY" + definition + ")");
    for (int id = 0; id < count; ++id) {
      auto values = std::to_string(id);
      for (const auto& c : declared_) {
        const auto& text = c.values[below(c.values.size())];
        values +=
            !c.said.not_null && below(4) == 0 ? ", NULL" : ", " + postgres::quote_literal(text);
      }
      sql("INSERT INTO " + name + " VALUES (" + values + ")");
    }
    stored_.push_back({name, sql("SELECT * FROM " + name + " ORDER BY id")});
  }

  std::size_t below(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>{0, n - 1}(random_);
  }
  std::string pick(const std::vector<std::string>& from) { return from[below(from.size())]; }

  // --- Clauses -----------------------------------------------------------------------------------

  std::string condition(int depth, int level) {
    switch (depth == 0 ? 3 + below(2) : below(6)) {
    case 0:
      return "(" + condition(depth - 1, level) + " AND " + condition(depth - 1, level) + ")";
    case 1:
      return "(" + condition(depth - 1, level) + " OR " + condition(depth - 1, level) + ")";
    case 2:
      return "NOT (" + condition(depth - 1, level) + ")";
    case 3:
      return leaf();
    default:
      return level < 3 ? membership(depth, level) : leaf();
    }
  }

  std::string leaf() {
    return pick({"x = 1",
                 "xn > 2",
                 "x < y",
                 "yn IN (1, 2, NULL)",
                 "x NOT IN (1, 3)",
                 "x IS NULL",
                 "s LIKE 'a%'",
                 "sn = 'it''s'",
                 "s IS NOT NULL",
                 "n = 1.0",
                 "nn > -1",
                 "b",
                 "NOT bn",
                 "b IS NOT TRUE",
                 "b IS UNKNOWN",
                 "coalesce(b, xn = 1)",
                 "(b OR x = 2)",
                 "(b AND y = 2)",
                 "x BETWEEN y AND 3",
                 "m = 'ok'",
                 "c = 'a'",
                 "f > 0",
                 "p = '1 month'",
                 "d < 'infinity'",
                 "(x, y) = (xn, 2)",
                 "NULL",
                 "NOT (b AND x = 3)",
                 "CASE WHEN b THEN x = 1 ELSE y = 1 END"});
  }

  std::string membership(int depth, int level) {
    const bool not_null = below(2) == 0;
    const auto& c = declared_[below(declared_.size() / 2) * 2].said;
    const bool integers = c.type_name == "int4";
    const auto column = [&](const std::string& name) {
      return (integers ? pick({"x", "y"}) : name) + (not_null ? "n" : "");
    };
    const auto tables = std::vector<std::string>{"root", "\"In n\"\"er\"", "other.t", "none"};
    std::string left = column(c.name);
    std::string selected = column(c.name);
    if (below(3) == 0) {
      const auto& more = declared_[below(declared_.size())].said;
      left = "(" + left + ", " + more.name + ")";
      selected += ", " + more.name;
    }
    auto out = left + pick({" IN ", " = ANY ", not_null ? " NOT IN " : " IN "}) + "(SELECT " +
               selected + " FROM " + pick(tables);
    if (below(3) > 0)
      out += " WHERE " + condition(std::min(depth, 2), level + 1);
    return out + ")";
  }

  // --- Verdicts ----------------------------------------------------------------------------------

  const postgres::rows& rows_of(const sql::subquery& s) const {
    for (std::size_t i = 0; i < inner_.size(); ++i)
      if (inner_[i].schema == s.schema && inner_[i].name == s.table)
        return stored_[i].rows;
    throw std::runtime_error("no table " + s.table);
  }

  std::vector<sql::cell> cells(const postgres::rows& rows, int row) const {
    std::vector<sql::cell> out;
    for (int c = 0; c < static_cast<int>(columns_.size()); ++c)
      out.push_back(rows.at(row, c + 1)); // behind id, which clauses do not see
    return out;
  }

  /// nullopt if one of the values is NULL.
  static std::optional<std::vector<std::string>> keys(const std::vector<sql::key_form>& forms,
                                                      const std::vector<sql::cell>& values) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < forms.size(); ++i) {
      if (!values[i])
        return std::nullopt;
      if (!sql::append_key(forms[i], *values[i], out.emplace_back()))
        throw std::runtime_error("unreadable: " + std::string{*values[i]});
    }
    return out;
  }
  static std::optional<std::vector<std::string>>
  keys_of_row(const std::vector<sql::key_form>& forms, const std::vector<sql::cell>& row) {
    std::vector<sql::cell> values;
    for (const auto& form : forms)
      values.push_back(row[form.column]);
    return keys(forms, values);
  }

  using key_set = std::set<std::vector<std::string>>;

  key_set members(const sql::subquery& s) const {
    key_set out;
    const auto& rows = rows_of(s);
    const auto hits = s.where == nullptr ? std::string(static_cast<std::size_t>(rows.count()), 't')
                                         : judge(*s.where, rows);
    for (int row = 0; row < rows.count(); ++row)
      if (hits[static_cast<std::size_t>(row)] == 't')
        if (auto found = keys_of_row(s.keys, cells(rows, row)))
          out.insert(std::move(*found));
    return out;
  }

  static bool holds(const sql::position& p, const std::vector<key_set>& views,
                    const std::vector<sql::cell>& row) {
    if (p.leaf != nullptr)
      return p.leaf->evaluate(row) == (p.negated ? sql::truth::no : sql::truth::yes);
    const auto tested = keys_of_row(p.left, row);
    return (tested && views[p.subquery].contains(*tested)) != p.negated;
  }

  static bool is_in(const sql::subquery_plan& plan, const std::vector<key_set>& views,
                    const std::vector<sql::cell>& row) {
    std::size_t next = 0;
    for (const auto end : plan.disjunct_ends) {
      bool all = true;
      for (; next < end; ++next)
        all = all && holds(plan.positions[next], views, row);
      if (all)
        return true;
    }
    return false;
  }

  /// t or f for each row.
  std::string judge(const sql::predicate& p, const postgres::rows& rows) const {
    const auto* plan = p.subqueries();
    std::vector<key_set> views;
    if (plan != nullptr)
      for (const auto& s : plan->subqueries)
        views.push_back(members(s));
    std::string out;
    for (int i = 0; i < rows.count(); ++i) {
      const auto row = cells(rows, i);
      const bool yes =
          plan == nullptr ? p.evaluate(row) == sql::truth::yes : is_in(*plan, views, row);
      out += yes ? 't' : 'f';
    }
    return out;
  }

  std::vector<std::string> ask(const std::vector<std::string>& clauses) {
    std::string list;
    for (const auto& clause : clauses)
      list += (list.empty() ? "" : ", ") + postgres::quote_literal(clause);
    const auto answered =
        must(admin_->command("SELECT * FROM judge(ARRAY[" + list + "]::text[])", in(60s)));
    std::vector<std::string> out;
    for (int i = 0; i < answered.count(); ++i)
      out.push_back(answered.text(i, 0));
    return out;
  }

  /// What PostgreSQL selects are the members.
  void expect_sql_selects_members(const sql::subquery& s) {
    const auto selected = sql(s.sql);
    key_set found;
    for (int i = 0; i < selected.count(); ++i) {
      std::vector<sql::cell> values;
      for (int c = 0; c < static_cast<int>(s.keys.size()); ++c)
        values.push_back(selected.at(i, c));
      if (auto one = keys(s.keys, values))
        found.insert(std::move(*one));
    }
    EXPECT_EQ(found, members(s)) << s.sql;
  }

  /// No hit may be missed by an index.
  void expect_atoms_hold(const sql::predicate& p, const std::string& hits) const {
    for (int i = 0; i < root_rows; ++i) {
      const auto row = cells(stored_[0].rows, i);
      const auto is_candidate = [&](const sql::conjunction& all) {
        return std::none_of(all.atoms.begin(), all.atoms.end(), [&](const sql::atom& a) {
          return sql::satisfies(a, row[a.form.column]) == sql::verdict::no;
        });
      };
      const auto all = p.conjunctions();
      if (hits[static_cast<std::size_t>(i)] == 't') {
        ASSERT_TRUE(std::any_of(all.begin(), all.end(), is_candidate)) << p.to_sql();
      }
    }
  }

  std::mt19937_64 random_;
  std::vector<declared_column> declared_ = declared_columns();
  std::vector<sql::column> columns_;
  std::vector<sql::inner_table> inner_;
  std::vector<stored_table> stored_; ///< As inner_.
};

TEST_F(SubqueryProperty, ThePlanGivesPostgresAnswerForEveryRow) {
  const auto* chosen = std::getenv("BUSBAR_TEST_SEED");
  const auto seed = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : std::random_device{}();
  const auto* longer = std::getenv("BUSBAR_SUBQUERY_CASES");
  const auto cases = longer != nullptr ? std::strtoull(longer, nullptr, 10) : 4'000;
  std::cout << "BUSBAR_TEST_SEED=" << seed << "\n";
  random_.seed(seed);
  fill();
  std::size_t answered = 0;
  std::size_t hits = 0;
  std::size_t round = 0;
  std::map<std::string, int> refused;
  std::vector<std::string> texts;
  std::vector<std::string> ours;
  for (; answered < cases && round < 2 * cases; ++round) {
    std::string where;
    while (where.find("SELECT") == std::string::npos)
      where = condition(static_cast<int>(1 + round % 4), 0);
    const auto made = sql::predicate::compile(where, {}, columns_, {}, inner_);
    if (!made) {
      ++refused[made.error().message.substr(made.error().message.find(": ") + 2, 40)];
    } else if ((*made)->subqueries() != nullptr) {
      ++answered;
      const auto verdicts = judge(**made, stored_[0].rows);
      hits += static_cast<std::size_t>(std::count(verdicts.begin(), verdicts.end(), 't'));
      ASSERT_NO_FATAL_FAILURE(expect_atoms_hold(**made, verdicts));
      if (round % 8 == 0)
        for (const auto& s : (*made)->subqueries()->subqueries)
          expect_sql_selects_members(s);
      texts.insert(texts.end(),
                   {where, std::string{(*made)->to_sql()}, std::string{(*made)->canonical()}});
      ours.insert(ours.end(), 3, verdicts);
    }
    if (texts.size() >= 600 || answered == cases) {
      const auto theirs = ask(texts);
      ASSERT_EQ(theirs.size(), texts.size());
      for (std::size_t i = 0; i < texts.size(); ++i)
        EXPECT_EQ(ours[i], theirs[i]) << texts[i] << "\nwritten " << texts[i - i % 3];
      if (HasFailure())
        return;
      texts.clear();
      ours.clear();
    }
  }
  std::cout << "compared " << answered << " of " << round << ", with " << hits << " hits\n";
  if (std::getenv("BUSBAR_SHOW_REFUSED") != nullptr)
    for (const auto& [why, count] : refused)
      std::cout << count << " " << why << "\n";
  EXPECT_EQ(answered, cases) << "of " << round;
}

} // namespace
} // namespace busbar::testing
