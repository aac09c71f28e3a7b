// shapes/tagged_rows.hpp: rows that PostgreSQL reads for a shape with subqueries, with their tags.
#pragma once

#include "shapes/row_judge.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace busbar {

/// What to select, and what to make of it. For shapes without subqueries too: then there are no
/// tags. One thread at a time.
class tagged_rows {
public:
  /// `secret` and `handle`: as the shape's materializer has them.
  tagged_rows(const shape_definition& shape, std::string_view secret, std::string_view handle);

  /// The shape's columns, and then more.
  const std::vector<std::uint16_t>& columns() const noexcept { return columns_; }
  /// SQL, to be selected behind the columns: whether each position holds. Empty if all do.
  const std::vector<std::string>& expressions() const noexcept { return expressions_; }

  /// Splits a row as selected: returns the shape's cells, and appends the members of `headers`.
  row_cells read(row_cells selected, std::string& headers);

private:
  /// Of a single disjunct all positions hold, for each row that was found. PostgreSQL is not asked:
  /// in the list of what it selects it does not join, but looks each value up, at worst by reading
  /// all that the subquery selects for every row.
  bool asks_which() const;

  const shape_definition* shape_;
  std::vector<std::uint16_t> columns_;
  std::vector<std::string> expressions_;
  value_hasher hasher_;
  std::optional<row_tagger> tagger_;
  judged_row judged_;
  std::vector<sql::cell> row_;
};

/// `"a" IN (SELECT …)` of a position, without its NOT.
std::string membership_sql(const table_info& table, const sql::subquery_plan& plan,
                           const sql::position& position);

/// `"a"` or `("a", "b")`: the columns of a membership test.
std::string left_side(const table_info& table, const sql::position& position);

} // namespace busbar
