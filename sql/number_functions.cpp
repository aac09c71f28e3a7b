// Arithmetic. An overflow is an error in PostgreSQL, and so it is here.
#include "sql/functions.hpp"
#include "sql/numeric.hpp"

#include <cmath>
#include <limits>

namespace busbar::sql {
namespace {

// --- Integers --------------------------------------------------------------------------------

outcome in_range(const call& c, bool overflow, std::int64_t x, value& out) noexcept {
  out.integer = x;
  const bool fits = c.result == type::int2   ? x == static_cast<std::int16_t>(x)
                    : c.result == type::int4 ? x == static_cast<std::int32_t>(x)
                                             : true;
  return overflow || !fits ? outcome::failed : outcome::ok;
}

std::int64_t first(const call& c) noexcept {
  return c.args[0].v.integer;
}
std::int64_t second(const call& c) noexcept {
  return c.args[1].v.integer;
}

outcome add_integers(const call& c, value& out) noexcept {
  std::int64_t x = 0;
  const bool overflow = __builtin_add_overflow(first(c), second(c), &x);
  return in_range(c, overflow, x, out);
}
outcome subtract_integers(const call& c, value& out) noexcept {
  std::int64_t x = 0;
  const bool overflow = __builtin_sub_overflow(first(c), second(c), &x);
  return in_range(c, overflow, x, out);
}
outcome multiply_integers(const call& c, value& out) noexcept {
  std::int64_t x = 0;
  const bool overflow = __builtin_mul_overflow(first(c), second(c), &x);
  return in_range(c, overflow, x, out);
}
outcome divide_integers(const call& c, value& out) noexcept {
  if (second(c) == 0)
    return outcome::failed;
  if (second(c) == -1) { // the least integer has no counterpart
    std::int64_t x = 0;
    const bool overflow = __builtin_sub_overflow(std::int64_t{0}, first(c), &x);
    return in_range(c, overflow, x, out);
  }
  return in_range(c, false, first(c) / second(c), out);
}
outcome remainder_of_integers(const call& c, value& out) noexcept {
  if (second(c) == 0)
    return outcome::failed;
  out.integer = second(c) == -1 ? 0 : first(c) % second(c);
  return outcome::ok;
}
outcome negate_integer(const call& c, value& out) noexcept {
  std::int64_t x = 0;
  const bool overflow = __builtin_sub_overflow(std::int64_t{0}, first(c), &x);
  return in_range(c, overflow, x, out);
}
outcome same(const call& c, value& out) noexcept {
  out = c.args[0].v;
  return outcome::ok;
}
outcome absolute_integer(const call& c, value& out) noexcept {
  return first(c) < 0 ? negate_integer(c, out) : same(c, out);
}
outcome and_bits(const call& c, value& out) noexcept {
  out.integer = first(c) & second(c);
  return outcome::ok;
}
outcome or_bits(const call& c, value& out) noexcept {
  out.integer = first(c) | second(c);
  return outcome::ok;
}
outcome xor_bits(const call& c, value& out) noexcept {
  out.integer = first(c) ^ second(c);
  return outcome::ok;
}
outcome flip_bits(const call& c, value& out) noexcept {
  out.integer = ~first(c);
  return outcome::ok;
}

/// C's shift of an int of 32 bits (int2 is widened to it) or 64: only the low bits of the count
/// matter to the machine that PostgreSQL runs on.
outcome shift_left(const call& c, value& out) noexcept {
  const auto count = static_cast<unsigned>(second(c));
  const auto bits = static_cast<std::uint64_t>(first(c));
  out.integer = c.result == type::int8 ? static_cast<std::int64_t>(bits << (count & 63))
                : c.result == type::int4
                    ? static_cast<std::int32_t>(static_cast<std::uint32_t>(bits) << (count & 31))
                    : static_cast<std::int16_t>(static_cast<std::uint32_t>(bits) << (count & 31));
  return outcome::ok;
}
outcome shift_right(const call& c, value& out) noexcept {
  out.integer = first(c) >> (static_cast<unsigned>(second(c)) & (c.result == type::int8 ? 63 : 31));
  return outcome::ok;
}

// --- Floats ----------------------------------------------------------------------------------

double x_of(const call& c) noexcept {
  return c.args[0].v.real;
}
double y_of(const call& c) noexcept {
  return c.args[1].v.real;
}

/// What is infinite or, if `exact_zero` is false, zero although the operands were not, has
/// overflowed.
outcome real_result(const call& c, double x, bool from_infinity, bool exact_zero,
                    value& out) noexcept {
  out.real = c.result == type::float4 ? static_cast<double>(static_cast<float>(x)) : x;
  const bool bad = (std::isinf(out.real) && !from_infinity) || (out.real == 0 && !exact_zero);
  return bad ? outcome::failed : outcome::ok;
}
bool any_infinite(const call& c) noexcept {
  return std::isinf(x_of(c)) || std::isinf(y_of(c));
}

// Two floats of 32 bits give the same result in 64 bits and rounded once more: 53 bits are enough.
outcome add_reals(const call& c, value& out) noexcept {
  return real_result(c, x_of(c) + y_of(c), any_infinite(c), true, out);
}
outcome subtract_reals(const call& c, value& out) noexcept {
  return real_result(c, x_of(c) - y_of(c), any_infinite(c), true, out);
}
outcome multiply_reals(const call& c, value& out) noexcept {
  return real_result(c, x_of(c) * y_of(c), any_infinite(c), x_of(c) == 0 || y_of(c) == 0, out);
}
outcome divide_reals(const call& c, value& out) noexcept {
  if (y_of(c) == 0 && !std::isnan(x_of(c)))
    return outcome::failed;
  return real_result(c, x_of(c) / y_of(c), std::isinf(x_of(c)), x_of(c) == 0 || std::isinf(y_of(c)),
                     out);
}
outcome negate_real(const call& c, value& out) noexcept {
  out.real = -x_of(c);
  return outcome::ok;
}
outcome absolute_real(const call& c, value& out) noexcept {
  out.real = std::fabs(x_of(c));
  return outcome::ok;
}
outcome root(const call& c, value& out) noexcept {
  out.real = std::sqrt(x_of(c));
  return x_of(c) < 0 ? outcome::failed : outcome::ok;
}
outcome power(const call& c, value& out) noexcept {
  const auto x = x_of(c);
  const auto y = y_of(c);
  if (std::isnan(x) || std::isnan(y)) {
    out.real = (std::isnan(x) && y == 0) || (std::isnan(y) && x == 1)
                   ? 1.0
                   : std::numeric_limits<double>::quiet_NaN();
    return outcome::ok;
  }
  if ((x == 0 && y < 0) || (x < 0 && std::isfinite(y) && std::floor(y) != y))
    return outcome::failed;
  const auto p = std::pow(x, y);
  return real_result(c, p, any_infinite(c), x == 0 || any_infinite(c), out);
}
outcome round_real(const call& c, value& out) noexcept {
  out.real = std::rint(x_of(c));
  return outcome::ok;
}
outcome floor_real(const call& c, value& out) noexcept {
  out.real = std::floor(x_of(c));
  return outcome::ok;
}
outcome ceiling_real(const call& c, value& out) noexcept {
  out.real = std::ceil(x_of(c));
  return outcome::ok;
}
outcome truncate_real(const call& c, value& out) noexcept {
  out.real = x_of(c) >= 0 ? std::floor(x_of(c)) : -std::floor(-x_of(c));
  return outcome::ok;
}
outcome sign_of_real(const call& c, value& out) noexcept {
  out.real = x_of(c) > 0 ? 1 : x_of(c) < 0 ? -1 : 0;
  return outcome::ok;
}

// --- Numerics --------------------------------------------------------------------------------

using numeric_pair = outcome (*)(const value&, const value&, value&, workspace&) noexcept;
using numeric_alone = outcome (*)(const value&, value&, workspace&) noexcept;

template <numeric_pair Compute>
outcome numerics(const call& c, value& out) noexcept {
  return Compute(c.args[0].v, c.args[1].v, out, c.space);
}
template <numeric_alone Compute>
outcome numeric(const call& c, value& out) noexcept {
  return Compute(c.args[0].v, out, c.space);
}
template <rounding How>
outcome rounded(const call& c, value& out) noexcept {
  return round_numeric(c.args[0].v, c.args.size() > 1 ? second(c) : 0, How, out, c.space);
}

constexpr auto none = type::unknown;
constexpr auto i2 = type::int2;
constexpr auto i4 = type::int4;
constexpr auto i8 = type::int8;
constexpr auto nu = type::numeric;
constexpr auto f4 = type::float4;
constexpr auto f8 = type::float8;

constexpr function operators[] = {
    {"+", {i2, i2, none}, i2, add_integers},
    {"+", {i2, i4, none}, i4, add_integers},
    {"+", {i2, i8, none}, i8, add_integers},
    {"+", {i4, i2, none}, i4, add_integers},
    {"+", {i4, i4, none}, i4, add_integers},
    {"+", {i4, i8, none}, i8, add_integers},
    {"+", {i8, i2, none}, i8, add_integers},
    {"+", {i8, i4, none}, i8, add_integers},
    {"+", {i8, i8, none}, i8, add_integers},
    {"+", {nu, nu, none}, nu, numerics<add_numerics>},
    {"+", {f4, f4, none}, f4, add_reals},
    {"+", {f4, f8, none}, f8, add_reals},
    {"+", {f8, f4, none}, f8, add_reals},
    {"+", {f8, f8, none}, f8, add_reals},
    {"-", {i2, i2, none}, i2, subtract_integers},
    {"-", {i2, i4, none}, i4, subtract_integers},
    {"-", {i2, i8, none}, i8, subtract_integers},
    {"-", {i4, i2, none}, i4, subtract_integers},
    {"-", {i4, i4, none}, i4, subtract_integers},
    {"-", {i4, i8, none}, i8, subtract_integers},
    {"-", {i8, i2, none}, i8, subtract_integers},
    {"-", {i8, i4, none}, i8, subtract_integers},
    {"-", {i8, i8, none}, i8, subtract_integers},
    {"-", {nu, nu, none}, nu, numerics<subtract_numerics>},
    {"-", {f4, f4, none}, f4, subtract_reals},
    {"-", {f4, f8, none}, f8, subtract_reals},
    {"-", {f8, f4, none}, f8, subtract_reals},
    {"-", {f8, f8, none}, f8, subtract_reals},
    {"*", {i2, i2, none}, i2, multiply_integers},
    {"*", {i2, i4, none}, i4, multiply_integers},
    {"*", {i2, i8, none}, i8, multiply_integers},
    {"*", {i4, i2, none}, i4, multiply_integers},
    {"*", {i4, i4, none}, i4, multiply_integers},
    {"*", {i4, i8, none}, i8, multiply_integers},
    {"*", {i8, i2, none}, i8, multiply_integers},
    {"*", {i8, i4, none}, i8, multiply_integers},
    {"*", {i8, i8, none}, i8, multiply_integers},
    {"*", {nu, nu, none}, nu, numerics<multiply_numerics>},
    {"*", {f4, f4, none}, f4, multiply_reals},
    {"*", {f4, f8, none}, f8, multiply_reals},
    {"*", {f8, f4, none}, f8, multiply_reals},
    {"*", {f8, f8, none}, f8, multiply_reals},
    {"/", {i2, i2, none}, i2, divide_integers},
    {"/", {i2, i4, none}, i4, divide_integers},
    {"/", {i2, i8, none}, i8, divide_integers},
    {"/", {i4, i2, none}, i4, divide_integers},
    {"/", {i4, i4, none}, i4, divide_integers},
    {"/", {i4, i8, none}, i8, divide_integers},
    {"/", {i8, i2, none}, i8, divide_integers},
    {"/", {i8, i4, none}, i8, divide_integers},
    {"/", {i8, i8, none}, i8, divide_integers},
    {"/", {nu, nu, none}, nu, numerics<divide_numerics>},
    {"/", {f4, f4, none}, f4, divide_reals},
    {"/", {f4, f8, none}, f8, divide_reals},
    {"/", {f8, f4, none}, f8, divide_reals},
    {"/", {f8, f8, none}, f8, divide_reals},
    {"%", {i2, i2, none}, i2, remainder_of_integers},
    {"%", {i4, i4, none}, i4, remainder_of_integers},
    {"%", {i8, i8, none}, i8, remainder_of_integers},
    {"%", {nu, nu, none}, nu, numerics<remainder_of_numerics>},
    {"^", {nu, nu, none}, nu, numerics<power_of_numeric>},
    {"^", {f8, f8, none}, f8, power},
    {"&", {i2, i2, none}, i2, and_bits},
    {"&", {i4, i4, none}, i4, and_bits},
    {"&", {i8, i8, none}, i8, and_bits},
    {"|", {i2, i2, none}, i2, or_bits},
    {"|", {i4, i4, none}, i4, or_bits},
    {"|", {i8, i8, none}, i8, or_bits},
    {"#", {i2, i2, none}, i2, xor_bits},
    {"#", {i4, i4, none}, i4, xor_bits},
    {"#", {i8, i8, none}, i8, xor_bits},
    {"<<", {i2, i4, none}, i2, shift_left},
    {"<<", {i4, i4, none}, i4, shift_left},
    {"<<", {i8, i4, none}, i8, shift_left},
    {">>", {i2, i4, none}, i2, shift_right},
    {">>", {i4, i4, none}, i4, shift_right},
    {">>", {i8, i4, none}, i8, shift_right},
    {"-", {i2, none, none}, i2, negate_integer},
    {"-", {i4, none, none}, i4, negate_integer},
    {"-", {i8, none, none}, i8, negate_integer},
    {"-", {nu, none, none}, nu, numeric<negate_numeric>},
    {"-", {f4, none, none}, f4, negate_real},
    {"-", {f8, none, none}, f8, negate_real},
    {"+", {i2, none, none}, i2, same},
    {"+", {i4, none, none}, i4, same},
    {"+", {i8, none, none}, i8, same},
    {"+", {nu, none, none}, nu, same},
    {"+", {f4, none, none}, f4, same},
    {"+", {f8, none, none}, f8, same},
    {"@", {i2, none, none}, i2, absolute_integer},
    {"@", {i4, none, none}, i4, absolute_integer},
    {"@", {i8, none, none}, i8, absolute_integer},
    {"@", {nu, none, none}, nu, numeric<absolute_numeric>},
    {"@", {f4, none, none}, f4, absolute_real},
    {"@", {f8, none, none}, f8, absolute_real},
    {"~", {i2, none, none}, i2, flip_bits},
    {"~", {i4, none, none}, i4, flip_bits},
    {"~", {i8, none, none}, i8, flip_bits},
    {"|/", {f8, none, none}, f8, root},
};

constexpr function functions[] = {
    {"abs", {i2, none, none}, i2, absolute_integer},
    {"abs", {i4, none, none}, i4, absolute_integer},
    {"abs", {i8, none, none}, i8, absolute_integer},
    {"abs", {nu, none, none}, nu, numeric<absolute_numeric>},
    {"abs", {f4, none, none}, f4, absolute_real},
    {"abs", {f8, none, none}, f8, absolute_real},
    {"mod", {i2, i2, none}, i2, remainder_of_integers},
    {"mod", {i4, i4, none}, i4, remainder_of_integers},
    {"mod", {i8, i8, none}, i8, remainder_of_integers},
    {"mod", {nu, nu, none}, nu, numerics<remainder_of_numerics>},
    {"round", {f8, none, none}, f8, round_real},
    {"round", {nu, none, none}, nu, rounded<rounding::half_away>},
    {"round", {nu, i4, none}, nu, rounded<rounding::half_away>},
    {"trunc", {f8, none, none}, f8, truncate_real},
    {"trunc", {nu, none, none}, nu, rounded<rounding::truncate>},
    {"trunc", {nu, i4, none}, nu, rounded<rounding::truncate>},
    {"trunc", {type::opaque, none, none}, nu, not_supported}, // macaddr
    {"floor", {f8, none, none}, f8, floor_real},
    {"floor", {nu, none, none}, nu, rounded<rounding::floor>},
    {"ceil", {f8, none, none}, f8, ceiling_real},
    {"ceil", {nu, none, none}, nu, rounded<rounding::ceiling>},
    {"ceiling", {f8, none, none}, f8, ceiling_real},
    {"ceiling", {nu, none, none}, nu, rounded<rounding::ceiling>},
    {"sign", {f8, none, none}, f8, sign_of_real},
    {"sign", {nu, none, none}, nu, numeric<sign_of_numeric>},
    {"power", {f8, f8, none}, f8, power},
    {"power", {nu, nu, none}, nu, numerics<power_of_numeric>},
};

} // namespace

std::span<const function> number_operators() noexcept {
  return operators;
}
std::span<const function> number_functions() noexcept {
  return functions;
}

} // namespace busbar::sql
