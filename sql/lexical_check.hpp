// sql/lexical_check.hpp: what can be refused by looking at a clause's bytes and tokens only.
#pragma once

#include "base/result.hpp"

#include <string>
#include <string_view>

namespace busbar::sql {

/// libpg_query's complaint, positioned as spec shape-protocol 17.3 says. `cursor` counts characters
/// from 1.
error syntax_error(std::string_view statement, int cursor, std::string_view message);

/// Passes if parsing `statement` (statement_prefix + clause) can need only bounded stack:
/// libpg_query and the decoder of its trees recurse, and neither looks at the stack it has.
result<void> check_tokens(const std::string& statement);

/// True if `text` is UTF-8 that PostgreSQL would store: no NUL, no surrogates, no overlong forms.
bool is_storable_text(std::string_view text) noexcept;

} // namespace busbar::sql
