#include "sql/types.hpp"

#include <array>

namespace busbar::sql {
namespace {

enum class category : std::uint8_t { unknown, boolean, numeric, string, moment, user };

struct type_facts {
  type id;
  std::string_view catalog_name;
  std::string_view display_name;
  category group;
  kernel how;
  bool preferred;
};

constexpr std::array<type_facts, 16> facts{{
    {type::unknown, "unknown", "unknown", category::unknown, kernel::text, false},
    {type::boolean, "bool", "boolean", category::boolean, kernel::integer, true},
    {type::int2, "int2", "smallint", category::numeric, kernel::integer, false},
    {type::int4, "int4", "integer", category::numeric, kernel::integer, false},
    {type::int8, "int8", "bigint", category::numeric, kernel::integer, false},
    {type::numeric, "numeric", "numeric", category::numeric, kernel::numeric, false},
    {type::float4, "float4", "real", category::numeric, kernel::real, false},
    {type::float8, "float8", "double precision", category::numeric, kernel::real, true},
    {type::text, "text", "text", category::string, kernel::text, true},
    {type::varchar, "varchar", "character varying", category::string, kernel::text, false},
    {type::bpchar, "bpchar", "character", category::string, kernel::blank_padded, false},
    {type::uuid, "uuid", "uuid", category::user, kernel::uuid, false},
    {type::date, "date", "date", category::moment, kernel::integer, false},
    {type::timestamp, "timestamp", "timestamp without time zone", category::moment, kernel::integer,
     false},
    {type::timestamptz, "timestamptz", "timestamp with time zone", category::moment,
     kernel::integer, true},
    {type::opaque, "opaque", "a type without operators here", category::unknown, kernel::text,
     false},
}};

const type_facts& of(type t) noexcept {
  return facts[static_cast<std::size_t>(t)];
}

bool is_integer(type t) noexcept {
  return t >= type::int2 && t <= type::int8;
}
bool is_real(type t) noexcept {
  return t == type::float4 || t == type::float8;
}
bool is_varying(type t) noexcept {
  return t == type::text || t == type::varchar;
}

} // namespace

std::string_view catalog_name(type t) noexcept {
  return of(t).catalog_name;
}
std::string_view display_name(type t) noexcept {
  return of(t).display_name;
}
kernel kernel_of(type t) noexcept {
  return of(t).how;
}
bool is_string(type t) noexcept {
  return of(t).group == category::string;
}

std::optional<type> type_named(std::string_view catalog_name) noexcept {
  for (const auto& f : facts)
    if (f.catalog_name == catalog_name && f.group != category::unknown)
      return f.id;
  return std::nullopt;
}

std::optional<operand_types> comparison_operands(type left, type right) noexcept {
  const auto group = of(left).group;
  if (group != of(right).group || group == category::unknown)
    return std::nullopt;
  switch (group) {
  case category::numeric:
    if (is_integer(left) && is_integer(right))
      return operand_types{left, right, kernel::integer};
    if (is_real(left) || is_real(right)) // float4 = integer is done in float8, not in float4
      return operand_types{is_real(left) ? left : type::float8,
                           is_real(right) ? right : type::float8, kernel::real};
    return operand_types{type::numeric, type::numeric, kernel::numeric};
  case category::string:
    // bpchar against varchar compares as bpchar, against text as text.
    if ((left == type::bpchar && right != type::text) ||
        (right == type::bpchar && left != type::text))
      return operand_types{type::bpchar, type::bpchar, kernel::blank_padded};
    return operand_types{type::text, type::text, kernel::text};
  default: // all others have an operator for the very types, or for each pair within the group
    return operand_types{left, right, of(left).how};
  }
}

bool is_implicit_cast(type from, type to) noexcept {
  if (from == to)
    return true;
  if (of(from).group != of(to).group)
    return false;
  switch (of(from).group) {
  case category::numeric: // only upwards: int2 < int4 < int8 < numeric < float4 < float8
    return from < to;
  case category::string:
    return true;
  case category::moment:
    return from < to;
  default:
    return false;
  }
}

void common_type::add(type t) noexcept {
  if (t == type::unknown || t == type_)
    return;
  if (type_ == type::unknown)
    type_ = t;
  else if (of(t).group != of(type_).group)
    mixed_ = true;
  else if (!of(type_).preferred && is_implicit_cast(type_, t) && !is_implicit_cast(t, type_))
    type_ = t;
}

std::optional<type> common_type::get() const noexcept {
  if (mixed_)
    return std::nullopt;
  return type_;
}

std::optional<conversion> explicit_cast(type from, type to) noexcept {
  if (from == to)
    return conversion::relabel;
  if (is_integer(from)) {
    switch (to) {
    case type::boolean:
      return from == type::int4 ? std::optional{conversion::integer_to_boolean} : std::nullopt;
    case type::int2:
      return conversion::to_int2;
    case type::int4:
      return from == type::int2 ? conversion::relabel : conversion::to_int4;
    case type::int8:
      return conversion::relabel;
    case type::numeric:
      return conversion::integer_to_numeric;
    case type::float4:
      return conversion::integer_to_float4;
    case type::float8:
      return conversion::integer_to_float8;
    default:
      return std::nullopt;
    }
  }
  if (from == type::boolean && to == type::int4)
    return conversion::relabel;
  if (from == type::numeric && to == type::float4)
    return conversion::numeric_to_float4;
  if (from == type::numeric && to == type::float8)
    return conversion::numeric_to_float8;
  if (from == type::float4 && to == type::float8)
    return conversion::relabel;
  if (from == type::bpchar && is_varying(to))
    return conversion::trim_blanks;
  if (is_string(from) && is_string(to))
    return conversion::relabel;
  if (from == type::date && (to == type::timestamp || to == type::timestamptz))
    return conversion::date_to_timestamp;
  if (to == type::date && (from == type::timestamp || from == type::timestamptz))
    return conversion::timestamp_to_date;
  if (of(from).group == category::moment && of(to).group == category::moment)
    return conversion::relabel; // timestamp and timestamptz: the zone is UTC
  return std::nullopt;
}

} // namespace busbar::sql
