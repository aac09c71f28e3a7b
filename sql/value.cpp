#include "sql/value.hpp"

#include "sql/array.hpp"
#include "sql/datetime.hpp"
#include "sql/decimal.hpp"
#include "sql/enum_type.hpp"
#include "sql/interval.hpp"
#include "sql/json.hpp"
#include "sql/numeric.hpp"
#include "sql/scalars.hpp"
#include "sql/text.hpp"

#include <charconv>
#include <cmath>

namespace busbar::sql {
namespace {

reading read_numeric(std::string_view text, value& out) noexcept {
  decimal d;
  const auto read = read_decimal(text, d);
  out.text = trim_spaces(text);
  return read;
}

reading read_label(type t, std::string_view text, value& out, enum_types enums) noexcept {
  if (enum_index(t) >= enums.size())
    return reading::unsupported;
  const auto& labels = enums[enum_index(t)]->labels;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] == text) {
      out.integer = static_cast<std::int64_t>(i);
      out.text = text;
      return reading::ok;
    }
  }
  return reading::malformed;
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
  if (a.text.empty() && b.text.empty())
    return compare_integers(a.integer, b.integer);
  decimal_buffer first;
  decimal_buffer second;
  return compare(decimal_of(a, first), decimal_of(b, second));
}

} // namespace

reading read_value(type t, std::string_view text, value& out, workspace& space) noexcept {
  switch (t) {
  case type::boolean:
    return read_boolean(text, out.integer);
  case type::int2:
  case type::int4:
  case type::int8:
    return read_integer(t, text, out.integer);
  case type::numeric:
    return read_numeric(text, out);
  case type::float4:
    return read_float4(text, out.real);
  case type::float8:
    return read_float8(text, out.real);
  case type::text:
  case type::varchar:
  case type::bpchar:
    out.text = text;
    return reading::ok;
  case type::name:
    out.text = first_bytes(text, name_bytes_max);
    return reading::ok;
  case type::uuid:
    return read_uuid(text, out);
  case type::date:
    return read_date(text, out.integer);
  case type::time:
    return read_time(text, out.integer);
  case type::timestamp:
    return read_timestamp(text, false, out.integer);
  case type::timestamptz:
    return read_timestamp(text, true, out.integer);
  case type::interval:
    return read_interval(text, interval_fields::all, out);
  case type::bytea:
    return read_bytea(text, out.text, space);
  case type::jsonb:
    return read_json(text, out.text, space);
  default:
    break;
  }
  if (is_array(t))
    return read_array(element_of(t), text, out, space);
  if (is_enum(t))
    return read_label(t, text, out, space.enums());
  return reading::unsupported;
}

void append_value(std::string& out, type t, const value& v, enum_types enums) {
  switch (t) {
  case type::boolean:
    out += v.integer != 0 ? 't' : 'f';
    return;
  case type::int2:
  case type::int4:
  case type::int8: {
    char buffer[24];
    out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, v.integer).ptr);
    return;
  }
  case type::numeric: {
    decimal_buffer buffer;
    out += to_string(decimal_of(v, buffer));
    return;
  }
  case type::float4:
    append_float4(out, v.real);
    return;
  case type::float8:
    append_float8(out, v.real);
    return;
  case type::uuid:
    append_uuid(out, v);
    return;
  case type::date:
    append_date(out, v.integer);
    return;
  case type::time:
    append_time(out, v.integer);
    return;
  case type::timestamp:
    append_timestamp(out, v.integer, false);
    return;
  case type::timestamptz:
    append_timestamp(out, v.integer, true);
    return;
  case type::interval:
    append_interval(out, v);
    return;
  default:
    break;
  }
  if (is_array(t))
    append_array(out, element_of(t), *v.array, enums);
  else
    out += v.text;
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
  case kernel::interval:
    return compare_intervals(a, b);
  case kernel::array:
    return compare_arrays(*a.array, *b.array);
  case kernel::json:
    return json_equal(a.text, b.text) ? 0 : 1;
  }
  return 0;
}

} // namespace busbar::sql
