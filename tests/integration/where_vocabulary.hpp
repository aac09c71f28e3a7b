// tests/integration/where_vocabulary.hpp: columns, values and expressions of all types, from which
// random clauses are made.
#pragma once

#include "sql/predicate.hpp"

#include <random>
#include <string>
#include <vector>

namespace busbar::testing {

struct where_column {
  std::string name;
  std::string type; ///< As in SQL: "int4", "text[]", "mood", "posint".

  std::string declaration() const; ///< The type, with its collation if it has one.
  sql::column as_sql_column() const;
};

const std::vector<where_column>& where_columns();

/// What rows hold, and literals.
const std::vector<std::string>& where_values(const std::string& type);

class clause_maker {
public:
  explicit clause_maker(std::mt19937_64& random) : random_{random} {}

  /// A condition; it may be invalid.
  std::string condition(int depth);

private:
  /// An expression of that type, or a literal that would be read as it.
  std::string value(const std::string& type, int depth);
  std::string literal(const std::string& type);
  std::string column(const std::string& type);
  /// Replaces each {type} in the pattern.
  std::string expand(const std::string& pattern, int depth);
  std::string leaf(int depth);

  std::size_t below(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>{0, n - 1}(random_);
  }
  const std::string& pick(const std::vector<std::string>& from) { return from[below(from.size())]; }

  std::mt19937_64& random_;
};

} // namespace busbar::testing
