#include "sql/numeric.hpp"

#include "sql/decimal.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>

namespace busbar::sql {
namespace {

constexpr std::int64_t top_max = 131'072; ///< Digits before the point, at most.
constexpr std::int64_t scale_max = 16'383;
constexpr std::int64_t division_digits_min = 16;
constexpr std::int64_t division_scale_max = 1'000;
constexpr std::int64_t work_max = 100'000'000; ///< Steps of one multiplication or division.

using kind_type = decimal::kind_type;

/// A numeric, digit by digit: digits[i] counts 10^(top - i). Without zeros in front and behind; no
/// digits at all are zero.
struct number {
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

void trim(number& n) {
  while (!n.digits.empty() && n.digits.front() == 0) {
    n.digits = n.digits.subspan(1);
    --n.top;
  }
  while (!n.digits.empty() && n.digits.back() == 0)
    n.digits = n.digits.first(n.digits.size() - 1);
  if (n.digits.empty()) {
    n.top = 0;
    n.negative = false;
  }
}

/// Room for the powers `top` to `low`, all zero.
bool reserve(number& n, std::int64_t top, std::int64_t low, workspace& space) {
  const auto size = static_cast<std::size_t>(std::max<std::int64_t>(0, top - low + 1));
  auto* memory = space.make<std::uint8_t>(size);
  if (memory == nullptr)
    return false;
  std::fill_n(memory, size, std::uint8_t{0});
  n.digits = {memory, size};
  n.top = top;
  return true;
}

bool load(const value& v, number& out, workspace& space) {
  decimal_buffer buffer;
  const auto d = decimal_of(v, buffer);
  out.kind = d.kind;
  if (d.kind != kind_type::finite)
    return true;
  out.negative = d.negative;
  out.scale = std::max<std::int64_t>(0, static_cast<std::int64_t>(d.fraction.size()) - d.exponent);
  auto* memory = space.make<std::uint8_t>(d.whole.size() + d.fraction.size());
  if (memory == nullptr)
    return false;
  std::size_t size = 0;
  for (const auto part : {d.whole, d.fraction})
    for (const char c : part)
      memory[size++] = static_cast<std::uint8_t>(c - '0');
  out.digits = {memory, size};
  out.top = static_cast<std::int64_t>(d.whole.size()) + d.exponent - 1;
  trim(out);
  return true;
}

outcome store_special(kind_type kind, value& out) {
  out.text = kind == kind_type::nan        ? "NaN"
             : kind == kind_type::infinity ? "Infinity"
                                           : "-Infinity";
  return outcome::ok;
}

outcome store(const number& n, value& out, workspace& space) {
  if (!n.is_finite())
    return store_special(n.kind, out);
  if (n.top >= top_max || n.scale > scale_max)
    return outcome::failed;
  const auto whole = std::max<std::int64_t>(n.digits.empty() ? 0 : n.top, 0);
  auto* text = space.make<char>(static_cast<std::size_t>(whole + n.scale) + 3);
  if (text == nullptr)
    return outcome::failed;
  std::size_t size = 0;
  if (n.negative && !n.digits.empty())
    text[size++] = '-';
  for (auto power = whole; power >= -n.scale; --power) {
    if (power == -1)
      text[size++] = '.';
    text[size++] = static_cast<char>('0' + n.at(power));
  }
  out.text = {text, size};
  return outcome::ok;
}

int compare_magnitudes(const number& a, const number& b) {
  for (auto power = std::max(a.top, b.top), low = std::min(a.low(), b.low()); power >= low; --power)
    if (a.at(power) != b.at(power))
      return a.at(power) < b.at(power) ? -1 : 1;
  return 0;
}

/// |a| + |b|, or |a| - |b| if `minus`; then |a| >= |b|.
bool combine(const number& a, const number& b, bool minus, number& out, workspace& space) {
  const auto low = std::min(a.low(), b.low());
  if (!reserve(out, std::max(a.top, b.top) + 1, low, space))
    return false;
  int carry = 0;
  for (auto power = low; power <= out.top; ++power) {
    auto digit = a.at(power) + (minus ? -b.at(power) : b.at(power)) + carry;
    carry = digit > 9 ? 1 : digit < 0 ? -1 : 0;
    digit -= carry * 10;
    out.digits[static_cast<std::size_t>(out.top - power)] = static_cast<std::uint8_t>(digit);
  }
  trim(out);
  return true;
}

bool add(const number& a, const number& b, number& out, workspace& space) {
  if (a.digits.empty() || b.digits.empty()) {
    out = a.digits.empty() ? b : a;
  } else if (a.negative == b.negative) {
    if (!combine(a, b, false, out, space))
      return false;
    out.negative = a.negative;
  } else {
    const bool a_wins = compare_magnitudes(a, b) >= 0;
    if (!combine(a_wins ? a : b, a_wins ? b : a, true, out, space))
      return false;
    out.negative = !out.digits.empty() && (a_wins ? a.negative : b.negative);
  }
  out.scale = std::max(a.scale, b.scale);
  return true;
}

bool multiply(const number& a, const number& b, number& out, workspace& space) {
  const auto work = a.digits.size() * b.digits.size();
  if (work > static_cast<std::size_t>(work_max))
    return false;
  out.scale = a.scale + b.scale;
  if (work == 0)
    return true;
  if (!reserve(out, a.top + b.top + 1, a.low() + b.low(), space))
    return false;
  for (std::size_t i = a.digits.size(); i-- > 0;) {
    int carry = 0;
    for (std::size_t j = b.digits.size(); j-- > 0;) {
      auto& cell = out.digits[i + j + 1];
      const auto sum = cell + a.digits[i] * b.digits[j] + carry;
      cell = static_cast<std::uint8_t>(sum % 10);
      carry = sum / 10;
    }
    out.digits[i] = static_cast<std::uint8_t>(out.digits[i] + carry);
  }
  out.negative = a.negative != b.negative;
  trim(out);
  return true;
}

/// Cuts to `scale` digits behind the point.
bool round(const number& n, std::int64_t scale, rounding how, number& out, workspace& space) {
  out = n;
  out.scale = scale;
  if (n.digits.empty() || n.low() >= -scale)
    return true;
  const bool up = how == rounding::half_away ? n.at(-scale - 1) >= 5
                  : how == rounding::floor   ? n.negative
                  : how == rounding::ceiling ? !n.negative
                                             : false;
  const auto top = std::max(n.top, -scale) + 1;
  if (!reserve(out, top, -scale, space))
    return false;
  int carry = up ? 1 : 0;
  for (auto power = -scale; power <= top; ++power) {
    const auto digit = n.at(power) + carry;
    carry = digit / 10;
    out.digits[static_cast<std::size_t>(top - power)] = static_cast<std::uint8_t>(digit % 10);
  }
  trim(out);
  return true;
}

/// How PostgreSQL sees a numeric's beginning: it counts in digits of 10,000.
struct leading {
  std::int64_t weight = 0;
  int digit = 0;
};
leading leading_of(const number& n) {
  leading out;
  if (n.digits.empty())
    return out;
  out.weight = n.top >= 0 ? n.top / 4 : (n.top - 3) / 4;
  for (auto power = out.weight * 4 + 3; power >= out.weight * 4; --power)
    out.digit = out.digit * 10 + n.at(power);
  return out;
}

std::int64_t division_scale(const number& a, const number& b) {
  const auto x = leading_of(a);
  const auto y = leading_of(b);
  const auto weight = x.weight - y.weight - (x.digit <= y.digit ? 1 : 0);
  return std::min(std::max({division_digits_min - weight * 4, a.scale, b.scale, std::int64_t{0}}),
                  division_scale_max);
}

/// a / b, cut off behind `scale` digits; b is not zero.
bool divide(const number& a, const number& b, std::int64_t scale, number& out, workspace& space) {
  out.scale = scale;
  if (a.digits.empty())
    return true;
  const auto top = a.top - b.top;
  const auto steps = top + scale + 1;
  if (steps <= 0)
    return true;
  if (steps * static_cast<std::int64_t>(b.digits.size()) > work_max / 10)
    return false;
  // The rest is kept as long as b, with room for one digit more.
  const auto width = b.digits.size();
  auto* rest = space.make<int>(width + 1);
  if (rest == nullptr || !reserve(out, top, -scale, space))
    return false;
  std::fill_n(rest, width + 1, 0);
  for (std::size_t i = 0; i + 1 < width; ++i)
    rest[i + 2] = a.at(a.top - static_cast<std::int64_t>(i));
  const auto is_less = [&] {
    if (rest[0] != 0)
      return false;
    for (std::size_t i = 0; i < width; ++i)
      if (rest[i + 1] != b.digits[i])
        return rest[i + 1] < b.digits[i];
    return false;
  };
  for (auto power = top; power >= -scale; --power) {
    std::copy(rest + 1, rest + width + 1, rest);
    rest[width] = a.at(power + b.low());
    int digit = 0;
    while (!is_less()) {
      int borrow = 0;
      for (std::size_t i = width; i-- > 0;) {
        rest[i + 1] -= b.digits[i] + borrow;
        borrow = rest[i + 1] < 0 ? 1 : 0;
        rest[i + 1] += borrow * 10;
      }
      rest[0] -= borrow;
      ++digit;
    }
    out.digits[static_cast<std::size_t>(top - power)] = static_cast<std::uint8_t>(digit);
  }
  out.negative = a.negative != b.negative;
  trim(out);
  return true;
}

/// Both operands; `special` is set if one is not finite.
struct operands {
  number a;
  number b;
  bool loaded = false;
  bool special = false;

