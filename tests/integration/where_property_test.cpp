// Random clauses over random rows of all types: our verdict must be PostgreSQL's, for the text that
// the client wrote, for to_sql() and for canonical(); and the atoms must let every hit through.
// BUSBAR_TEST_SEED repeats a run, BUSBAR_WHERE_CASES says how many clauses are compared.

#include "sql/atoms.hpp"
#include "tests/integration/postgres_server.hpp"
#include "tests/integration/where_vocabulary.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>

namespace busbar::testing {
namespace {

constexpr int rows_count = 24;

/// t, f, n (unknown) or e (error) for each row.
using verdicts = std::string;

/// PostgreSQL's verdicts: first on all rows at once; if that fails, row by row.
constexpr const char* judge_function = R"(
CREATE FUNCTION judge(clauses text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  clause text;
  answer boolean;
  answers text;
BEGIN
  FOREACH clause IN ARRAY clauses LOOP
    BEGIN
      EXECUTE 'SELECT string_agg(CASE WHEN v THEN ''t'' WHEN NOT v THEN ''f'' ELSE ''n'' END, '''''
        ' ORDER BY id) FROM (SELECT id, true AND (' || clause || E'\n) AS v FROM samples OFFSET 0) s'
        INTO answers;
    EXCEPTION WHEN others THEN
      IF sqlstate LIKE '42%' THEN
        answers := 'refused: ' || sqlerrm;
      ELSE
        answers := '';
        FOR row IN 0..23 LOOP
          BEGIN
            EXECUTE 'SELECT true AND (' || clause || E'\n) FROM samples WHERE id = ' || row INTO answer;
            answers := answers || CASE WHEN answer THEN 't' WHEN NOT answer THEN 'f' ELSE 'n' END;
          EXCEPTION WHEN others THEN
            answers := answers || 'e';
          END;
        END LOOP;
      END IF;
    END;
    RETURN NEXT answers;
  END LOOP;
END $$)";

struct test_case {
  std::string where;
  std::shared_ptr<const sql::predicate> compiled = nullptr;
  verdicts ours = {};
};

class WhereProperty : public PostgresTest {
protected:
  void fill(std::mt19937_64& random) {
    sql("CREATE COLLATION letters (provider = libc, locale = 'C.UTF-8');"
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');"
        "ALTER TYPE mood ADD VALUE 'meh' BEFORE 'ok';"
        "CREATE DOMAIN posint AS int4 CHECK (VALUE > 0)");
    sql(judge_function);
    sql("SET TimeZone = 'UTC'; SET DateStyle = 'ISO, DMY'; SET extra_float_digits = 1;"
        "SET IntervalStyle = 'iso_8601'; SET bytea_output = hex; SET jit = off");
    std::string definition;
    std::string values;
    for (const auto& c : where_columns()) {
      columns_.push_back(c.as_sql_column());
      definition += ", " + c.name + " " + c.declaration();
    }
    for (int id = 0; id < rows_count; ++id) {
      values += (id == 0 ? "(" : ", (") + std::to_string(id);
      for (const auto& c : where_columns()) {
        const auto& all = where_values(c.type);
        values += random() % 8 == 0 ? ", NULL"
                                    : ", " + postgres::quote_literal(all[random() % all.size()]);
      }
      values += ")";
    }
    sql("CREATE TABLE samples (id int PRIMARY KEY" + definition + ")");
    sql("INSERT INTO samples VALUES " + values);
    stored_.emplace(sql("SELECT * FROM samples ORDER BY id"));
    ASSERT_EQ(stored_->count(), rows_count);
  }

  std::vector<sql::cell> row(int i) const {
    std::vector<sql::cell> cells;
    for (int c = 0; c < static_cast<int>(columns_.size()); ++c)
      cells.push_back(stored_->at(i, c + 1));
    return cells;
  }

  verdicts judge(const sql::predicate& p) const {
    verdicts out;
    for (int i = 0; i < rows_count; ++i)
      out += "ftne"[static_cast<std::size_t>(p.evaluate(row(i)))];
    return out;
  }

  std::vector<verdicts> ask(const std::vector<std::string>& clauses) {
    std::string list;
    for (const auto& clause : clauses)
      list += (list.empty() ? "" : ", ") + postgres::quote_literal(clause);
    const auto answered =
        must(admin_->command("SELECT * FROM judge(ARRAY[" + list + "]::text[])", in(60s)));
    std::vector<verdicts> out;
    for (int i = 0; i < answered.count(); ++i)
      out.push_back(answered.text(i, 0));
    return out;
  }

  std::shared_ptr<const sql::predicate> compile(const std::string& where) {
    auto made = sql::predicate::compile(where, {}, columns_, {true, true, sql::case_rule::ascii});
    if (made)
      return *made;
    ++refusals_[made.error().message.substr(made.error().message.find(": ") + 2, 40)];
    return nullptr;
  }

  /// How far the two may differ where one of them says that evaluation fails.
  enum class tolerance : std::uint8_t {
    none,
    ours,   ///< We read fewer spellings of dates and times out of texts than PostgreSQL.
    either, ///< An error may hide behind a decided AND or OR, whose operands come in another order.
  };
  static bool agree(const verdicts& ours, const verdicts& theirs, tolerance allowed) {
    if (ours.size() != theirs.size())
      return false;
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const bool tolerated = (ours[i] == 'e' && allowed != tolerance::none) ||
                             (theirs[i] == 'e' && allowed == tolerance::either);
      if (ours[i] != theirs[i] && !tolerated)
        return false;
    }
    return true;
  }
  static bool may_read_a_moment(const std::string& sql) {
    for (const auto* type : {"date", "time", "interval"})
      if (sql.find(std::string{")::pg_catalog."} + type) != std::string::npos)
        return true;
    return false;
  }

  void expect_same(const std::vector<test_case>& cases) {
    std::vector<std::string> texts;
    for (const auto& c : cases)
      for (const auto& text :
           {std::string{c.compiled->to_sql()}, c.where, std::string{c.compiled->canonical()}})
        texts.push_back(text);
    const auto answers = ask(texts);
    ASSERT_EQ(answers.size(), texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto& c = cases[i / 3];
      const bool is_ours = i % 3 == 0;
      // A literal as a name brings a collation along, which a constant that we computed has lost.
      if (i % 3 == 1 && answers[i].find("could not determine which collation") != verdicts::npos)
        continue;
      const auto allowed = !is_ours                      ? tolerance::either
                           : may_read_a_moment(texts[i]) ? tolerance::ours
                                                         : tolerance::none;
      EXPECT_TRUE(agree(c.ours, answers[i], allowed))
          << c.where << "\nsent as " << texts[i] << "\nours   " << c.ours << "\ntheirs "
          << answers[i];
    }
  }

  /// No hit may be missed by an index.
  void expect_atoms_hold(const test_case& c) const {
    for (int i = 0; i < rows_count; ++i) {
      const auto cells = row(i);
      const auto conjunctions = c.compiled->conjunctions();
      const auto is_candidate = [&](const sql::conjunction& all) {
        return std::none_of(all.atoms.begin(), all.atoms.end(), [&](const sql::atom& a) {
          return sql::satisfies(a, cells[a.form.column]) == sql::verdict::no;
        });
      };
      if (c.ours[static_cast<std::size_t>(i)] == 't') {
        ASSERT_TRUE(std::any_of(conjunctions.begin(), conjunctions.end(), is_candidate))
            << c.where << " and row " << i;
      }
    }
  }

  std::vector<sql::column> columns_;
  std::optional<postgres::rows> stored_;
  std::map<std::string, int> refusals_;
};

// F62, F66
TEST_F(WhereProperty, EveryAcceptedClauseIsAnsweredAsPostgresAnswersIt) {
  const auto* chosen = std::getenv("BUSBAR_TEST_SEED");
  const auto seed = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : std::random_device{}();
  const auto* longer = std::getenv("BUSBAR_WHERE_CASES");
  const auto cases = longer != nullptr ? std::strtoull(longer, nullptr, 10) : 10'000;
  std::cout << "BUSBAR_TEST_SEED=" << seed << "\n";
  std::mt19937_64 random{seed};
  fill(random);
  clause_maker maker{random};
  std::size_t answered = 0;
  std::size_t with_error = 0;
  std::size_t round = 0;
  std::vector<test_case> batch;
  // Some of what the maker says is refused; if it were half of it, we would accept too little.
  for (; answered < cases && round < 2 * cases; ++round) {
    test_case next{.where = maker.condition(static_cast<int>(round % 4))};
    next.compiled = compile(next.where);
    if (next.compiled != nullptr) {
      next.ours = judge(*next.compiled);
      ++answered;
      with_error += next.ours.find('e') != verdicts::npos;
      ASSERT_NO_FATAL_FAILURE(expect_atoms_hold(next));
      batch.push_back(std::move(next));
    }
    if (batch.size() == 250 || answered == cases) {
      expect_same(batch);
      if (HasFailure())
        return;
      batch.clear();
    }
  }
  std::cout << "compared " << answered << " of " << round << ", on some row with an error "
            << with_error << "\n";
  if (std::getenv("BUSBAR_SHOW_REFUSED") != nullptr)
    for (const auto& [why, count] : refusals_)
      std::cout << count << " " << why << "\n";
  EXPECT_EQ(answered, cases) << "of " << round;
}

} // namespace
} // namespace busbar::testing
