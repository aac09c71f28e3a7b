#include "sql/numeric.hpp"

#include "sql/digit_number.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace busbar::sql {
namespace {

using kind_type = decimal::kind_type;

/// Both operands; `special` is set if one is not finite.
struct operands {
  digit_number a;
  digit_number b;
  bool loaded = false;
  bool special = false;

  operands(const value& x, const value& y, workspace& space) {
    loaded = load(x, a, space) && load(y, b, space);
    special = !a.is_finite() || !b.is_finite();
  }
  bool is_nan() const { return a.kind == kind_type::nan || b.kind == kind_type::nan; }
};

outcome store_special(kind_type kind, value& out) {
  out.text = kind == kind_type::nan        ? "NaN"
             : kind == kind_type::infinity ? "Infinity"
                                           : "-Infinity";
  return outcome::ok;
}

kind_type infinity_of(int sign) {
  return sign < 0 ? kind_type::negative_infinity : kind_type::infinity;
}

outcome sum(operands& o, value& out, workspace& space) {
  if (o.special) {
    if (o.is_nan() || (!o.a.is_finite() && !o.b.is_finite() && o.a.kind != o.b.kind))
      return store_special(kind_type::nan, out);
    return store_special(o.a.is_finite() ? o.b.kind : o.a.kind, out);
  }
  digit_number result;
  return add(o.a, o.b, result, space) ? store(result, out, space) : outcome::failed;
}

void flip(digit_number& n) {
  if (n.kind == kind_type::infinity)
    n.kind = kind_type::negative_infinity;
  else if (n.kind == kind_type::negative_infinity)
    n.kind = kind_type::infinity;
  n.negative = !n.negative && !n.digits.empty();
}

} // namespace

outcome add_numerics(const value& a, const value& b, value& out, workspace& space) noexcept {
  operands o{a, b, space};
  return o.loaded ? sum(o, out, space) : outcome::failed;
}

outcome subtract_numerics(const value& a, const value& b, value& out, workspace& space) noexcept {
  operands o{a, b, space};
  flip(o.b);
  return o.loaded ? sum(o, out, space) : outcome::failed;
}

outcome multiply_numerics(const value& a, const value& b, value& out, workspace& space) noexcept {
  operands o{a, b, space};
  if (!o.loaded)
    return outcome::failed;
  if (o.special) {
    if (o.is_nan() || o.a.is_zero() || o.b.is_zero())
      return store_special(kind_type::nan, out);
    return store_special(infinity_of(o.a.sign() * o.b.sign()), out);
  }
  digit_number product;
  if (!multiply(o.a, o.b, product, space))
    return outcome::failed;
  digit_number rounded;
  return round(product, std::min(product.scale, scale_max), rounding::half_away, rounded, space)
             ? store(rounded, out, space)
             : outcome::failed;
}

outcome divide_numerics(const value& a, const value& b, value& out, workspace& space) noexcept {
  operands o{a, b, space};
  if (!o.loaded)
    return outcome::failed;
  if (o.is_nan())
    return store_special(kind_type::nan, out);
  if (o.b.is_zero())
    return outcome::failed;
  if (o.special) {
    if (o.a.is_finite()) {
      out.text = "0";
      return outcome::ok;
    }
    return store_special(o.b.is_finite() ? infinity_of(o.a.sign() * o.b.sign()) : kind_type::nan,
                         out);
  }
  const auto scale = division_scale(o.a, o.b);
  digit_number quotient;
  digit_number rounded;
  return divide(o.a, o.b, scale + 1, quotient, space) &&
                 round(quotient, scale, rounding::half_away, rounded, space)
             ? store(rounded, out, space)
             : outcome::failed;
}

outcome remainder_of_numerics(const value& a, const value& b, value& out,
                              workspace& space) noexcept {
  operands o{a, b, space};
  if (!o.loaded)
    return outcome::failed;
  if (o.is_nan())
    return store_special(kind_type::nan, out);
  if (!o.a.is_finite())
    return o.b.is_zero() ? outcome::failed : store_special(kind_type::nan, out);
  if (!o.b.is_finite()) {
    digit_number same = o.a;
    return store(same, out, space);
  }
  if (o.b.is_zero())
    return outcome::failed;
  digit_number quotient;
  digit_number product;
  digit_number rest;
  if (!divide(o.a, o.b, 0, quotient, space) || !multiply(quotient, o.b, product, space))
    return outcome::failed;
  flip(product);
  if (!add(o.a, product, rest, space))
    return outcome::failed;
  rest.scale = std::max(o.a.scale, o.b.scale);
  return store(rest, out, space);
}