  operands(const value& x, const value& y, workspace& space) {
    loaded = load(x, a, space) && load(y, b, space);
    special = !a.is_finite() || !b.is_finite();
  }
  bool is_nan() const { return a.kind == kind_type::nan || b.kind == kind_type::nan; }
};

kind_type infinity_of(int sign) {
  return sign < 0 ? kind_type::negative_infinity : kind_type::infinity;
}

outcome sum(operands& o, value& out, workspace& space) {
  if (o.special) {
    if (o.is_nan() || (!o.a.is_finite() && !o.b.is_finite() && o.a.kind != o.b.kind))
      return store_special(kind_type::nan, out);
    return store_special(o.a.is_finite() ? o.b.kind : o.a.kind, out);
  }
  number result;
  return add(o.a, o.b, result, space) ? store(result, out, space) : outcome::failed;
}

void flip(number& n) {
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
  number product;
  if (!multiply(o.a, o.b, product, space))
    return outcome::failed;
  number rounded;
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
  number quotient;
  number rounded;
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
    number same = o.a;
    return store(same, out, space);
  }
  if (o.b.is_zero())
    return outcome::failed;
  number quotient;
  number product;
  number rest;
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
  if (!o.loaded || o.special || o.b.low() < 0 || !numeric_to_integer(exponent, times, space) ||
      times < 0 || times > 64)
    return outcome::failed;
  const auto scale = std::max(division_digits_min, o.a.scale);
  if (times > 2 && o.a.scale * times > scale)
    return outcome::failed;
  std::uint8_t one_digit = 1;
  number product;
  product.digits = {&one_digit, 1};
  for (std::int64_t i = 0; i < times; ++i) {
    number next;
    if (!multiply(product, o.a, next, space))
      return outcome::failed;
    product = next;
  }
  number rounded;
  return round(product, scale, rounding::half_away, rounded, space) ? store(rounded, out, space)
                                                                    : outcome::failed;
}

outcome negate_numeric(const value& a, value& out, workspace& space) noexcept {
  number n;
  if (!load(a, n, space))
    return outcome::failed;
  flip(n);
  return store(n, out, space);
}

outcome absolute_numeric(const value& a, value& out, workspace& space) noexcept {
  number n;
  if (!load(a, n, space))
    return outcome::failed;
  if (n.sign() < 0)
    flip(n);
  return store(n, out, space);
}

outcome sign_of_numeric(const value& a, value& out, workspace& space) noexcept {
  number n;
  if (!load(a, n, space))
    return outcome::failed;
  if (n.kind == kind_type::nan)
    return store_special(n.kind, out);
  out.text = n.sign() < 0 ? "-1" : n.sign() > 0 ? "1" : "0";
  return outcome::ok;
}

outcome round_numeric(const value& a, std::int64_t scale, rounding how, value& out,
                      workspace& space) noexcept {
  number n;
  if (!load(a, n, space))
    return outcome::failed;
  if (!n.is_finite())
    return store_special(n.kind, out);
  scale = std::clamp<std::int64_t>(scale, -2000, 2000);
  number rounded;
  if (!round(n, scale, how, rounded, space))
    return outcome::failed;
  rounded.scale = std::max<std::int64_t>(0, scale);
  return store(rounded, out, space);
}

outcome fit_numeric(const value& a, std::int32_t modifier, value& out, workspace& space) noexcept {
  const auto packed = modifier - 4;
  const std::int64_t precision = packed >> 16 & 0xffff;
  const std::int64_t scale = ((packed & 0x7ff) ^ 1024) - 1024;
  number n;
  if (!load(a, n, space))
    return outcome::failed;
  if (!n.is_finite())
    return n.kind == kind_type::nan ? store_special(n.kind, out) : outcome::failed;
  number rounded;
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
  number n;
  number rounded;
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
  number n;
  return load(text, n, space) ? store(n, out, space) : outcome::failed;
}

} // namespace busbar::sql
