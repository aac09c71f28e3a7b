#include "sql/decimal.hpp"

#include "sql/text.hpp"

#include <charconv>

namespace busbar::sql {
namespace {

constexpr std::int64_t whole_digits_max = 131072; ///< PostgreSQL's limits for any numeric.
constexpr std::int64_t scale_max = 16383;

/// The digits of a finite decimal from the first that is not zero, as if they had no point.
class significant_digits {
public:
  explicit significant_digits(const decimal& d) : d_{d} {
    while (next_ < size() && at(next_) == '0')
      ++next_;
    magnitude_ =
        static_cast<std::int64_t>(d.whole.size()) + d.exponent - static_cast<std::int64_t>(next_);
  }
  bool is_zero() const { return next_ == size(); }
  /// Where the first digit stands: 1 for units, 0 for tenths.
  std::int64_t magnitude() const { return magnitude_; }
  bool at_end() const { return next_ == size(); }
  /// Zeros for ever after the end.
  char take() { return next_ < size() ? at(next_++) : '0'; }

private:
  std::size_t size() const { return d_.whole.size() + d_.fraction.size(); }
  char at(std::size_t i) const {
    return i < d_.whole.size() ? d_.whole[i] : d_.fraction[i - d_.whole.size()];
  }

  const decimal& d_;
  std::size_t next_ = 0;
  std::int64_t magnitude_ = 0;
};

int compare_magnitudes(significant_digits a, significant_digits b) noexcept {
  if (a.magnitude() != b.magnitude())
    return a.magnitude() < b.magnitude() ? -1 : 1;
  while (!a.at_end() || !b.at_end()) {
    const char x = a.take();
    const char y = b.take();
    if (x != y)
      return x < y ? -1 : 1;
  }
  return 0;
}

/// NaN and the infinities, in every spelling and case.
reading read_special(std::string_view text, decimal& out) noexcept {
  if (is_word(text, "nan")) {
    out.kind = decimal::kind_type::nan;
    return reading::ok;
  }
  bool negative = false;
  if (!text.empty() && (text.front() == '+' || text.front() == '-')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  if (!is_word(text, "inf") && !is_word(text, "infinity"))
    return reading::malformed;
  out.kind = negative ? decimal::kind_type::negative_infinity : decimal::kind_type::infinity;
  return reading::ok;
}

} // namespace

reading read_decimal(std::string_view text, decimal& out) noexcept {
  out = {};
  text = trim_spaces(text);
  const auto all = text;
  if (!text.empty() && (text.front() == '+' || text.front() == '-')) {
    out.negative = text.front() == '-';
    text.remove_prefix(1);
  }
  out.whole = take_digits(text);
  if (!text.empty() && text.front() == '.') {
    text.remove_prefix(1);
    out.fraction = take_digits(text);
  }
  if (out.whole.empty() && out.fraction.empty())
    return read_special(all, out);
  if (!text.empty() && (text.front() == 'e' || text.front() == 'E')) {
    text.remove_prefix(1);
    const bool below = !text.empty() && text.front() == '-';
    if (!text.empty() && (text.front() == '+' || text.front() == '-'))
      text.remove_prefix(1);
    const auto digits = take_digits(text);
    if (digits.empty())
      return reading::malformed;
    std::int32_t exponent = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    if (parsed.ec != std::errc{} || exponent > 1'000'000'000)
      return reading::out_of_range;
    out.exponent = below ? -exponent : exponent;
  }
  if (!text.empty())
    return reading::malformed;

  const significant_digits digits{out};
  if (!digits.is_zero() && digits.magnitude() > whole_digits_max)
    return reading::out_of_range;
  if (static_cast<std::int64_t>(out.fraction.size()) - out.exponent > scale_max)
    return reading::out_of_range;
  return reading::ok;
}

decimal decimal_of(const value& v, decimal_buffer& buffer) noexcept {
  decimal d;
  if (!v.text.empty()) {
    (void)read_decimal(v.text, d); // whoever made the value vouches for it
    return d;
  }
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), v.integer).ptr;
  d.negative = v.integer < 0;
  const char* digits = buffer.data() + (d.negative ? 1 : 0);
  d.whole = {digits, static_cast<std::size_t>(end - digits)};
  return d;
}

int compare(const decimal& a, const decimal& b) noexcept {
  if (a.kind != b.kind)
    return a.kind < b.kind ? -1 : 1;
  if (a.kind != decimal::kind_type::finite)
    return 0;
  const significant_digits x{a};
  const significant_digits y{b};
  if (x.is_zero() || y.is_zero()) {
    const int left = x.is_zero() ? 0 : a.negative ? -1 : 1;
    const int right = y.is_zero() ? 0 : b.negative ? -1 : 1;
    return left - right;
  }
  if (a.negative != b.negative)
    return a.negative ? -1 : 1;
  return a.negative ? compare_magnitudes(y, x) : compare_magnitudes(x, y);
}

void append_sort_key(std::string& out, const decimal& d) {
  significant_digits digits{d};
  enum : unsigned char { least = 1, negative, zero, positive, most, nan };
  switch (d.kind) {
  case decimal::kind_type::negative_infinity:
    out += static_cast<char>(least);
    return;
  case decimal::kind_type::infinity:
    out += static_cast<char>(most);
    return;
  case decimal::kind_type::nan:
    out += static_cast<char>(nan);
    return;
  case decimal::kind_type::finite:
    break;
  }
  if (digits.is_zero()) {
    out += static_cast<char>(zero);
    return;
  }
  out += static_cast<char>(d.negative ? negative : positive);
  const auto start = out.size();
  const auto magnitude = static_cast<std::uint64_t>(digits.magnitude() + (std::int64_t{1} << 31));
  for (int shift = 32; shift >= 0; shift -= 8)
    out += static_cast<char>(magnitude >> shift & 0xff);
  while (!digits.at_end())
    out += digits.take();
  while (out.back() == '0' && out.size() > start + 5)
    out.pop_back();
  out += '\0'; // before every digit: what ends is less than what goes on
  if (d.negative)
    for (auto i = start; i < out.size(); ++i)
      out[i] = static_cast<char>(~out[i]);
}

std::string to_string(const decimal& d) {
  switch (d.kind) {
  case decimal::kind_type::nan:
    return "NaN";
  case decimal::kind_type::infinity:
    return "Infinity";
  case decimal::kind_type::negative_infinity:
    return "-Infinity";
  case decimal::kind_type::finite:
    break;
  }
  significant_digits digits{d};
  const auto scale = static_cast<std::int64_t>(d.fraction.size()) - d.exponent;
  std::string out;
  if (d.negative && !digits.is_zero())
    out += '-';
  if (digits.is_zero() || digits.magnitude() <= 0)
    out += '0';
  auto place = digits.is_zero() ? 0 : digits.magnitude();
  for (; place > 0; --place)
    out += digits.take();
  if (scale > 0) {
    out += '.';
    for (std::int64_t behind = 0; behind < scale; ++behind, ++place)
      out += place < 0 ? '0' : digits.take();
  }
  return out;
}

} // namespace busbar::sql
