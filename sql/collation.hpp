// sql/collation.hpp: what must be known of a collation to compare strings as PostgreSQL does.
#pragma once

#include <cstdint>

namespace busbar::sql {

/// How a collation turns letters into small or capital ones.
enum class case_rule : std::uint8_t {
  unknown,
  ascii,   ///< A to Z only: C and POSIX.
  unicode, ///< Letter by letter, by Unicode's table: C.UTF-8.
};

struct collation {
  bool ordered_bytewise = false;
  bool deterministic = true; ///< Strings are equal if their bytes are.
  case_rule cases = case_rule::unknown;
  bool ambiguous = false; ///< Of strings from two columns whose collations differ.

  friend bool operator==(const collation&, const collation&) = default;
};

} // namespace busbar::sql
