// sql/expression.hpp: what a clause says, before anybody knows what its names and literals mean.
#pragma once

#include "base/result.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace busbar::sql {

/// The clause is parsed as the condition of this statement; positions count from its beginning, and
/// are those behind "SELECT 1 WHERE ", which clients know. It selects nothing, because each node of
/// libpg_query's tree costs two microseconds.
inline constexpr std::string_view statement_prefix = "SELECT   WHERE ";

/// One node of the parsed clause. Which members mean something depends on `kind`.
struct expression {
  enum class kind_type : std::uint8_t {
    column,  ///< `text` is the name, `qualifier` the table's if it was named.
    number,  ///< `text` as written, with the sign that the grammar folds into it.
    string,  ///< `text` without quotes; of no type yet.
    boolean, ///< `number` is 0 or 1.
    null,
    parameter,   ///< `number` is n of $n.
    cast,        ///< args[0] to the type named `text` in schema `qualifier`; see `modifiers`.
    conjunction, ///< AND of all args.
    disjunction, ///< OR of all args.
    negation,    ///< NOT args[0].
    binary,      ///< args[0] `text` args[1], where `text` is the operator.
    prefix,      ///< `text` args[0]
    function,    ///< `text` (args…)
    distinct,    ///< args[0] IS DISTINCT FROM args[1].
    not_distinct,
    in, ///< args[0] IN (args[1], …).
    not_in,
    any, ///< args[0] `text` ANY (args[1]).
    all,
    between, ///< args[0] BETWEEN args[1] AND args[2].
    not_between,
    between_symmetric,
    not_between_symmetric,
    is_null,
    is_not_null,
    is_true,
    is_not_true,
    is_false,
    is_not_false,
    is_unknown,
    is_not_unknown,
    null_if,
    coalesce,
    greatest,
    least,
    row,
    array,     ///< ARRAY[args…]
    at,        ///< args[0] with the subscripts args[1] …
    subscript, ///< args are what `number` says is there: 1 lower, 2 upper; 4: it is a slice.
    choice,    ///< CASE: [args[0] is what is compared, if `number` & 1], pairs, [ELSE, if & 2].
    in_select, ///< args[0], a row, IN args[1], a select.
    select,    ///< FROM table `text` of schema `qualifier`: args[0], a row of columns, [condition].
  };

  kind_type kind = kind_type::null;
  std::int32_t location = -1; ///< Byte in statement_prefix + clause; -1 where the parser has none.
  std::int32_t number = 0;
  std::string text = {};
  std::vector<expression> args = {};
  std::string qualifier = {};
  std::vector<std::int32_t> modifiers = {}; ///< cast: what the type has in brackets.
  bool to_array = false;                    ///< cast: to an array of the type.
};

/// The error of a clause that is well-formed but refused: positions count from the clause's start.
inline error refusal(std::int32_t location, const std::string& why) {
  const auto prefix = static_cast<std::int32_t>(statement_prefix.size());
  const auto shown = std::max<std::int32_t>(0, location - prefix);
  return {errc::invalid_argument, "At location " + std::to_string(shown) + ": " + why, "where"};
}

} // namespace busbar::sql
