// tests/unit/sql/clause.hpp: a clause and its rows in a line, for the tests of sql/.
#pragma once

#include "sql/predicate.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace busbar::sql {

inline std::ostream& operator<<(std::ostream& out, truth t) {
  constexpr const char* names[] = {"no", "yes", "unknown", "failed"};
  return out << names[static_cast<std::size_t>(t)];
}

namespace test {

using compiled = std::shared_ptr<const predicate>;
using columns = std::vector<column>;
using row = std::vector<std::optional<std::string>>;

inline columns typed(std::initializer_list<std::pair<const char*, const char*>> names_and_types) {
  columns out;
  for (const auto& [name, type] : names_and_types)
    out.push_back(column{name, type});
  return out;
}

inline result<compiled> compile(std::string_view where, const columns& table = {},
                                const std::vector<std::string>& parameters = {}) {
  return predicate::compile(where, parameters, table);
}

/// The complaint about a clause that must be refused; "(accepted)" if it is not.
inline std::string complaint(std::string_view where, const columns& table = {},
                             const std::vector<std::string>& parameters = {}) {
  const auto made = compile(where, table, parameters);
  return made ? "(accepted)" : made.error().message;
}

inline truth evaluate(const predicate& p, const row& values) {
  std::vector<cell> cells;
  for (const auto& v : values)
    cells.push_back(v ? cell{*v} : cell{});
  return p.evaluate(cells);
}

/// The verdict on one row. A clause that does not compile is `failed`, which no test expects.
inline truth verdict(std::string_view where, const columns& table = {}, const row& values = {},
                     const std::vector<std::string>& parameters = {}) {
  const auto made = compile(where, table, parameters);
  return made ? evaluate(**made, values) : truth::failed;
}

/// to_sql() of a clause that must compile.
inline std::string emitted(std::string_view where, const columns& table = {}) {
  const auto made = compile(where, table);
  EXPECT_TRUE(made) << where << ": " << (made ? "" : made.error().message);
  return std::string{made ? (*made)->to_sql() : std::string_view{}};
}

/// canonical() of a clause that must compile.
inline std::string canonical(std::string_view where, const columns& table = {},
                             const std::vector<std::string>& parameters = {}) {
  const auto made = compile(where, table, parameters);
  EXPECT_TRUE(made) << where << ": " << (made ? "" : made.error().message);
  return std::string{made ? (*made)->canonical() : std::string_view{}};
}

} // namespace test
} // namespace busbar::sql
