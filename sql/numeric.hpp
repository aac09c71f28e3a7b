// sql/numeric.hpp: arithmetic on numerics: exact, and with PostgreSQL's choice of the scale of a
// result. `failed` where PostgreSQL reports an error: division by zero, too many digits.
#pragma once

#include "sql/value.hpp"

#include <cstdint>

namespace busbar::sql {

outcome add_numerics(const value& a, const value& b, value& out, workspace& space) noexcept;
outcome subtract_numerics(const value& a, const value& b, value& out, workspace& space) noexcept;
outcome multiply_numerics(const value& a, const value& b, value& out, workspace& space) noexcept;
outcome divide_numerics(const value& a, const value& b, value& out, workspace& space) noexcept;
outcome remainder_of_numerics(const value& a, const value& b, value& out,
                              workspace& space) noexcept;

/// Of a non-negative power whose result needs no rounding, or of a square; otherwise `failed`.
outcome power_of_numeric(const value& a, const value& exponent, value& out,
                         workspace& space) noexcept;

outcome negate_numeric(const value& a, value& out, workspace& space) noexcept;
outcome absolute_numeric(const value& a, value& out, workspace& space) noexcept;
outcome sign_of_numeric(const value& a, value& out, workspace& space) noexcept;

enum class rounding : std::uint8_t { half_away, truncate, floor, ceiling };
outcome round_numeric(const value& a, std::int64_t scale, rounding how, value& out,
                      workspace& space) noexcept;

/// numeric(precision, scale) as a type modifier.
outcome fit_numeric(const value& a, std::int32_t modifier, value& out, workspace& space) noexcept;

/// Halves away from zero; false if it does not fit.
bool numeric_to_integer(const value& a, std::int64_t& out, workspace& space) noexcept;

/// The first `digits` significant digits, as PostgreSQL converts floats.
outcome real_to_numeric(double x, int digits, value& out, workspace& space) noexcept;

} // namespace busbar::sql
