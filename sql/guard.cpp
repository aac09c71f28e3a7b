#include "sql/guard.hpp"

#include "sql/expression_text.hpp"
#include "sql/parse.hpp"

#include <algorithm>
#include <exception>
#include <map>
#include <utility>

namespace busbar::sql {
namespace {

using kind_type = expression::kind_type;

void collect_parameters(const expression& e, std::vector<std::int32_t>& out) {
  if (e.kind == kind_type::parameter)
    out.push_back(e.number);
  for (const auto& arg : e.args)
    collect_parameters(arg, out);
}

void shift_parameters(expression& e, std::int32_t by) {
  if (e.kind == kind_type::parameter)
    e.number += by;
  for (auto& arg : e.args)
    shift_parameters(arg, by);
}

bool names_subquery(const expression& e) {
  return e.kind == kind_type::in_select ||
         std::any_of(e.args.begin(), e.args.end(), names_subquery);
}

/// False if a parameter has no value.
bool bind(expression& e, std::span<const std::string> values) {
  if (e.kind == kind_type::parameter) {
    if (e.number < 1 || static_cast<std::size_t>(e.number) > values.size())
      return false;
    e = {.kind = kind_type::string, .text = values[static_cast<std::size_t>(e.number) - 1]};
  }
  return std::all_of(e.args.begin(), e.args.end(),
                     [&](expression& arg) { return bind(arg, values); });
}

bool is_comparison(std::string_view op) {
  return op == "=" || op == "<>" || op == "!=" || op == "<" || op == "<=" || op == ">" ||
         op == ">=";
}

/// Puts guards into one clause.
class confinement {
public:
  confinement(std::span<const std::string> parameters, const guard_finder* others)
      : parameters_{parameters.begin(), parameters.end()},
        own_parameters_{static_cast<std::int32_t>(parameters.size())}, others_{others} {}

  /// With all that it says confined to `guard`; the guard itself is not joined to it.
  expression confine(const expression& e, const table_guard& guard) {
    if (refused_)
      return {};
    if (e.kind == kind_type::conjunction || e.kind == kind_type::disjunction ||
        e.kind == kind_type::negation) {
      auto out = e;
      for (auto& arg : out.args)
        arg = confine(arg, guard);
      return out;
    }
    if (e.kind == kind_type::in_select)
      return confine_subquery(e, guard);
    check_names(e, guard);
    if (refused_ || cannot_fail(e) || guard.rows.is_true())
      return e;
    // CASE is the one form in which PostgreSQL promises not to look at the rest; but it cannot hold
    // a subquery.
    if (guard.rows.has_subqueries()) {
      forbid();
      return {};
    }
    return {.kind = kind_type::choice,
            .number = 2,
            .args = {rows_of(guard), e, {.kind = kind_type::boolean}}};
  }

  /// `(guard) AND (e)`, flat as the parser would have it.
  expression join(const table_guard& guard, expression e) {
    if (guard.rows.is_true())
      return e;
    expression both{.kind = kind_type::conjunction};
    auto rows = rows_of(guard);
    if (rows.kind == kind_type::conjunction)
      both.args = std::move(rows.args);
    else
      both.args.push_back(std::move(rows));
    both.args.push_back(std::move(e));
    return both;
  }
  expression rows_of(const table_guard& guard) {
    auto rows = guard.rows.tree();
    const auto [known, is_new] =
        shifts_.try_emplace(&guard, static_cast<std::int32_t>(parameters_.size()));
    if (is_new)
      parameters_.insert(parameters_.end(), guard.values.begin(), guard.values.end());
    shift_parameters(rows, known->second);
    return rows;
  }

  /// The text of the outcome, read once more to be sure of it.
  guard_result<guarded> finish(const expression& e) {
    if (refused_)
      return tl::unexpected{std::move(*refused_)};
    guarded out{text_of(e), std::move(parameters_)};
    auto again = parse(out.where);
    if (!again)
      return tl::unexpected{guard_refusal{false, std::move(again).error()}};
    if (!is_same(*again, e))
      return tl::unexpected{guard_refusal{
          false, {errc::invalid_argument, "the clause cannot be joined to a policy", "where"}}};
    return out;
  }

private:
  void forbid() {
    if (!refused_)
      refused_ = guard_refusal{true, {}};
  }
  void complain(error why) {
    if (!refused_)
      refused_ = guard_refusal{false, std::move(why)};
  }

  void check_name(const expression& column, const table_guard& guard) {
    if (guard.columns &&
        !std::binary_search(guard.columns->begin(), guard.columns->end(), column.text))
      forbid();
  }

  /// Of a part without subqueries.
  void check_names(const expression& e, const table_guard& guard) {
    if (e.kind == kind_type::column)
      check_name(e, guard);
    else if (e.kind == kind_type::in_select || e.kind == kind_type::select)
      forbid(); // where parse() lets none pass
    else if (e.kind == kind_type::parameter && (e.number < 1 || e.number > own_parameters_))
      complain(refusal(e.location, "there is no parameter $" + std::to_string(e.number)));
    for (const auto& arg : e.args)
      check_names(arg, guard);
  }

  expression confine_subquery(const expression& e, const table_guard& guard) {
    auto out = e;
    check_names(e.args[0], guard);
    auto& select = out.args[1];
    const auto* inner = others_ ? (*others_)(table_name{select.qualifier, select.text}) : nullptr;
    if (inner == nullptr) {
      forbid();
      return {};
    }
    check_names(select.args[0], *inner);
    if (select.args.size() > 1)
      select.args[1] = join(*inner, confine(select.args[1], *inner));
    else if (!inner->rows.is_true())
      select.args.push_back(rows_of(*inner));
    return out;
  }

