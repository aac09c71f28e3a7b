#include "sql/value.hpp"

#include "sql/datetime.hpp"
#include "sql/decimal.hpp"
#include "sql/text.hpp"

#include <charconv>
#include <cmath>
#include <limits>

namespace busbar::sql {
namespace {

template <class Integer>
reading read_integer(std::string_view text, value& out) noexcept {
  text = trim_spaces(text);
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-'))
      return reading::malformed;
  }
  Integer x = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), x);
  if (parsed.ptr != text.data() + text.size() || parsed.ec == std::errc::invalid_argument)
    return reading::malformed;
  if (parsed.ec != std::errc{})
    return reading::out_of_range;
  out.integer = x;
  return reading::ok;
}

template <class Real>
reading read_real(std::string_view text, value& out) noexcept {
  text = trim_spaces(text);
  decimal shape;
  const auto shaped = read_decimal(text, shape);
  if (shaped == reading::malformed)
    return shaped;
  if (shaped == reading::ok && shape.kind != decimal::kind_type::finite) {
    out.real = shape.kind == decimal::kind_type::nan ? std::numeric_limits<double>::quiet_NaN()
               : shape.kind == decimal::kind_type::infinity
                   ? std::numeric_limits<double>::infinity()
                   : -std::numeric_limits<double>::infinity();
    return reading::ok;
  }
  if (text.starts_with('+'))
    text.remove_prefix(1);
  Real x = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), x);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size())
    return reading::out_of_range; // it looks like a number, so this is the only complaint left
  out.real = static_cast<double>(x);
  return reading::ok;
}

/// A row's float in PostgreSQL's output format needs no second look.
template <class Real>
reading read_real_quickly(std::string_view text, value& out) noexcept {
  Real x = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), x);
  const bool plain = !text.empty() && (is_digit(text.back())) && parsed.ec == std::errc{} &&
                     parsed.ptr == text.data() + text.size();
  if (!plain)
    return read_real<Real>(text, out);
  out.real = static_cast<double>(x);
  return reading::ok;
}

reading read_boolean(std::string_view text, value& out) noexcept {
  text = trim_spaces(text);
  const auto is_prefix_of = [text](std::string_view word) {
    return !text.empty() && text.size() <= word.size() &&
           is_word(text, word.substr(0, text.size()));
  };
  const bool yes =
      is_prefix_of("true") || is_prefix_of("yes") || is_word(text, "on") || text == "1";
  const bool no = is_prefix_of("false") || is_prefix_of("no") || is_word(text, "off") ||
                  is_word(text, "of") || text == "0";
  out.integer = yes ? 1 : 0;
  return yes || no ? reading::ok : reading::malformed;
}

int hex_digit(char c) noexcept {
  if (is_digit(c))
    return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

reading read_uuid(std::string_view text, value& out) noexcept {
  if (text.size() >= 2 && text.front() == '{') {
    if (text.back() != '}')
      return reading::malformed;
    text = text.substr(1, text.size() - 2);
  }
  std::uint64_t halves[2] = {0, 0};
  for (int byte = 0; byte < 16; ++byte) {
    if (text.size() < 2)
      return reading::malformed;
    const int high = hex_digit(text[0]);
    const int low = hex_digit(text[1]);
    if (high < 0 || low < 0)
      return reading::malformed;
    auto& half = halves[byte / 8];
    half = half << 8 | static_cast<std::uint64_t>(high * 16 + low);
    text.remove_prefix(2);
    // A hyphen may follow each group of four digits, but not the last.
    if (byte % 2 == 1 && byte < 15 && text.starts_with('-'))
      text.remove_prefix(1);
  }
  out.high = halves[0];
  out.low = halves[1];
  return text.empty() ? reading::ok : reading::malformed;
}

reading read_numeric(std::string_view text, value& out) noexcept {
  decimal d;
  const auto read = read_decimal(text, d);
  out.text = text;
  return read;
}

decimal decimal_of(const value& v, char (&buffer)[24]) noexcept {
  decimal d;
  if (!v.text.empty()) {
    (void)read_decimal(v.text, d); // read_numeric() or to_string() vouches for it
    return d;
  }
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, v.integer).ptr;
  d.negative = v.integer < 0;
  const char* digits = buffer + (d.negative ? 1 : 0);
  d.whole = {digits, static_cast<std::size_t>(end - digits)};
  return d;
}

int compare_integers(std::int64_t a, std::int64_t b) noexcept {
  return a < b ? -1 : a > b;
}

int compare_reals(double a, double b) noexcept {
  if (std::isnan(a) || std::isnan(b))
    return static_cast<int>(std::isnan(a)) - static_cast<int>(std::isnan(b));
  return a < b ? -1 : a > b;
}

int compare_numerics(const value& a, const value& b) noexcept {
  char first[24];
  char second[24];
  return compare(decimal_of(a, first), decimal_of(b, second));
}

