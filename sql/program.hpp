// sql/program.hpp: a checked tree laid out flat, and the loop that runs it over rows.
#pragma once

#include "sql/predicate.hpp"
#include "sql/tree.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

namespace busbar::sql {

/// Immutable once built; any thread may run it. Running allocates nothing, as long as the values
/// that it computes on its way fit into a kilobyte.
///
/// A step refers to the steps of its operands by index; each of them stands before it. What the
/// tree shares is one step. A column's text is parsed when a step first needs its value, and
/// remembered for the row if several do.
class program {
public:
  program(const node& tree, const std::vector<std::shared_ptr<const enum_type>>& enums);

  /// `row` has one cell for each column that the tree was checked against.
  truth run(std::span<const cell> row) const noexcept;

  /// The value of a tree without columns; borrows from this program and `space`.
  outcome compute(workspace& space, value& out) const noexcept;

  /// Ascending.
  const std::vector<std::uint16_t>& columns() const noexcept { return columns_; }

private:
  static constexpr std::size_t remembered_max = 8;
  static constexpr std::uint8_t not_remembered = 0xff;

  enum class state : std::uint8_t { present, null, failed, absent };

  struct step {
    operation op = operation::constant;
    type result = type::boolean;
    conversion how = conversion::relabel;
    comparison test = comparison::equal;
    kernel by = kernel::integer;
    case_rule cases = case_rule::unknown;
    std::uint8_t memory = not_remembered; ///< column: where its value is remembered.
    bool null = false;                    ///< constant: it is.
    bool all = false;                     ///< quantified
    std::uint16_t column = 0;
    std::int32_t modifier = -1; ///< convert; at: where its subscripts begin.
    std::uint32_t first = 0;  ///< Operand; or the first one in operands_; or the first in values_.
    std::uint32_t second = 0; ///< Second operand; or the end in operands_ or values_.
    std::uint32_t list = 0;   ///< one_of: the first in values_; at: the end of its subscripts.
    const function* callee = nullptr;
    const time_zone* zone = nullptr; ///< apply: see call::zone.
  };

  /// What one evaluation knows about its row so far.
  struct evaluation {
    std::span<const cell> row;
    workspace* space = nullptr;
    state* known = nullptr; ///< Both as long as remembered_; unused if it is 0.
    value* values = nullptr;
  };

  using step_index = std::uint32_t;
  using index_of = std::map<const void*, step_index>;

  step_index add(const node& n, index_of& done);
  void add_operands(const node& n, step& s, index_of& done);
  void add_list(const node& n, step& s);
  void add_zone(const node& n, step& s);
  void add_subscripts(const node& n, step& s);
  value stored(type t, const constant& c);
  void plan_memory();

  truth run_prepared(evaluation& e) const noexcept;
  truth test(evaluation& e, step_index i) const noexcept;
  truth test_value(evaluation& e, step_index i) const noexcept;
  truth junction(evaluation& e, const step& s, truth decisive, truth neutral) const noexcept;
  truth compared(evaluation& e, const step& s) const noexcept;
  truth contains(evaluation& e, const step& s) const noexcept;
  truth quantified(evaluation& e, const step& s) const noexcept;
  truth is_null(evaluation& e, const step& s) const noexcept;

  state fetch(evaluation& e, step_index i, value& out) const noexcept;
  state fetch_column(evaluation& e, const step& s, value& out) const noexcept;
  state fetch_operands(evaluation& e, const step& s, bool strict,
                       std::span<const datum>& out) const noexcept;
  state apply(evaluation& e, const step& s, value& out) const noexcept;
  state concat(evaluation& e, const step& s, value& out) const noexcept;
  state build_array(evaluation& e, const step& s, value& out) const noexcept;
  state at(evaluation& e, const step& s, value& out) const noexcept;
  state coalesce(evaluation& e, const step& s, value& out) const noexcept;
  state extreme(evaluation& e, const step& s, value& out) const noexcept;
  state choice(evaluation& e, const step& s, value& out) const noexcept;

  std::vector<std::shared_ptr<const enum_type>> enums_;
  std::vector<step> steps_; ///< The last is the whole clause.
  std::vector<step_index> operands_;
  std::vector<value> values_;
  std::vector<subscript_parts> subscripts_;
  std::vector<std::shared_ptr<const time_zone>> zones_;
  std::vector<std::unique_ptr<char[]>> texts_; ///< What `values_` borrow from …
  std::unique_ptr<workspace> memory_;          ///< … and arrays, of which few clauses have one.
  std::vector<std::uint16_t> columns_;
  std::size_t row_size_min_ = 0;
  std::uint8_t remembered_ = 0;
};

} // namespace busbar::sql
