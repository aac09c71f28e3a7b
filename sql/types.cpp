#include "sql/types.hpp"

#include "sql/enum_type.hpp"

#include <array>

namespace busbar::sql {
namespace {

struct type_facts {
  type id;
  std::string_view catalog_name;
  std::string_view display_name;
  category group;
  kernel how;
  bool preferred;
};

constexpr std::array<type_facts, 21> facts{{
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
    {type::name, "name", "name", category::string, kernel::text, false},
    {type::uuid, "uuid", "uuid", category::user, kernel::uuid, false},
    {type::date, "date", "date", category::moment, kernel::integer, false},
    {type::time, "time", "time without time zone", category::moment, kernel::integer, false},
    {type::timestamp, "timestamp", "timestamp without time zone", category::moment, kernel::integer,
     false},
    {type::timestamptz, "timestamptz", "timestamp with time zone", category::moment,
     kernel::integer, true},
    {type::interval, "interval", "interval", category::timespan, kernel::interval, true},
    {type::bytea, "bytea", "bytea", category::user, kernel::text, false},
    {type::jsonb, "jsonb", "jsonb", category::user, kernel::json, false},
    {type::opaque, "opaque", "a type without operators here", category::unknown, kernel::text,
     false},
}};
constexpr type_facts enum_facts{type::first_enum,      "enum",          "enum",
                                category::enumeration, kernel::integer, false};

const type_facts& of(type t) noexcept {
  return t <= type::opaque ? facts[static_cast<std::size_t>(t)] : enum_facts;
}

bool is_varying(type t) noexcept {
  return t == type::text || t == type::varchar;
}

std::string quoted_identifier(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"')
      out += c;
    out += c;
  }
  return out + '"';
}

} // namespace

std::string sql_name(type t, enum_types enums) {
  if (is_array(t))
    return sql_name(element_of(t), enums) + "[]";
  if (is_enum(t) && enum_index(t) < enums.size()) {
    const auto& found = *enums[enum_index(t)];
    return quoted_identifier(found.schema) + "." + quoted_identifier(found.name);
  }
  return "pg_catalog." + std::string{of(t).catalog_name};
}

std::string display_name(type t, enum_types enums) {
  if (is_array(t))
    return display_name(element_of(t), enums) + "[]";
  if (is_enum(t) && enum_index(t) < enums.size())
    return enums[enum_index(t)]->name;
  return std::string{of(t).display_name};
}

kernel kernel_of(type t) noexcept {
  return is_array(t) ? kernel::array : of(t).how;
}
category category_of(type t) noexcept {
  return is_array(t) ? category::array : of(t).group;
}
bool is_preferred(type t) noexcept {
  return !is_array(t) && of(t).preferred;
}

std::optional<type> type_named(std::string_view catalog_name) noexcept {
  for (const auto& f : facts)
    if (f.catalog_name == catalog_name && f.group != category::unknown)
      return f.id;
  return std::nullopt;
}

bool is_implicit_cast(type from, type to) noexcept {
  if (from == to)
    return true;
  if (is_array(from) != is_array(to))
    return false;
  if (is_array(from))
    return is_implicit_cast(element_of(from), element_of(to));
  switch (of(from).group) {
  case category::numeric: // only upwards: int2 < int4 < int8 < numeric < float4 < float8
    return of(to).group == category::numeric && from < to;
  case category::string:
    return of(to).group == category::string && (from != type::name || to == type::text);
  case category::moment:
    if (from == type::time)
      return to == type::interval;
    return of(to).group == category::moment && to != type::time && from < to;
  default:
    return false;
  }
}

void common_type::add(type t) noexcept {
  if (t == type::unknown || t == type_)
    return;
  if (type_ == type::unknown)
    type_ = t;
  else if (category_of(t) != category_of(type_))
    mixed_ = true;
  else if (!is_preferred(type_) && is_implicit_cast(type_, t) && !is_implicit_cast(t, type_))
    type_ = t;
}

std::optional<type> common_type::get() const noexcept {
  if (mixed_)
    return std::nullopt;
  return type_;
}

namespace {

std::optional<conversion> integer_cast(type from, type to) noexcept {
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

std::optional<conversion> number_cast(type from, type to) noexcept {
  if (is_integer(from))
    return integer_cast(from, to);
  if (from == type::numeric)
    return is_integer(to)       ? conversion::numeric_to_integer
           : to == type::float4 ? conversion::numeric_to_float4
                                : conversion::numeric_to_float8;
  return is_integer(to)        ? conversion::real_to_integer
         : to == type::numeric ? conversion::real_to_numeric
         : to == type::float4  ? conversion::to_float4
                               : conversion::relabel;
}

std::optional<conversion> moment_cast(type from, type to) noexcept {
  if (from == type::time)
    return to == type::interval ? std::optional{conversion::relabel} : std::nullopt;
  if (from == type::interval)
    return to == type::time ? std::optional{conversion::interval_to_time} : std::nullopt;
  if (to == type::interval)
    return std::nullopt;
  if (from == type::date)
    return to == type::time ? std::nullopt : std::optional{conversion::date_to_timestamp};
  if (to == type::date)
    return conversion::timestamp_to_date;
  if (to == type::time)
    return conversion::timestamp_to_time;
  return conversion::relabel; // timestamp and timestamptz: the zone is UTC
}

bool is_about_time(type t) noexcept {
  return t >= type::date && t <= type::interval;
}

} // namespace

std::optional<conversion> explicit_cast(type from, type to) noexcept {
  if (from == to)
    return conversion::relabel;
  if (element_of(from) == type::opaque || element_of(to) == type::opaque)
    return std::nullopt;
  if (is_array(from) && is_array(to))
    return explicit_cast(element_of(from), element_of(to)) ? std::optional{conversion::elements}
                                                           : std::nullopt;
  if (!is_array(from) && !is_array(to)) {
    if (of(from).group == category::numeric && of(to).group == category::numeric)
      return number_cast(from, to);
    if (from == type::int4 && to == type::boolean)
      return conversion::integer_to_boolean;
    if (from == type::boolean && to == type::int4)
      return conversion::relabel;
    if (from == type::boolean && (is_varying(to) || to == type::bpchar))
      return conversion::boolean_to_text;
    if (is_string(from) && is_string(to))
      return to == type::name       ? conversion::to_name
             : from == type::bpchar ? conversion::trim_blanks
                                    : conversion::relabel;
    if (is_about_time(from) && is_about_time(to))
      return moment_cast(from, to);
  }
  if (from == type::bytea || to == type::bytea)
    return std::nullopt; // text and bytea go by way of an encoding
  if (is_string(from))
    return conversion::parse;
  if (is_string(to))
    return conversion::print;
  return std::nullopt;
}

} // namespace busbar::sql