template <class Real>
std::string write_real(Real x) {
  if (std::isnan(x))
    return "NaN";
  if (std::isinf(x))
    return x < 0 ? "-Infinity" : "Infinity";
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, x).ptr;
  return {buffer, end};
}

std::string write_uuid(const value& v) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (int nibble = 0; nibble < 32; ++nibble) {
    if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20)
      out += '-';
    const auto half = nibble < 16 ? v.high : v.low;
    out += digits[half >> (60 - 4 * (nibble % 16)) & 15];
  }
  return out;
}

template <class Real>
bool numeric_to_real(value& v) noexcept {
  if (v.text.empty()) {
    v.real = static_cast<double>(static_cast<Real>(v.integer));
    return true;
  }
  return read_real<Real>(v.text, v) == reading::ok;
}

template <class Integer>
bool fits(std::int64_t x) noexcept {
  return x >= std::numeric_limits<Integer>::min() && x <= std::numeric_limits<Integer>::max();
}

} // namespace

reading read_value(type t, std::string_view text, value& out) noexcept {
  switch (t) {
  case type::boolean:
    if (text.size() == 1 && (text[0] == 't' || text[0] == 'f')) {
      out.integer = text[0] == 't';
      return reading::ok;
    }
    return read_boolean(text, out);
  case type::int2:
    return read_integer<std::int16_t>(text, out);
  case type::int4:
    return read_integer<std::int32_t>(text, out);
  case type::int8:
    return read_integer<std::int64_t>(text, out);
  case type::numeric:
    return read_numeric(text, out);
  case type::float4:
    return read_real_quickly<float>(text, out);
  case type::float8:
    return read_real_quickly<double>(text, out);
  case type::text:
  case type::varchar:
  case type::bpchar:
    out.text = text;
    return reading::ok;
  case type::uuid:
    return read_uuid(text, out);
  case type::date:
    return read_date(text, out.integer);
  case type::timestamp:
    return read_timestamp(text, false, out.integer);
  case type::timestamptz:
    return read_timestamp(text, true, out.integer);
  case type::unknown:
  case type::opaque:
    break;
  }
  return reading::unsupported;
}

std::string write_value(type t, const value& v) {
  switch (t) {
  case type::boolean:
    return v.integer != 0 ? "t" : "f";
  case type::int2:
  case type::int4:
  case type::int8:
    return std::to_string(v.integer);
  case type::numeric: {
    char buffer[24];
    return to_string(decimal_of(v, buffer));
  }
  case type::float4:
    return write_real(static_cast<float>(v.real));
  case type::float8:
    return write_real(v.real);
  case type::uuid:
    return write_uuid(v);
  case type::date:
    return write_date(v.integer);
  case type::timestamp:
    return write_timestamp(v.integer, false);
  case type::timestamptz:
    return write_timestamp(v.integer, true);
  case type::text:
  case type::varchar:
  case type::bpchar:
  case type::unknown:
  case type::opaque:
    break;
  }
  return std::string{v.text};
}

int compare(kernel how, const value& a, const value& b) noexcept {
  switch (how) {
  case kernel::integer:
    return compare_integers(a.integer, b.integer);
  case kernel::real:
    return compare_reals(a.real, b.real);
  case kernel::numeric:
    return compare_numerics(a, b);
  case kernel::text:
    return a.text.compare(b.text);
  case kernel::blank_padded:
    return trim_blanks(a.text).compare(trim_blanks(b.text));
  case kernel::uuid:
    if (a.high != b.high)
      return a.high < b.high ? -1 : 1;
    return a.low < b.low ? -1 : a.low > b.low;
  }
  return 0;
}

bool convert(conversion how, value& v) noexcept {
  switch (how) {
  case conversion::relabel:
    return true;
  case conversion::trim_blanks:
    v.text = trim_blanks(v.text);
    return true;
  case conversion::integer_to_boolean:
    v.integer = v.integer != 0;
    return true;
  case conversion::integer_to_numeric:
    v.text = {};
    return true;
  case conversion::integer_to_float4:
    v.real = static_cast<double>(static_cast<float>(v.integer));
    return true;
  case conversion::integer_to_float8:
    v.real = static_cast<double>(v.integer);
    return true;
  case conversion::numeric_to_float4:
    return numeric_to_real<float>(v);
  case conversion::numeric_to_float8:
    return numeric_to_real<double>(v);
  case conversion::to_int2:
    return fits<std::int16_t>(v.integer);
  case conversion::to_int4:
    return fits<std::int32_t>(v.integer);
  case conversion::date_to_timestamp:
    return date_to_timestamp(v.integer);
  case conversion::date_to_instant:
    v.integer = date_to_instant(v.integer);
    return true;
  case conversion::timestamp_to_date:
    v.integer = timestamp_to_date(v.integer);
    return true;
  }
  return false;
}

} // namespace busbar::sql
