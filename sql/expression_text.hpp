// sql/expression_text.hpp: writes an expression as a clause again. Private to sql/.
#pragma once

#include "sql/expression.hpp"

#include <string>

namespace busbar::sql {

/// A text that parse() reads as this very expression: fully parenthesised, every name quoted. What
/// the original text had around its meaning (comments, spelling, escapes) is not in it.
std::string text_of(const expression& clause);

/// Whether both say the same, wherever it stood in their texts.
bool is_same(const expression& a, const expression& b);

} // namespace busbar::sql
