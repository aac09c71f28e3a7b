// sql/digit_number.hpp: a numeric taken apart, and arithmetic on its digits. Private to sql/.
#pragma once

#include "sql/decimal.hpp"
#include "sql/numeric.hpp"

#include <cstdint>
#include <span>

namespace busbar::sql {

inline constexpr std::int64_t top_max = 131'072; ///< Digits before the point, at most.
inline constexpr std::int64_t scale_max = 16'383;
inline constexpr std::int64_t division_digits_min = 16;

/// A numeric, digit by digit: digits[i] counts 10^(top - i). Without zeros in front and behind; no
/// digits at all are zero.
struct digit_number {
  using kind_type = decimal::kind_type;

  kind_type kind = kind_type::finite;
  bool negative = false;
  std::int64_t top = 0;
  std::int64_t scale = 0; ///< Digits to print behind the point.
  std::span<std::uint8_t> digits = {};

  bool is_finite() const { return kind == kind_type::finite; }
  bool is_zero() const { return is_finite() && digits.empty(); }
  std::int64_t low() const { return top - static_cast<std::int64_t>(digits.size()) + 1; }
  int at(std::int64_t power) const {
    const auto i = top - power;
    return i < 0 || i >= static_cast<std::int64_t>(digits.size())
               ? 0
               : digits[static_cast<std::size_t>(i)];
  }
  int sign() const {
    return kind == kind_type::negative_infinity ? -1
           : kind == kind_type::infinity        ? 1
           : digits.empty()                     ? 0
           : negative                           ? -1
                                                : 1;
  }
};

// All of these are false, or failed, only if memory runs out or the work is too much.

bool load(const value& v, digit_number& out, workspace& space);
/// `failed` also if it has too many digits.
outcome store(const digit_number& n, value& out, workspace& space);

bool add(const digit_number& a, const digit_number& b, digit_number& out, workspace& space);
bool multiply(const digit_number& a, const digit_number& b, digit_number& out, workspace& space);

/// a / b, cut off behind `scale` digits; b is not zero.
bool divide(const digit_number& a, const digit_number& b, std::int64_t scale, digit_number& out,
            workspace& space);
/// The scale that PostgreSQL gives a quotient.
std::int64_t division_scale(const digit_number& a, const digit_number& b);

/// Cuts to `scale` digits behind the point.
bool round(const digit_number& n, std::int64_t scale, rounding how, digit_number& out,
           workspace& space);

} // namespace busbar::sql
