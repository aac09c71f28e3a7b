// sql/decimal.hpp: exact decimal numbers, compared digit by digit in the text that holds them.
#pragma once

#include "sql/value.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace busbar::sql {

/// A view of a numeric: sign, digits before and behind the point, exponent. Borrows its digits.
struct decimal {
  enum class kind_type : std::uint8_t { negative_infinity, finite, infinity, nan };
  kind_type kind = kind_type::finite;
  bool negative = false;
  std::string_view whole = {};
  std::string_view fraction = {};
  std::int64_t exponent = 0;
};

/// Reads numeric's input format.
reading read_decimal(std::string_view text, decimal& out) noexcept;

/// Room for the digits of an integer that stands for a numeric.
using decimal_buffer = std::array<char, 24>;

/// The view of a value of type numeric. Borrows from both.
decimal decimal_of(const value& v, decimal_buffer& buffer) noexcept;

/// In the order of PostgreSQL: -Infinity, numbers, Infinity, NaN.
int compare(const decimal& a, const decimal& b) noexcept;

/// Appends bytes that are equal for equal numbers, and ordered as they are.
void append_sort_key(std::string& out, const decimal& d);

/// As numeric's output function prints it: no exponent, the scale kept.
std::string to_string(const decimal& d);

} // namespace busbar::sql
