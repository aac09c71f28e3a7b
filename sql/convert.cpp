// What casts do to values.
#include "sql/array.hpp"
#include "sql/calendar.hpp"
#include "sql/datetime.hpp"
#include "sql/numeric.hpp"
#include "sql/scalars.hpp"
#include "sql/text.hpp"
#include "sql/value.hpp"

#include <cmath>
#include <exception>
#include <limits>
#include <string>

namespace busbar::sql {
namespace {

constexpr outcome done(bool ok) noexcept {
  return ok ? outcome::ok : outcome::failed;
}

template <class Integer>
bool fits(std::int64_t x) noexcept {
  return x >= std::numeric_limits<Integer>::min() && x <= std::numeric_limits<Integer>::max();
}

bool fits(type t, std::int64_t x) noexcept {
  return t == type::int2 ? fits<std::int16_t>(x) : t == type::int4 ? fits<std::int32_t>(x) : true;
}

outcome numeric_to_real(type to, value& v) noexcept {
  if (v.text.empty()) {
    v.real = to == type::float4 ? static_cast<double>(static_cast<float>(v.integer))
                                : static_cast<double>(v.integer);
    return outcome::ok;
  }
  const auto read = to == type::float4 ? read_float4(v.text, v.real) : read_float8(v.text, v.real);
  return done(read == reading::ok);
}

outcome real_to_integer(type to, value& v) noexcept {
  const auto x = std::rint(v.real);
  // Written so that NaN fails.
  if (!(x >= -9223372036854775808.0 && x < 9223372036854775808.0))
    return outcome::failed;
  v.integer = static_cast<std::int64_t>(x);
  return done(fits(to, v.integer));
}

outcome real_to_float4(value& v) noexcept {
  const auto x = static_cast<float>(v.real);
  const bool bad = (std::isinf(x) && !std::isinf(v.real)) || (x == 0 && v.real != 0);
  v.real = static_cast<double>(x);
  return done(!bad);
}

outcome print(type from, value& v, workspace& space) noexcept try {
  std::string text;
  append_value(text, from, v, space.enums());
  value out;
  out.text = space.keep(text);
  v = out;
  return done(v.text.size() == text.size());
} catch (const std::exception&) { // only memory can run out here
  return outcome::failed;
}

outcome parse(type to, value& v, workspace& space) noexcept {
  value out;
  const auto read = read_value(to, v.text, out, space);
  v = out;
  return done(read == reading::ok);
}

outcome convert_elements(const conversion_call& call, value& v, workspace& space) noexcept {
  const auto from = element_of(call.from);
  const auto to = element_of(call.to);
  const auto how = explicit_cast(from, to);
  auto* copy = space.make<array_value>(1);
  auto* items = space.make<datum>(v.array->items.size());
  if (!how || copy == nullptr || items == nullptr)
    return outcome::failed;
  std::construct_at(copy, *v.array);
  copy->element = to;
  for (std::size_t i = 0; i < v.array->items.size(); ++i) {
    std::construct_at(items + i, v.array->items[i]);
    if (!items[i].null &&
        convert({*how, from, to, call.modifier}, items[i].v, space) != outcome::ok)
      return outcome::failed;
  }
  copy->items = {items, v.array->items.size()};
  v.array = copy;
  return outcome::ok;
}

outcome fit_string(type t, std::size_t length, value& v, workspace& space) noexcept {
  const auto kept = first_characters(v.text, length);
  const auto count = count_characters(kept);
  v.text = kept;
  if (t != type::bpchar || count >= length)
    return outcome::ok;
  const auto size = kept.size() + (length - count);
  char* padded = space.make<char>(size);
  if (padded == nullptr)
    return outcome::failed;
  std::fill(kept.copy(padded, kept.size()) + padded, padded + size, ' ');
  v.text = {padded, size};
  return outcome::ok;
}

outcome fit(const conversion_call& call, value& v, workspace& space) noexcept {
  switch (call.to) {
  case type::varchar:
  case type::bpchar:
    return fit_string(call.to, static_cast<std::size_t>(call.modifier - 4), v, space);
  case type::numeric: {
    value out;
    const auto fitted = fit_numeric(v, call.modifier, out, space);
    v = out;
    return fitted;
  }
  case type::time:
  case type::timestamp:
  case type::timestamptz:
    round_micros(v.integer, call.modifier);
    return outcome::ok;
  default:
    return outcome::failed;
  }
}

} // namespace

outcome convert(const conversion_call& call, value& v, workspace& space) noexcept {
  switch (call.how) {
  case conversion::relabel:
    return outcome::ok;
  case conversion::trim_blanks:
    v.text = trim_blanks(v.text);
    return outcome::ok;
  case conversion::to_name:
    v.text = first_bytes(call.from == type::bpchar ? trim_blanks(v.text) : v.text, name_bytes_max);
    return outcome::ok;
  case conversion::integer_to_boolean:
    v.integer = v.integer != 0;
    return outcome::ok;
  case conversion::boolean_to_text:
    v.text = v.integer != 0 ? "true" : "false";
    return outcome::ok;
  case conversion::integer_to_numeric:
    v.text = {};
    return outcome::ok;
  case conversion::integer_to_float4:
    v.real = static_cast<double>(static_cast<float>(v.integer));
    return outcome::ok;
  case conversion::integer_to_float8:
    v.real = static_cast<double>(v.integer);
    return outcome::ok;
  case conversion::numeric_to_float4:
  case conversion::numeric_to_float8:
    return numeric_to_real(call.to, v);
  case conversion::numeric_to_integer: {
    std::int64_t x = 0;
    const bool ok = numeric_to_integer(v, x, space) && fits(call.to, x);
    v = {};
    v.integer = x;
    return done(ok);
  }
  case conversion::real_to_integer:
    return real_to_integer(call.to, v);
  case conversion::real_to_numeric: {
    value out;
    const auto made = real_to_numeric(v.real, call.from == type::float4 ? 6 : 15, out, space);
    v = out;
    return made;
  }
  case conversion::to_float4:
    return real_to_float4(v);
  case conversion::to_int2:
    return done(fits<std::int16_t>(v.integer));
  case conversion::to_int4:
    return done(fits<std::int32_t>(v.integer));
  case conversion::date_to_timestamp:
    return done(date_to_timestamp(v.integer));
  case conversion::date_to_instant:
    v.integer = date_to_instant(v.integer);
    return outcome::ok;
  case conversion::timestamp_to_date:
    v.integer = timestamp_to_date(v.integer);
    return outcome::ok;
  case conversion::timestamp_to_time:
    if (!is_finite(v.integer))
      return outcome::null; // as PostgreSQL has it
    v.integer = floor_mod(v.integer, day_micros);
    return outcome::ok;
  case conversion::interval_to_time:
    v.integer = floor_mod(v.integer, day_micros);
    v.span = {0, 0};
    return outcome::ok;
  case conversion::parse:
    return parse(call.to, v, space);
  case conversion::print:
    return print(call.from, v, space);
  case conversion::elements:
    return convert_elements(call, v, space);
  case conversion::fit:
    return fit(call, v, space);
  }
  return outcome::failed;
}

} // namespace busbar::sql
