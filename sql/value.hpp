// sql/value.hpp: one value of a known type: read from text, compared, converted, written as text.
#pragma once

#include "sql/types.hpp"
#include "sql/workspace.hpp"

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

struct array_value;

/// The parts of an interval that have no fixed length.
struct interval_days {
  std::int32_t months;
  std::int32_t days;
};

/// A value that is not NULL. Which members mean something depends on its type. Borrows `text` and
/// `array`.
struct value {
  union {
    std::int64_t integer = 0; ///< Integers, booleans, labels, days, and microseconds: of a moment
                              ///< since 2000-01-01, of a time since midnight, of an interval.
    std::uint64_t high;       ///< The first half of a uuid.
    double real;              ///< Both float types.
  };
  union {
    std::uint64_t low = 0; ///< The second half of a uuid.
    interval_days span;
    const array_value* array;
  };
  /// Strings, the label of an enum, jsonb, bytea in hex; a numeric, unless it is empty and
  /// `integer` has it.
  std::string_view text = {};
};

/// A value or NULL.
struct datum {
  value v = {};
  bool null = false;
};

/// What became of computing a value.
enum class outcome : std::uint8_t { ok, null, failed };

/// Reads what PostgreSQL's input function for `t` reads; its output format is part of that, and
/// the fast way through. `out` borrows from `text` and `space`.
reading read_value(type t, std::string_view text, value& out, workspace& space) noexcept;

/// Appends what PostgreSQL's output function prints under the pinned settings (spec
/// where-and-matching 1.4).
void append_value(std::string& out, type t, const value& v, enum_types enums);

/// Less than, equal to or greater than 0. Both were read as types of this kernel.
int compare(kernel how, const value& a, const value& b) noexcept;

/// A conversion with everything that it depends on.
struct conversion_call {
  conversion how;
  type from;
  type to;
  std::int32_t modifier = -1; ///< pg_attribute.atttypmod, for conversion::fit.
};

/// Converts in place. `failed` if the value has no counterpart, which is an error in PostgreSQL.
outcome convert(const conversion_call& call, value& v, workspace& space) noexcept;

} // namespace busbar::sql
