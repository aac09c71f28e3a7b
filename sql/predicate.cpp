#include "sql/predicate.hpp"

#include "sql/atoms_of.hpp"
#include "sql/check.hpp"
#include "sql/emit.hpp"
#include "sql/packed_atoms.hpp"
#include "sql/parse.hpp"
#include "sql/plan.hpp"
#include "sql/program.hpp"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

namespace busbar::sql {

struct predicate::body {
  /// Of a clause with subqueries, instead of a program.
  struct planned {
    subquery_plan plan;
    std::vector<std::uint16_t> columns;
  };
  predicate face{*this};
  std::optional<program> steps = std::nullopt;
  std::unique_ptr<const planned> with_subqueries = nullptr;
  /// The SQL, what is canonical unless it is the same, and the packed atoms.
  std::unique_ptr<const char[]> text = nullptr;
  std::uint32_t sql_bytes = 0;
  std::uint32_t canonical_at = 0;
  std::uint32_t atoms_at = 0;
  std::uint32_t end = 0;

  void keep(std::string_view sql, std::string_view canonical, std::string_view atoms);
};

void predicate::body::keep(std::string_view sql, std::string_view canonical,
                           std::string_view atoms) {
  const bool is_same = sql == canonical;
  std::string all{sql};
  sql_bytes = static_cast<std::uint32_t>(all.size());
  canonical_at = is_same ? 0 : sql_bytes;
  if (!is_same)
    all += canonical;
  atoms_at = static_cast<std::uint32_t>(all.size());
  all += atoms;
  end = static_cast<std::uint32_t>(all.size());
  auto made = std::make_unique<char[]>(all.size());
  all.copy(made.get(), all.size());
  text = std::move(made);
}

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

result<std::shared_ptr<const predicate>>
predicate::compile(std::string_view where, std::span<const std::string> parameters,
                   std::span<const column> columns, const collation& database,
                   std::span<const inner_table> inner, program_pool* pool) try {
  const auto clause = parse(where);
  if (!clause)
    return fail(clause.error());
  const auto meaning = check(*clause, parameters, columns, database, inner);
  if (!meaning)
    return fail(meaning.error());
  auto bytes_max = emitted_bytes_max;
  for (const auto& parameter : parameters)
    bytes_max += 4 * parameter.size();
  return of(meaning->tree, meaning->enums, bytes_max, pool);
} catch (const std::exception& e) { // only memory can run out here
  return fail(errc::unavailable, std::string{"compile a where clause: "} + e.what(), "where");
}

result<std::shared_ptr<const predicate>> predicate::of(const node_ptr& tree, const enum_list& enums,
                                                       std::size_t bytes_max, program_pool* pool) {
  auto text = sql::to_sql(*tree, enums, bytes_max);
  if (!text)
    return fail(std::move(text).error());
  auto made = std::make_shared<body>();
  auto alternatives = atoms_of(*tree);
  if (tree->mentions_subquery) {
    auto plan = plan_of(tree, enums, [&](const node_ptr& part, const enum_list& list) {
      return of(part, list, bytes_max, pool);
    });
    if (!plan)
      return fail(std::move(plan).error());
    auto columns = columns_of(*plan);
    made->with_subqueries =
        std::make_unique<const body::planned>(body::planned{std::move(*plan), std::move(columns)});
    for (auto& alternative : alternatives) // what can be true need not be
      alternative.complete = false;
  } else {
    made->steps.emplace(*tree, enums, pool);
  }
  made->keep(*text, to_canonical(*tree, enums), pack(alternatives));
  return std::shared_ptr<const predicate>{made, &made->face};
}

truth predicate::evaluate(std::span<const cell> row) const {
  return body_->steps ? body_->steps->run(row) : truth::failed;
}
std::string_view predicate::to_sql() const noexcept {
  return {body_->text.get(), body_->sql_bytes};
}
std::string_view predicate::canonical() const noexcept {
  const auto& b = *body_;
  const auto end = b.canonical_at == 0 ? b.sql_bytes : b.atoms_at;
  return {b.text.get() + b.canonical_at, end - b.canonical_at};
}
std::span<const std::uint16_t> predicate::columns_used() const noexcept {
  return body_->steps ? body_->steps->columns() : body_->with_subqueries->columns;
}
std::vector<conjunction> predicate::conjunctions() const {
  return unpack({body_->text.get() + body_->atoms_at, body_->end - body_->atoms_at});
}
const subquery_plan* predicate::subqueries() const noexcept {
  return body_->with_subqueries ? &body_->with_subqueries->plan : nullptr;
}

} // namespace busbar::sql
