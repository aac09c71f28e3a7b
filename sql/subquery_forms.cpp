#include "sql/subquery_forms.hpp"

#include "sql/parse.hpp"
#include "sql/subquery.hpp"

#include <algorithm>
#include <array>
#include <exception>

namespace busbar::sql {
namespace {

using kind_type = expression::kind_type;

bool is_logic(kind_type kind) {
  return kind == kind_type::conjunction || kind == kind_type::disjunction ||
         kind == kind_type::negation;
}

/// `depth` counts the subqueries around `e`; `allowed` says that between it and the condition that
/// it is part of there is nothing but AND, OR and NOT.
result<void> check_forms(const expression& e, bool allowed, std::size_t depth) {
  if (e.kind != kind_type::in_select) {
    for (const auto& arg : e.args)
      if (auto checked = check_forms(arg, allowed && is_logic(e.kind), depth); !checked)
        return checked;
    return {};
  }
  if (!allowed)
    return fail(refusal(e.location, "IN (SELECT …) is supported below AND, OR and NOT only"));
  if (depth == subquery_depth_max)
    return fail(refusal(e.location, "subqueries are nested too deeply"));
  const auto& left = e.args[0].args;
  const auto& select = e.args[1].args;
  for (const auto& part : left)
    if (part.kind != kind_type::column)
      return fail(refusal(part.location >= 0 ? part.location : e.location,
                          "the left side of IN (SELECT …) is a column or a list of columns"));
  if (left.size() != select[0].args.size())
    return fail(refusal(e.location, left.size() < select[0].args.size()
                                        ? "subquery has too many columns"
                                        : "subquery has too few columns"));
  return select.size() > 1 ? check_forms(select[1], true, depth + 1) : result<void>{};
}

void collect_tables(const expression& e, std::vector<table_name>& out) {
  if (e.kind == kind_type::select) {
    table_name name{e.qualifier, e.text};
    if (std::find(out.begin(), out.end(), name) == out.end())
      out.push_back(std::move(name));
  }
  for (const auto& arg : e.args)
    collect_tables(arg, out);
}

} // namespace

result<void> check_subquery_forms(const expression& clause) {
  return check_forms(clause, true, 0);
}

bool may_have_subqueries(std::string_view where) {
  // The words that can begin a query.
  constexpr std::array<std::string_view, 4> words{"select", "values", "table", "with"};
  const auto is_equal = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return std::search(where.begin(), where.end(), word.begin(), word.end(), is_equal) !=
           where.end();
  });
}

result<std::vector<table_name>> inner_tables(std::string_view where) try {
  const auto clause = parse(where);
  if (!clause)
    return fail(clause.error());
  std::vector<table_name> out;
  collect_tables(*clause, out);
  return out;
} catch (const std::exception& e) { // only memory can run out here
  return fail(errc::unavailable, std::string{"read a where clause: "} + e.what(), "where");
}

} // namespace busbar::sql
