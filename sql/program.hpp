// sql/program.hpp: a checked tree laid out flat, and the loop that runs it over rows.
#pragma once

#include "sql/predicate.hpp"
#include "sql/tree.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace busbar::sql {

/// Immutable once built; any thread may run it. Running allocates nothing.
///
/// A step refers to the steps of its operands by index; each of them stands before it. What the
/// tree shares is one step. A column's text is parsed when a step first needs its value, and
/// remembered for the row if several do.
class program {
public:
  explicit program(const node& tree);

  /// `row` has one cell for each column that the tree was checked against.
  truth run(std::span<const cell> row) const noexcept;

  /// Ascending.
  const std::vector<std::uint16_t>& columns() const noexcept { return columns_; }

private:
  static constexpr std::size_t remembered_max = 8;
  static constexpr std::uint8_t not_remembered = 0xff;

  enum class state : std::uint8_t { absent, present, null, failed };

  struct step {
    operation op = operation::constant;
    type result = type::boolean;
    conversion how = conversion::relabel;
    comparison test = comparison::equal;
    kernel by = kernel::integer;
    std::uint8_t memory = not_remembered; ///< column: where its value is remembered.
    bool null = false;                    ///< constant: it is; one_of: the list has one.
    std::uint16_t column = 0;
    std::uint32_t first = 0;  ///< Operand; or the first one in operands_; or the first in values_.
    std::uint32_t second = 0; ///< Second operand; or the end in operands_ or values_.
    std::uint32_t list = 0;   ///< one_of: the first in values_.
  };

  /// What one evaluation knows about its row so far.
  struct evaluation {
    std::span<const cell> row;
    state* known = nullptr; ///< Both as long as remembered_; unused if it is 0.
    value* values = nullptr;
  };

  using step_index = std::uint32_t;
  using index_of = std::map<const void*, step_index>;

  step_index add(const node& n, index_of& done);
  void add_list(const node& n, step& s);
  void plan_memory();
  value stored(const constant& c);

  truth run_remembering(std::span<const cell> row) const noexcept;
  truth test(evaluation& e, step_index i) const noexcept;
  truth junction(evaluation& e, const step& s, truth decisive, truth neutral) const noexcept;
  truth compared(evaluation& e, const step& s) const noexcept;
  truth contains(evaluation& e, const step& s) const noexcept;
  state fetch(evaluation& e, step_index i, value& out) const noexcept;
  state fetch_column(evaluation& e, const step& s, value& out) const noexcept;

  std::vector<step> steps_; ///< The last is the whole clause.
  std::vector<step_index> operands_;
  std::vector<value> values_;
  std::deque<std::string> texts_; ///< What `values_` borrow from; a deque never moves them.
  std::vector<std::uint16_t> columns_;
  std::size_t row_size_min_ = 0;
  std::uint8_t remembered_ = 0;
};

} // namespace busbar::sql
