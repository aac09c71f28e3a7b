#include "sql/atoms.hpp"

#include "sql/array.hpp"
#include "sql/decimal.hpp"
#include "sql/json.hpp"
#include "sql/text.hpp"
#include "sql/value.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace busbar::sql {
namespace {

__extension__ using wide = __int128;

void append_bytes(std::string& out, std::uint64_t bits) {
  for (int shift = 56; shift >= 0; shift -= 8)
    out += static_cast<char>(bits >> shift & 0xff);
}

void append_integer(std::string& out, std::int64_t x) {
  append_bytes(out, static_cast<std::uint64_t>(x) ^ std::uint64_t{1} << 63);
}

/// Negative floats have their bits turned, so that more is less; NaN is beyond all.
void append_real(std::string& out, double x) {
  if (std::isnan(x))
    return append_bytes(out, ~std::uint64_t{0});
  const auto bits = std::bit_cast<std::uint64_t>(x == 0 ? 0.0 : x);
  append_bytes(out, bits >> 63 != 0 ? ~bits : bits | std::uint64_t{1} << 63);
}

void append_interval(std::string& out, const value& v) {
  constexpr std::int64_t day = std::int64_t{86'400} * 1'000'000;
  const wide length = (wide{v.span.months} * 30 + v.span.days) * day + v.integer;
  append_integer(out, static_cast<std::int64_t>(length >> 64));
  append_bytes(out, static_cast<std::uint64_t>(length));
}

void append_value_key(std::string& out, type as, const value& v) {
  switch (kernel_of(as)) {
  case kernel::integer:
    return append_integer(out, v.integer);
  case kernel::real:
    return append_real(out, v.real);
  case kernel::numeric: {
    decimal_buffer buffer;
    return append_sort_key(out, decimal_of(v, buffer));
  }
  case kernel::uuid:
    append_bytes(out, v.high);
    return append_bytes(out, v.low);
  case kernel::interval:
    return append_interval(out, v);
  case kernel::blank_padded:
    out += trim_blanks(v.text);
    return;
  default:
    out += v.text;
  }
}

/// The conversion that a comparison of the one type as the other implies.
std::optional<conversion> implied(type from, type as) {
  if (from == type::date && (as == type::timestamp || as == type::timestamptz))
    return conversion::date_to_instant;
  if (from == type::bpchar && as == type::text)
    return conversion::relabel; // LIKE sees the blanks; = on text has them trimmed by type::name
  return explicit_cast(from, as);
}

bool read_key_value(const key_form& form, std::string_view text, value& v, workspace& space) {
  if (is_enum(form.from)) { // by its label
    v.text = text;
    return true;
  }
  const auto how = implied(form.from, form.as);
  return how && read_value(form.from, text, v, space) == reading::ok &&
         convert({*how, form.from, form.as}, v, space) == outcome::ok;
}

void append_form_key(const key_form& form, const value& v, std::string& out) {
  if (is_enum(form.from))
    out += v.text;
  else
    append_value_key(out, form.as, v);
}

bool is_within(const atom& a, const std::string& key) {
  if (a.lower.exists && (a.lower.inclusive ? key < a.lower.key : key <= a.lower.key))
    return false;
  return !a.upper.exists || (a.upper.inclusive ? key <= a.upper.key : key < a.upper.key);
}

} // namespace

bool append_key(const key_form& form, std::string_view text, std::string& out) {
  workspace space;
  value v;
  if (!read_key_value(form, text, v, space))
    return false;
  append_form_key(form, v, out);
  return true;
}

bool read_element_keys(const key_form& form, std::string_view text, std::vector<std::string>& out) {
  if (form.from == type::jsonb) { // a column's text is in normal form
    for (const auto key : json_keys(text))
      out.emplace_back(key);
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return true;
  }
  workspace space;
  value v;
  const auto element = is_enum(form.from) ? type::text : form.from;
  if (read_value(array_of(element), text, v, space) != reading::ok)
    return false;
  for (const auto& item : v.array->items)
    if (!item.null)
      append_form_key(form, item.v, out.emplace_back());
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return true;
}

verdict satisfies(const atom& a, const cell& value) {
  using kind_type = atom::kind_type;
  const auto answer = [](bool yes) { return yes ? verdict::yes : verdict::no; };
  if (a.kind == kind_type::is_null || a.kind == kind_type::is_not_null)
    return answer(value.has_value() == (a.kind == kind_type::is_not_null));
  if (!value)
    return verdict::no;
  if (a.form.elements) {
    std::vector<std::string> keys;
    if (!read_element_keys(a.form, *value, keys))
      return verdict::unreadable;
    const auto has = [&](const std::string& key) {
      return std::binary_search(keys.begin(), keys.end(), key);
    };
    return answer(a.kind == kind_type::contains ? std::all_of(a.keys.begin(), a.keys.end(), has)
                                                : std::any_of(a.keys.begin(), a.keys.end(), has));
  }
  std::string key;
  if (!append_key(a.form, *value, key))
    return verdict::unreadable;
  switch (a.kind) {
  case kind_type::one_of:
    return answer(std::binary_search(a.keys.begin(), a.keys.end(), key));
  case kind_type::range:
    return answer(is_within(a, key));
  default:
    return answer(key.starts_with(a.keys.front()));
  }
}

} // namespace busbar::sql
