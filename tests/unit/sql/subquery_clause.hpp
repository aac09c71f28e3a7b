// tests/unit/sql/subquery_clause.hpp: a table, two others for its subqueries, and plans as text.
#pragma once

#include "sql/subquery.hpp"
#include "tests/unit/sql/clause.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace busbar::sql::test {

inline std::shared_ptr<const enum_type> mood(const char* schema) {
  return std::make_shared<enum_type>(enum_type{schema, "mood", {"sad", "ok"}});
}

inline column not_null(column c) {
  c.not_null = true;
  return c;
}

inline const columns table{
    {.name = "x", .type_name = "int4"},
    {.name = "y", .type_name = "int4"},
    not_null({.name = "k", .type_name = "int4"}),
    {.name = "l", .type_name = "int8"},
    {.name = "s", .type_name = "text"},
    {.name = "b", .type_name = "bool"},
    {.name = "c", .type_name = "bpchar", .type_modifier = 9},
    {.name = "j", .type_name = "jsonb"},
    {.name = "ia", .type_name = "int4", .dimensions = 1},
    {.name = "net", .type_name = "inet"},
    {.name = "m", .type_name = "mood", .type_class = "e", .labels = mood("public")},
    {.name = "g", .type_name = "int4", .generated = true},
    {.name = "w", .type_name = "text", .deterministic = false},
};

inline const std::vector<inner_table> inner{
    {"public",
     "t",
     {
         {.name = "m2", .type_name = "mood", .type_class = "e", .labels = mood("other")},
         {.name = "a", .type_name = "int4"},
         {.name = "b", .type_name = "int4"},
         not_null({.name = "id", .type_name = "int4"}),
         {.name = "l", .type_name = "int8"},
         {.name = "s", .type_name = "text"},
         {.name = "flag", .type_name = "bool"},
         {.name = "c", .type_name = "bpchar", .type_modifier = 24},
         {.name = "j", .type_name = "jsonb"},
         {.name = "ia", .type_name = "int4", .dimensions = 1},
         {.name = "net", .type_name = "inet"},
         {.name = "m", .type_name = "mood", .type_class = "e", .labels = mood("public")},
         {.name = "g", .type_name = "int4", .generated = true},
         {.name = "w", .type_name = "text", .deterministic = false},
         {.name = "v", .type_name = "varchar"},
     }},
    {"other", "t", {{.name = "a", .type_name = "int4"}}},
    {"public", "Ünï \"t\"", {{.name = "A b", .type_name = "int4"}}},
};

inline result<compiled> compile_with_inner(std::string_view where,
                                           const std::vector<std::string>& parameters = {}) {
  return predicate::compile(where, parameters, table, {}, inner);
}

inline compiled with_inner(std::string_view where,
                           const std::vector<std::string>& parameters = {}) {
  auto made = compile_with_inner(where, parameters);
  EXPECT_TRUE(made) << where << ": " << (made ? "" : made.error().message);
  return made ? *made : nullptr;
}

inline std::string columns_text(const std::vector<key_form>& forms) {
  std::string out;
  for (const auto& form : forms)
    out += (out.empty() ? "" : ",") + table[form.column].name;
  return forms.size() > 1 ? "(" + out + ")" : out;
}

/// `x IN 0 & NOT {leaf} | y IN 1`: each disjunct's positions.
inline std::string plan_text(std::string_view where) {
  const auto made = with_inner(where);
  if (made == nullptr || made->subqueries() == nullptr)
    return "(no subquery)";
  const auto& plan = *made->subqueries();
  std::string out;
  std::size_t next = 0;
  for (const auto end : plan.disjunct_ends) {
    out += out.empty() ? "" : " | ";
    for (const auto first = next; next < end; ++next) {
      const auto& p = plan.positions[next];
      out += next > first ? " & " : "";
      out += p.negated ? "NOT " : "";
      out += p.leaf != nullptr ? std::string{p.leaf->to_sql()}
                               : columns_text(p.left) + " IN " + std::to_string(p.subquery);
    }
  }
  EXPECT_EQ(next, plan.positions.size());
  return out;
}

/// plan_text() of a clause with `x IN S0`, `y IN S1`, `k IN S2`. The last one's columns are NOT
/// NULL.
inline std::string plan_of(std::string where) {
  const std::pair<std::string, std::string> names[] = {
      {"S0", "(SELECT a FROM t)"},
      {"S1", "(SELECT b FROM t)"},
      {"S2", "(SELECT id FROM t)"},
  };
  for (const auto& [name, text] : names)
    for (auto at = where.find(name); at != std::string::npos; at = where.find(name))
      where.replace(at, name.size(), text);
  return plan_text(where);
}

inline constexpr auto is_open = R"(("s" OPERATOR(pg_catalog.=) 'open'::pg_catalog.text))";

} // namespace busbar::sql::test
