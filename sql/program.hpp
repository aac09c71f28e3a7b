// sql/program.hpp: a checked tree laid out flat, and the loop that runs it over rows.
#pragma once

#include "sql/predicate.hpp"
#include "sql/program_pool.hpp"
#include "sql/tree.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace busbar::sql {

/// All of a program but its constants. Immutable once built.
///
/// A step refers to the steps of its operands by index; each of them stands before it. What the
/// tree shares is one step.
struct program_layout {
  static constexpr std::uint8_t not_remembered = 0xff;

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
    std::uint32_t first = 0;    ///< Operand; or the first one in `operands`; or the first constant.
    std::uint32_t second = 0;   ///< Second operand; or the end in `operands` or of the constants.
    std::uint32_t list = 0;     ///< one_of: the first constant; at: the end of its subscripts.
    const function* callee = nullptr;
    const time_zone* zone = nullptr; ///< apply: see call::zone.

    friend bool operator==(const step&, const step&) = default;
  };
  using step_index = std::uint32_t;

  std::vector<std::shared_ptr<const enum_type>> enums = {};
  std::vector<step> steps = {}; ///< The last is the whole clause.
  std::vector<step_index> operands = {};
  std::vector<subscript_parts> subscripts = {};
  std::vector<std::shared_ptr<const time_zone>> zones = {};
  std::vector<std::uint16_t> columns = {}; ///< Ascending.
  std::size_t constants = 0;               ///< How many a program needs.
  std::size_t row_size_min = 0;
  std::uint8_t remembered = 0;
};

/// Immutable once built; any thread may run it. Running allocates nothing, as long as the values
/// that it computes on its way fit into a kilobyte. A column's text is parsed when a step first
/// needs its value, and remembered for the row if several do.
class program {
public:
  /// With a pool, programs that differ in their constants only share their layout.
  program(const node& tree, const std::vector<std::shared_ptr<const enum_type>>& enums,
          program_pool* pool = nullptr);

  /// `row` has one cell for each column that the tree was checked against.
  truth run(std::span<const cell> row) const noexcept;

  /// The value of a tree without columns; borrows from this program and `space`.
  outcome compute(workspace& space, value& out) const noexcept;

  /// Ascending.
  const std::vector<std::uint16_t>& columns() const noexcept { return layout_->columns; }

  const std::shared_ptr<const program_layout>& layout() const noexcept { return layout_; }

private:
  class builder;
  using step = program_layout::step;
  using step_index = program_layout::step_index;
  static constexpr std::size_t remembered_max = 8;
  static constexpr std::uint8_t not_remembered = program_layout::not_remembered;

  enum class state : std::uint8_t { present, null, failed, absent };

  /// What one evaluation knows about its row so far.
  struct evaluation {
    std::span<const cell> row;
    workspace* space = nullptr;
    state* known = nullptr; ///< Both as long as `remembered`; unused if it is 0.
    value* values = nullptr;
  };

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

  // There may be a hundred thousand programs: no member is larger than it has to be.
  std::shared_ptr<const program_layout> layout_; ///< Never null.
  std::unique_ptr<const value[]> values_;        ///< The constants.
  std::unique_ptr<const char[]> texts_;          ///< What they borrow from …
  std::unique_ptr<workspace> memory_;            ///< … and arrays, of which few clauses have one.
};

} // namespace busbar::sql
