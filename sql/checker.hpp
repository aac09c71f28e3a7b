// sql/checker.hpp: walks an expression once and says it with the few operations of a tree. Private
// to sql/.
#pragma once

#include "sql/expression.hpp"
#include "sql/operators.hpp"
#include "sql/typing.hpp"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace busbar::sql {

class checker {
public:
  checker(std::span<const std::string> parameters, std::span<const column> columns,
          const collation& database, std::span<const inner_table> inner)
      : types_{parameters, columns, database},
        parameters_{parameters}, columns_{columns}, inner_{inner} {}

  /// The condition; nullptr after a complaint, which typing keeps.
  node_ptr run(const expression& clause);
  typing& types() noexcept { return types_; }

private:
  using kind_type = expression::kind_type;

  operand analyze(const expression& e);
  std::vector<operand> analyze_all(std::span<const expression> parts);
  node_ptr tree_of(const expression& e);
  node_ptr cast(const expression& e);

  node_ptr boolean(const expression& e, const char* where);
  std::vector<node_ptr> booleans(const expression& e, const char* where);
  node_ptr condition(const expression& e);
  node_ptr boolean_test(operation op, const expression& e, const char* where);
  node_ptr is_null(const expression& e);
  node_ptr is_not_null(const expression& e);
  node_ptr binary(const expression& e);
  node_ptr between(const expression& e, bool symmetric);
  node_ptr not_distinct(const expression& e);
  node_ptr not_distinct(const operand& left, const operand& right, std::int32_t location);
  node_ptr in(const expression& e);
  node_ptr quantified(const expression& e);

  // checker_forms.cpp
  std::optional<type> common_type_of(const std::vector<operand>& parts, const char* form,
                                     std::int32_t location);
  std::vector<node_ptr> coerce_all(const std::vector<operand>& parts, type common);
  node_ptr coalesce(const expression& e);
  node_ptr extreme(const expression& e);
  node_ptr null_if(const expression& e);
  node_ptr choice(const expression& e);
  node_ptr choose(node n);
  node_ptr function(const expression& e);
  node_ptr concat(const expression& e);
  operand array(const expression& e, std::optional<type> element);
  node_ptr at(const expression& e);
  node_ptr rows(const expression& e);
  node_ptr row_less(std::string_view last, const std::vector<operand>& left,
                    const std::vector<operand>& right, std::int32_t location);

  // checker_subquery.cpp
  node_ptr in_select(const expression& e);
  bool is_same_type(const node& left, const checker& inside, const node& selected,
                    std::int32_t location);
  std::string display(const node& column) const;

  typing types_;
  std::span<const std::string> parameters_;
  std::span<const column> columns_;
  std::span<const inner_table> inner_;
  operators operators_{types_};
};

} // namespace busbar::sql
