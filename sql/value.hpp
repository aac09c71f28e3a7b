// sql/value.hpp: one value of a known type: read from text, compared, converted, written as text.
#pragma once

#include "sql/types.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace busbar::sql {

/// What became of reading a text.
enum class reading : std::uint8_t {
  ok,
  malformed,    ///< PostgreSQL's input function refuses it too.
  out_of_range, ///< Likewise.
  unsupported,  ///< PostgreSQL may accept it; we cannot read it exactly.
  volatile_now, ///< now, today, …: means something else every time.
};

/// A value that is not NULL. Which members mean something depends on its type. Borrows `text`.
struct value {
  union {
    std::int64_t integer = 0; ///< Integers, booleans, days and microseconds since 2000-01-01.
    std::uint64_t high;       ///< The first half of a uuid.
    double real;              ///< Both float types.
  };
  std::uint64_t low = 0;      ///< The second half of a uuid.
  std::string_view text = {}; ///< Strings; a numeric, unless it is empty and `integer` has it.
};

/// Reads what PostgreSQL's input function for `t` reads; its output format is part of that, and
/// the fast way through. Allocates nothing: `out` borrows from `text`.
reading read_value(type t, std::string_view text, value& out) noexcept;

/// What PostgreSQL's output function prints under the pinned settings (spec
/// where-and-matching 1.4).
std::string write_value(type t, const value& v);

/// Less than, equal to or greater than 0. Both were read as types of this kernel.
int compare(kernel how, const value& a, const value& b) noexcept;

/// Converts in place; false if the value has no counterpart, which is an error in PostgreSQL.
bool convert(conversion how, value& v) noexcept;

} // namespace busbar::sql
