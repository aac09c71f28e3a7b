// sql/letter_case.hpp: small and capital letters, where a collation's rule is known exactly.
#pragma once

#include "sql/functions.hpp"

#include <string_view>

namespace busbar::sql {

/// Whether this system has the table that the rule needs.
bool can_change_case(case_rule rule) noexcept;

/// `out` borrows from `space`. False if the rule is unknown or memory runs out.
bool to_lower(std::string_view text, case_rule rule, std::string_view& out,
              workspace& space) noexcept;
bool to_upper(std::string_view text, case_rule rule, std::string_view& out,
              workspace& space) noexcept;

} // namespace busbar::sql
