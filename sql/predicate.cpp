#include "sql/predicate.hpp"

#include "sql/atoms_of.hpp"
#include "sql/check.hpp"
#include "sql/emit.hpp"
#include "sql/parse.hpp"
#include "sql/program.hpp"

#include <exception>
#include <utility>

namespace busbar::sql {

struct predicate::body {
  program steps;
  std::string sql;
  std::string canonical;
  std::vector<conjunction> conjunctions;
};

predicate::predicate(std::unique_ptr<const body> b) : body_{std::move(b)} {}
predicate::~predicate() = default;

result<std::shared_ptr<const predicate>> predicate::compile(std::string_view where,
                                                            std::span<const std::string> parameters,
                                                            std::span<const column> columns,
                                                            const collation& database) try {
  const auto clause = parse(where);
  if (!clause)
    return fail(clause.error());
  const auto meaning = check(*clause, parameters, columns, database);
  if (!meaning)
    return fail(meaning.error());
  const auto& [tree, enums] = *meaning;
  auto bytes_max = emitted_bytes_max;
  for (const auto& parameter : parameters)
    bytes_max += 4 * parameter.size();
  auto text = sql::to_sql(*tree, enums, bytes_max);
  if (!text)
    return fail(std::move(text).error());
  auto compiled = std::make_unique<const body>(
      body{program{*tree, enums}, std::move(*text), to_canonical(*tree, enums), atoms_of(*tree)});
  return std::shared_ptr<const predicate>{new predicate{std::move(compiled)}};
} catch (const std::exception& e) { // only memory can run out here
  return fail(errc::unavailable, std::string{"compile a where clause: "} + e.what(), "where");
}

truth predicate::evaluate(std::span<const cell> row) const {
  return body_->steps.run(row);
}
const std::string& predicate::to_sql() const noexcept {
  return body_->sql;
}
const std::string& predicate::canonical() const noexcept {
  return body_->canonical;
}
std::span<const std::uint16_t> predicate::columns_used() const noexcept {
  return body_->steps.columns();
}
std::span<const conjunction> predicate::conjunctions() const noexcept {
  return body_->conjunctions;
}

} // namespace busbar::sql
