// sql/guard.hpp: a clause that somebody may write, confined by clauses that somebody else has
// written. Works on parsed clauses, never on their texts, and needs no table: what names and
// literals mean is found out when the result is compiled as any clause.
#pragma once

#include "base/result.hpp"
#include "sql/subquery.hpp"

#include <tl/expected.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::sql {

struct expression;

/// A clause that has been parsed by itself. Immutable; any thread.
class condition {
public:
  /// Errors as those of predicate::compile() that the text alone decides.
  static result<condition> parse(std::string_view text);

  /// The n of each $n, in the order of the text, as often as it stands there.
  std::vector<std::int32_t> parameters() const;
  /// $n becomes $(n + by).
  condition shifted(std::int32_t by) const;
  bool is_true() const noexcept; ///< It is the word TRUE: every row.
  bool has_subqueries() const;
  /// A text that parses as this very condition.
  std::string text() const;

  const expression& tree() const noexcept { return *tree_; }

private:
  explicit condition(std::shared_ptr<const expression> tree) : tree_{std::move(tree)} {}
  std::shared_ptr<const expression> tree_;
};

/// Both with their parameters' values put in: whether they say the same.
bool says_the_same(const condition& a, std::span<const std::string> a_values, const condition& b,
                   std::span<const std::string> b_values);

/// What may be read of a table.
struct table_guard {
  condition rows;
  std::vector<std::string> values = {};                           ///< $1, $2 … of `rows`.
  std::optional<std::vector<std::string>> columns = std::nullopt; ///< Sorted; nullopt: all.
};
/// Null: nothing may be read of that table, and nobody is told whether it exists.
using guard_finder = std::function<const table_guard*(const table_name&)>;

struct guarded {
  std::string where;
  std::vector<std::string> parameters;
};
struct guard_refusal {
  bool forbidden = false; ///< Else the clause itself is wrong, and `why` says how.
  error why = {};
};
template <class T>
using guard_result = tl::expected<T, guard_refusal>;

/// `(own.rows) AND (where)`, with the guards of the tables that its subqueries name put into these,
/// and with columns that no guard shows refused wherever they stand. A part of `where` that could
/// fail on a row (a division, a cast) is only evaluated on rows that the guard shows, so that no
/// error tells of others. Nothing in `where` can refer to a guard's values.
guard_result<guarded> guard_clause(std::string_view where, std::span<const std::string> parameters,
                                   const table_guard& own, const guard_finder& others);

/// For a condition on rows that are already behind own.rows: `where` alone, confined likewise.
guard_result<guarded> guard_subset(std::string_view where, std::span<const std::string> parameters,
                                   const table_guard& own);

} // namespace busbar::sql
