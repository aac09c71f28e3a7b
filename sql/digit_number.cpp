#include "sql/digit_number.hpp"

#include <algorithm>

namespace busbar::sql {
namespace {

constexpr std::int64_t division_scale_max = 1'000;
constexpr std::int64_t work_max = 100'000'000; ///< Steps of one multiplication or division.

void trim(digit_number& n) {
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
bool reserve(digit_number& n, std::int64_t top, std::int64_t low, workspace& space) {
  const auto size = static_cast<std::size_t>(std::max<std::int64_t>(0, top - low + 1));
  auto* memory = space.make<std::uint8_t>(size);
  if (memory == nullptr)
    return false;
  std::fill_n(memory, size, std::uint8_t{0});
  n.digits = {memory, size};
  n.top = top;
  return true;
}

int compare_magnitudes(const digit_number& a, const digit_number& b) {
  for (auto power = std::max(a.top, b.top), low = std::min(a.low(), b.low()); power >= low; --power)
    if (a.at(power) != b.at(power))
      return a.at(power) < b.at(power) ? -1 : 1;
  return 0;
}

/// |a| + |b|, or |a| - |b| if `minus`; then |a| >= |b|.
bool combine(const digit_number& a, const digit_number& b, bool minus, digit_number& out,
             workspace& space) {
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

/// How PostgreSQL sees a numeric's beginning: it counts in digits of 10,000.
struct leading {
  std::int64_t weight = 0;
  int digit = 0;
};
leading leading_of(const digit_number& n) {
  leading out;
  if (n.digits.empty())
    return out;
  out.weight = n.top >= 0 ? n.top / 4 : (n.top - 3) / 4;
  for (auto power = out.weight * 4 + 3; power >= out.weight * 4; --power)
    out.digit = out.digit * 10 + n.at(power);
  return out;
}

} // namespace

bool load(const value& v, digit_number& out, workspace& space) {
  decimal_buffer buffer;
  const auto d = decimal_of(v, buffer);
  out.kind = d.kind;
  if (d.kind != decimal::kind_type::finite)
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

outcome store(const digit_number& n, value& out, workspace& space) {
  if (!n.is_finite()) {
    out.text = n.kind == decimal::kind_type::nan        ? "NaN"
               : n.kind == decimal::kind_type::infinity ? "Infinity"
                                                        : "-Infinity";
    return outcome::ok;
  }
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

bool add(const digit_number& a, const digit_number& b, digit_number& out, workspace& space) {
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

bool multiply(const digit_number& a, const digit_number& b, digit_number& out, workspace& space) {
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

bool divide(const digit_number& a, const digit_number& b, std::int64_t scale, digit_number& out,
            workspace& space) {
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

std::int64_t division_scale(const digit_number& a, const digit_number& b) {
  const auto x = leading_of(a);
  const auto y = leading_of(b);
  const auto weight = x.weight - y.weight - (x.digit <= y.digit ? 1 : 0);
  return std::min(std::max({division_digits_min - weight * 4, a.scale, b.scale, std::int64_t{0}}),
                  division_scale_max);
}

bool round(const digit_number& n, std::int64_t scale, rounding how, digit_number& out,
           workspace& space) {
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

} // namespace busbar::sql
