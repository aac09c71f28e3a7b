#include "sql/predicate.hpp"

#include "sql/atoms_of.hpp"
#include "sql/check.hpp"
#include "sql/emit.hpp"
#include "sql/parse.hpp"
#include "sql/plan.hpp"
#include "sql/program.hpp"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

namespace busbar::sql {

struct predicate::body {
  std::optional<program> steps; ///< Without subqueries.
  std::optional<subquery_plan> plan;
  std::vector<std::uint16_t> columns; ///< With subqueries; otherwise the steps know them.
  std::string sql;
  std::string canonical;
  std::vector<conjunction> conjunctions;
};

namespace {

std::vector<std::uint16_t> columns_of(const subquery_plan& plan) {
  std::vector<std::uint16_t> out;
  for (const auto& p : plan.positions) {
    for (const auto& form : p.left)
      out.push_back(form.column);
    if (p.leaf != nullptr)
      out.insert(out.end(), p.leaf->columns_used().begin(), p.leaf->columns_used().end());
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

} // namespace

predicate::predicate(std::unique_ptr<const body> b) : body_{std::move(b)} {}
predicate::~predicate() = default;

result<std::shared_ptr<const predicate>>
predicate::compile(std::string_view where, std::span<const std::string> parameters,
                   std::span<const column> columns, const collation& database,
                   std::span<const inner_table> inner) try {
  const auto clause = parse(where);
  if (!clause)
    return fail(clause.error());
  const auto meaning = check(*clause, parameters, columns, database, inner);
  if (!meaning)
    return fail(meaning.error());
  auto bytes_max = emitted_bytes_max;
  for (const auto& parameter : parameters)
    bytes_max += 4 * parameter.size();
  return of(meaning->tree, meaning->enums, bytes_max);
} catch (const std::exception& e) { // only memory can run out here
  return fail(errc::unavailable, std::string{"compile a where clause: "} + e.what(), "where");
}

result<std::shared_ptr<const predicate>> predicate::of(const node_ptr& tree, const enum_list& enums,
                                                       std::size_t bytes_max) {
  auto text = sql::to_sql(*tree, enums, bytes_max);
  if (!text)
    return fail(std::move(text).error());
  body made{.steps = std::nullopt,
            .plan = std::nullopt,
            .columns = {},
            .sql = std::move(*text),
            .canonical = to_canonical(*tree, enums),
            .conjunctions = atoms_of(*tree)};
  if (tree->mentions_subquery) {
    auto plan = plan_of(tree, enums, [&](const node_ptr& part, const enum_list& list) {
      return of(part, list, bytes_max);
    });
    if (!plan)
      return fail(std::move(plan).error());
    made.columns = columns_of(*plan);
    made.plan = std::move(*plan);
    for (auto& alternative : made.conjunctions) // what can be true need not be
      alternative.complete = false;
  } else {
    made.steps.emplace(*tree, enums);
  }
  return std::shared_ptr<const predicate>{
      new predicate{std::make_unique<const body>(std::move(made))}};
}

truth predicate::evaluate(std::span<const cell> row) const {
  return body_->steps ? body_->steps->run(row) : truth::failed;
}
const std::string& predicate::to_sql() const noexcept {
  return body_->sql;
}
const std::string& predicate::canonical() const noexcept {
  return body_->canonical;
}
std::span<const std::uint16_t> predicate::columns_used() const noexcept {
  return body_->steps ? body_->steps->columns() : body_->columns;
}
std::span<const conjunction> predicate::conjunctions() const noexcept {
  return body_->conjunctions;
}
const subquery_plan* predicate::subqueries() const noexcept {
  return body_->plan ? &*body_->plan : nullptr;
}

} // namespace busbar::sql