outcome power_of_numeric(const value& a, const value& exponent, value& out,
                         workspace& space) noexcept {
  std::int64_t times = 0;
  operands o{a, exponent, space};
  if (!o.loaded || !o.b.is_finite() || o.b.low() < 0 ||
      !numeric_to_integer(exponent, times, space) || times < 0 || times > 64)
    return outcome::failed;
  if (o.special && times == 0) {
    out.text = "1";
    return outcome::ok;
  }
  if (o.special)
    return store_special(o.is_nan() ? kind_type::nan : infinity_of(times % 2 == 0 ? 1 : o.a.sign()),
                         out);
  const auto scale = std::max(division_digits_min, o.a.scale);
  if (times > 2 && o.a.scale * times > scale)
    return outcome::failed;
  std::uint8_t one_digit = 1;
  digit_number product;
  product.digits = {&one_digit, 1};
  for (std::int64_t i = 0; i < times; ++i) {
    digit_number next;
    if (!multiply(product, o.a, next, space))
      return outcome::failed;
    product = next;
  }
  digit_number rounded;
  return round(product, scale, rounding::half_away, rounded, space) ? store(rounded, out, space)
                                                                    : outcome::failed;
}

outcome negate_numeric(const value& a, value& out, workspace& space) noexcept {
  digit_number n;
  if (!load(a, n, space))
    return outcome::failed;
  flip(n);
  return store(n, out, space);
}

outcome absolute_numeric(const value& a, value& out, workspace& space) noexcept {
  digit_number n;
  if (!load(a, n, space))
    return outcome::failed;
  if (n.sign() < 0)
    flip(n);
  return store(n, out, space);
}

outcome sign_of_numeric(const value& a, value& out, workspace& space) noexcept {
  digit_number n;
  if (!load(a, n, space))
    return outcome::failed;
  if (n.kind == kind_type::nan)
    return store_special(n.kind, out);
  out.text = n.sign() < 0 ? "-1" : n.sign() > 0 ? "1" : "0";
  return outcome::ok;
}

outcome round_numeric(const value& a, std::int64_t scale, rounding how, value& out,
                      workspace& space) noexcept {
  digit_number n;
  if (!load(a, n, space))
    return outcome::failed;
  if (!n.is_finite())
    return store_special(n.kind, out);
  scale = std::clamp<std::int64_t>(scale, -2000, 2000);
  digit_number rounded;
  if (!round(n, scale, how, rounded, space))
    return outcome::failed;
  rounded.scale = std::max<std::int64_t>(0, scale);
  return store(rounded, out, space);
}

outcome fit_numeric(const value& a, std::int32_t modifier, value& out, workspace& space) noexcept {
  const auto packed = modifier - 4;
  const std::int64_t precision = packed >> 16 & 0xffff;
  const std::int64_t scale = ((packed & 0x7ff) ^ 1024) - 1024;
  digit_number n;
  if (!load(a, n, space))
    return outcome::failed;
  if (!n.is_finite())
    return n.kind == kind_type::nan ? store_special(n.kind, out) : outcome::failed;
  digit_number rounded;
  if (!round(n, scale, rounding::half_away, rounded, space))
    return outcome::failed;
  if (!rounded.digits.empty() && rounded.top >= precision - scale)
    return outcome::failed;
  rounded.scale = std::max<std::int64_t>(0, scale);
  return store(rounded, out, space);
}

bool numeric_to_integer(const value& a, std::int64_t& out, workspace& space) noexcept {
  if (a.text.empty()) {
    out = a.integer;
    return true;
  }
  digit_number n;
  digit_number rounded;
  if (!load(a, n, space) || !n.is_finite() || !round(n, 0, rounding::half_away, rounded, space) ||
      rounded.top > 18)
    return false;
  std::int64_t total = 0;
  for (auto power = rounded.digits.empty() ? std::int64_t{-1} : rounded.top; power >= 0; --power)
    if (__builtin_mul_overflow(total, 10, &total) ||
        __builtin_sub_overflow(total, rounded.at(power), &total))
      return false;
  return rounded.negative ? (out = total, true)
                          : !__builtin_sub_overflow(std::int64_t{0}, total, &out);
}

outcome real_to_numeric(double x, int digits, value& out, workspace& space) noexcept {
  if (std::isnan(x))
    return store_special(kind_type::nan, out);
  if (std::isinf(x))
    return store_special(infinity_of(x < 0 ? -1 : 1), out);
  std::array<char, 64> buffer{};
  const auto size = std::snprintf(buffer.data(), buffer.size(), "%.*g", digits, x);
  value text;
  text.text = {buffer.data(), static_cast<std::size_t>(size)};
  digit_number n;
  return load(text, n, space) ? store(n, out, space) : outcome::failed;
}

} // namespace busbar::sql
