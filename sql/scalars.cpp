#include "sql/scalars.hpp"

#include "sql/decimal.hpp"
#include "sql/text.hpp"

#include <charconv>
#include <cmath>
#include <limits>

namespace busbar::sql {
namespace {

template <class Integer>
reading read_integer_as(std::string_view text, std::int64_t& out) noexcept {
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
  out = x;
  return reading::ok;
}

template <class Real>
reading read_real(std::string_view text, double& out) noexcept {
  text = trim_spaces(text);
  decimal shape;
  const auto shaped = read_decimal(text, shape);
  if (shaped == reading::malformed)
    return shaped;
  if (shaped == reading::ok && shape.kind != decimal::kind_type::finite) {
    out = shape.kind == decimal::kind_type::nan        ? std::numeric_limits<double>::quiet_NaN()
          : shape.kind == decimal::kind_type::infinity ? std::numeric_limits<double>::infinity()
                                                       : -std::numeric_limits<double>::infinity();
    return reading::ok;
  }
  if (text.starts_with('+'))
    text.remove_prefix(1);
  Real x = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), x);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size())
    return reading::out_of_range; // it looks like a number, so this is the only complaint left
  out = static_cast<double>(x);
  return reading::ok;
}

/// A row's float in PostgreSQL's output format needs no second look.
template <class Real>
reading read_real_quickly(std::string_view text, double& out) noexcept {
  Real x = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), x);
  const bool plain = !text.empty() && is_digit(text.back()) && parsed.ec == std::errc{} &&
                     parsed.ptr == text.data() + text.size();
  if (!plain)
    return read_real<Real>(text, out);
  out = static_cast<double>(x);
  return reading::ok;
}

/// The shortest digits that read back as `x`; PostgreSQL writes them with an exponent from
/// 10^exponent_max on and below 10^-4.
template <class Real>
void append_real(std::string& out, Real x, int exponent_max) {
  if (std::isnan(x)) {
    out += "NaN";
    return;
  }
  if (std::isinf(x)) {
    out += x < 0 ? "-Infinity" : "Infinity";
    return;
  }
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, x, std::chars_format::scientific).ptr;
  const std::string_view text{buffer, static_cast<std::size_t>(end - buffer)};
  const auto mark = text.find('e');
  int exponent = 0;
  const auto* first = text.data() + mark + 1;
  std::from_chars(*first == '+' ? first + 1 : first, end, exponent);
  if (exponent < -4 || exponent >= exponent_max) {
    out += text;
    return;
  }
  auto mantissa = text.substr(0, mark);
  if (mantissa.starts_with('-')) {
    out += '-';
    mantissa.remove_prefix(1);
  }
  std::string digits{mantissa.substr(0, 1)};
  if (mantissa.size() > 2)
    digits += mantissa.substr(2);
  if (exponent < 0) {
    out += "0.";
    out.append(static_cast<std::size_t>(-exponent - 1), '0');
    out += digits;
    return;
  }
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) {
    out += digits;
    out.append(whole - digits.size(), '0');
  } else {
    out.append(digits, 0, whole);
    out += '.';
    out.append(digits, whole);
  }
}

int hex_digit(char c) noexcept {
  if (is_digit(c))
    return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

constexpr char hex_digits[] = "0123456789abcdef";

} // namespace

reading read_integer(type t, std::string_view text, std::int64_t& out) noexcept {
  return t == type::int2   ? read_integer_as<std::int16_t>(text, out)
         : t == type::int4 ? read_integer_as<std::int32_t>(text, out)
                           : read_integer_as<std::int64_t>(text, out);
}

reading read_float4(std::string_view text, double& out) noexcept {
  return read_real_quickly<float>(text, out);
}
reading read_float8(std::string_view text, double& out) noexcept {
  return read_real_quickly<double>(text, out);
}
void append_float4(std::string& out, double x) {
  append_real(out, static_cast<float>(x), 6);
}
void append_float8(std::string& out, double x) {
  append_real(out, x, 15);
}

reading read_boolean(std::string_view text, std::int64_t& out) noexcept {
  if (text.size() == 1 && (text[0] == 't' || text[0] == 'f')) {
    out = text[0] == 't';
    return reading::ok;
  }
  text = trim_spaces(text);
  const auto is_prefix_of = [text](std::string_view word) {
    return !text.empty() && text.size() <= word.size() &&
           is_word(text, word.substr(0, text.size()));
  };
  const bool yes =
      is_prefix_of("true") || is_prefix_of("yes") || is_word(text, "on") || text == "1";
  const bool no = is_prefix_of("false") || is_prefix_of("no") || is_word(text, "off") ||
                  is_word(text, "of") || text == "0";
  out = yes ? 1 : 0;
  return yes || no ? reading::ok : reading::malformed;
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

void append_uuid(std::string& out, const value& v) {
  for (int nibble = 0; nibble < 32; ++nibble) {
    if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20)
      out += '-';
    const auto half = nibble < 16 ? v.high : v.low;
    out += hex_digits[half >> (60 - 4 * (nibble % 16)) & 15];
  }
}

namespace {

/// \xDEADBEEF, white space allowed between bytes.
reading read_hex(std::string_view text, char* out, std::size_t& size) noexcept {
  while (!text.empty()) {
    const char c = text.front();
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
      text.remove_prefix(1);
      continue;
    }
    if (text.size() < 2 || hex_digit(c) < 0 || hex_digit(text[1]) < 0)
      return reading::malformed;
    out[size++] = to_lower(c);
    out[size++] = to_lower(text[1]);
    text.remove_prefix(2);
  }
  return reading::ok;
}

/// Bytes as themselves, \\ for a backslash, \ooo for any byte.
reading read_escapes(std::string_view text, char* out, std::size_t& size) noexcept {
  while (!text.empty()) {
    auto byte = static_cast<unsigned char>(text.front());
    text.remove_prefix(1);
    if (byte == '\\') {
      const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
      if (text.starts_with('\\')) {
        text.remove_prefix(1);
      } else if (text.size() >= 3 && text[0] >= '0' && text[0] <= '3' && is_octal(text[1]) &&
                 is_octal(text[2])) {
        byte = static_cast<unsigned char>((text[0] - '0') * 64 + (text[1] - '0') * 8 +
                                          (text[2] - '0'));
        text.remove_prefix(3);
      } else {
        return reading::malformed;
      }
    }
    out[size++] = hex_digits[byte >> 4];
    out[size++] = hex_digits[byte & 15];
  }
  return reading::ok;
}

bool is_plain_hex(std::string_view text) noexcept {
  if (text.size() % 2 != 0)
    return false;
  for (const char c : text)
    if (!is_digit(c) && !(c >= 'a' && c <= 'f'))
      return false;
  return true;
}

} // namespace

reading read_bytea(std::string_view text, std::string_view& out, workspace& space) noexcept {
  const bool hex = text.starts_with("\\x");
  if (hex && is_plain_hex(text.substr(2))) {
    out = text;
    return reading::ok;
  }
  char* copy = space.make<char>(2 + 2 * text.size());
  if (copy == nullptr)
    return reading::unsupported;
  copy[0] = '\\';
  copy[1] = 'x';
  std::size_t size = 2;
  const auto read = hex ? read_hex(text.substr(2), copy, size) : read_escapes(text, copy, size);
  out = {copy, size};
  return read;
}

} // namespace busbar::sql
