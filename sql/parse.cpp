#include "sql/parse.hpp"

#include "sql/decoder.hpp"
#include "sql/lexical_check.hpp"
#include "sql/subquery_forms.hpp"

#include <string>

namespace busbar::sql {

result<expression> parse(std::string_view where) {
  if (where.size() + statement_prefix.size() > clause_bytes_max)
    return fail(
        refusal(0, "the clause is longer than " + std::to_string(clause_bytes_max) + " bytes"));
  if (!is_storable_text(where))
    return fail(refusal(0, "the clause is not valid UTF-8"));
  std::string statement{statement_prefix};
  statement += where;
  if (auto lexical = check_tokens(statement); !lexical)
    return fail(std::move(lexical).error());

  const parser_result parsed{statement.c_str()};
  if (const auto* why = parsed.result.error)
    return fail(syntax_error(statement, why->cursorpos, why->message));
  auto clause = decoder{}.run({parsed.result.parse_tree.data, parsed.result.parse_tree.len});
  if (clause)
    if (auto checked = check_subquery_forms(*clause); !checked)
      return fail(std::move(checked).error());
  return clause;
}

} // namespace busbar::sql