  /// A literal that becomes what it is compared with while the clause is compiled.
  static bool is_literal(const expression& e) {
    return e.kind == kind_type::number || e.kind == kind_type::string ||
           e.kind == kind_type::boolean || e.kind == kind_type::null ||
           e.kind == kind_type::parameter;
  }
  static bool is_column(const expression& e) { return e.kind == kind_type::column; }
  static bool is_column_and_literal(const expression& e) {
    return (is_column(e.args[0]) && is_literal(e.args[1])) ||
           (is_literal(e.args[0]) && is_column(e.args[1]));
  }
  static bool are_literals(std::span<const expression> parts) {
    return std::all_of(parts.begin(), parts.end(), is_literal);
  }

  /// A pattern that ends with the escape character fails on the rows that match up to there.
  bool is_harmless_pattern(const expression& e) const {
    if (e.kind == kind_type::parameter)
      return parameters_[static_cast<std::size_t>(e.number) - 1].find('\\') == std::string::npos;
    return e.kind == kind_type::string && e.text.find('\\') == std::string::npos;
  }

  /// Whether no row whatever can make an error of it. What is not listed might.
  bool cannot_fail(const expression& e) const {
    switch (e.kind) {
    case kind_type::column:
    case kind_type::boolean:
    case kind_type::null:
      return true;
    case kind_type::binary:
      if (is_comparison(e.text))
        return is_column_and_literal(e);
      return (e.text == "~~" || e.text == "!~~" || e.text == "~~*" || e.text == "!~~*") &&
             is_column(e.args[0]) && is_harmless_pattern(e.args[1]);
    case kind_type::distinct:
    case kind_type::not_distinct:
      return is_column_and_literal(e);
    case kind_type::in:
    case kind_type::not_in:
    case kind_type::between:
    case kind_type::not_between:
    case kind_type::between_symmetric:
    case kind_type::not_between_symmetric:
      return is_column(e.args[0]) && are_literals(std::span{e.args}.subspan(1));
    case kind_type::any:
    case kind_type::all:
      return is_comparison(e.text) && is_column(e.args[0]) &&
             (is_literal(e.args[1]) ||
              (e.args[1].kind == kind_type::array && are_literals(e.args[1].args)));
    case kind_type::is_null:
    case kind_type::is_not_null:
      return is_column(e.args[0]);
    case kind_type::is_true:
    case kind_type::is_not_true:
    case kind_type::is_false:
    case kind_type::is_not_false:
    case kind_type::is_unknown:
    case kind_type::is_not_unknown:
      return cannot_fail(e.args[0]);
    default:
      return false;
    }
  }

  std::vector<std::string> parameters_;
  const std::int32_t own_parameters_;
  const guard_finder* others_;
  std::map<const table_guard*, std::int32_t> shifts_; ///< Of the guards' parameters.
  std::optional<guard_refusal> refused_;
};

guard_refusal out_of_memory(const std::exception& e) {
  return {false, {errc::unavailable, std::string{"confine a where clause: "} + e.what(), "where"}};
}

} // namespace

result<condition> condition::parse(std::string_view text) try {
  auto clause = sql::parse(text);
  if (!clause)
    return fail(std::move(clause).error());
  return condition{std::make_shared<const expression>(*std::move(clause))};
} catch (const std::exception& e) { // only memory can run out here
  return fail(out_of_memory(e).why);
}

std::vector<std::int32_t> condition::parameters() const {
  std::vector<std::int32_t> out;
  collect_parameters(*tree_, out);
  return out;
}

condition condition::shifted(std::int32_t by) const {
  auto tree = *tree_;
  shift_parameters(tree, by);
  return condition{std::make_shared<const expression>(std::move(tree))};
}

bool condition::is_true() const noexcept {
  return tree_->kind == kind_type::boolean && tree_->number != 0;
}
bool condition::has_subqueries() const {
  return names_subquery(*tree_);
}
std::string condition::text() const {
  return text_of(*tree_);
}

bool says_the_same(const condition& a, std::span<const std::string> a_values, const condition& b,
                   std::span<const std::string> b_values) {
  auto left = a.tree();
  auto right = b.tree();
  return bind(left, a_values) && bind(right, b_values) && is_same(left, right);
}

guard_result<guarded> guard_clause(std::string_view where, std::span<const std::string> parameters,
                                   const table_guard& own, const guard_finder& others) try {
  confinement walk{parameters, &others};
  if (where.empty())
    return guarded{own.rows.is_true() ? std::string{} : own.rows.text(), own.values};
  const auto clause = parse(where);
  if (!clause)
    return tl::unexpected{guard_refusal{false, clause.error()}};
  auto confined = walk.confine(*clause, own);
  return walk.finish(walk.join(own, std::move(confined)));
} catch (const std::exception& e) {
  return tl::unexpected{out_of_memory(e)};
}

guard_result<guarded> guard_subset(std::string_view where, std::span<const std::string> parameters,
                                   const table_guard& own) try {
  if (where.empty())
    return guarded{};
  confinement walk{parameters, nullptr};
  const auto clause = parse(where);
  if (!clause)
    return tl::unexpected{guard_refusal{false, clause.error()}};
  return walk.finish(walk.confine(*clause, own));
} catch (const std::exception& e) {
  return tl::unexpected{out_of_memory(e)};
}

} // namespace busbar::sql
