// sql/types.hpp: the types the language knows, and PostgreSQL's rules for mixing them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace busbar::sql {

struct enum_type;

/// A scalar type by name; an array or an enum by a number made from it: see below.
enum class type : std::uint16_t {
  unknown, ///< A quoted literal, NULL or a parameter that nothing has given a type yet.
  boolean,
  int2,
  int4,
  int8,
  numeric,
  float4,
  float8,
  text,
  varchar,
  bpchar,
  name,
  uuid,
  date,
  time,
  timestamp,
  timestamptz,
  interval,
  bytea,
  jsonb,
  opaque, ///< Any other type of a column: only its presence can be tested.
  // What signatures say instead of a type. No value has them.
  any_element,
  any_non_array,
  any_array,
  any_enum,
  any_compatible,
  any_compatible_array,
  first_enum = 0x100, ///< And up: enum n of the clause.
};
inline constexpr std::uint16_t array_bit = 0x8000;

constexpr bool is_array(type t) noexcept {
  return (static_cast<std::uint16_t>(t) & array_bit) != 0;
}
constexpr type array_of(type element) noexcept {
  return static_cast<type>(static_cast<std::uint16_t>(element) | array_bit);
}
/// Of an array; of anything else, itself.
constexpr type element_of(type t) noexcept {
  return static_cast<type>(static_cast<std::uint16_t>(t) & ~array_bit);
}
constexpr bool is_enum(type t) noexcept {
  return t >= type::first_enum && !is_array(t);
}
constexpr std::size_t enum_index(type t) noexcept {
  return static_cast<std::size_t>(element_of(t)) - static_cast<std::size_t>(type::first_enum);
}
constexpr bool is_integer(type t) noexcept {
  return t >= type::int2 && t <= type::int8;
}
constexpr bool is_real(type t) noexcept {
  return t == type::float4 || t == type::float8;
}
/// True for the types whose order and equality depend on a collation; not for arrays of them.
constexpr bool is_string(type t) noexcept {
  return t >= type::text && t <= type::name;
}
constexpr bool is_polymorphic(type t) noexcept {
  return t >= type::any_element && t <= type::any_compatible_array;
}

/// The enum types of one clause; `type::first_enum + n` is the n-th.
using enum_types = std::span<const std::shared_ptr<const enum_type>>;

/// As a cast names it, fully qualified: `pg_catalog.int4`, `pg_catalog.int4[]`, `"public"."mood"`.
std::string sql_name(type t, enum_types enums);

/// As PostgreSQL's error messages spell it: "integer", "character varying[]".
std::string display_name(type t, enum_types enums);

/// The scalar type of that pg_type.typname; nullopt if the language does not know it.
std::optional<type> type_named(std::string_view catalog_name) noexcept;

/// pg_type.typcategory.
enum class category : std::uint8_t {
  unknown,
  boolean,
  numeric,
  string,
  moment,
  timespan,
  user,
  enumeration,
  array,
};
category category_of(type t) noexcept;
bool is_preferred(type t) noexcept;

/// How two values of one type are compared.
enum class kernel : std::uint8_t {
  integer,      ///< Also booleans (false < true), days, microseconds and enum labels.
  real,         ///< NaN equals NaN and is greater than everything.
  numeric,      ///< Exact; the scale does not matter.
  text,         ///< Bytes.
  blank_padded, ///< Bytes without trailing blanks.
  uuid,
  interval, ///< A month counts thirty days, a day 24 hours.
  array,
  json,
};
kernel kernel_of(type t) noexcept;

/// True if PostgreSQL converts `from` to `to` without being asked.
bool is_implicit_cast(type from, type to) noexcept;

/// The common type of an IN list, ARRAY[…], COALESCE …, built up one part at a time
/// (typeconv-union).
class common_type {
public:
  void add(type t) noexcept;
  /// `unknown` if all parts were; nullopt if the types are of different categories.
  std::optional<type> get() const noexcept;

private:
  type type_ = type::unknown;
  bool mixed_ = false;
};

/// What a conversion does to a value.
enum class conversion : std::uint8_t {
  relabel,     ///< Nothing: both types have the same values here.
  trim_blanks, ///< bpchar to other strings.
  to_name,     ///< At most 63 bytes.
  integer_to_boolean,
  boolean_to_text, ///< "true" or "false", which is not what boolean's output function prints.
  integer_to_numeric,
  integer_to_float4,
  integer_to_float8,
  numeric_to_float4,
  numeric_to_float8,
  numeric_to_integer,
  real_to_integer,
  real_to_numeric,
  to_float4,
  to_int2, ///< Fails if the integer is out of range.
  to_int4,
  date_to_timestamp, ///< Fails if the date is out of a timestamp's range.
  date_to_instant,   ///< Only for comparing: out of range is beyond every timestamp.
  timestamp_to_date,
  timestamp_to_time,
  interval_to_time,
  parse,    ///< What the target's input function reads.
  print,    ///< What the source's output function prints.
  elements, ///< Each element of an array by itself.
  fit,      ///< To the length, scale or precision that the type's modifier says.
};

/// The conversion behind an explicit cast; nullopt if there is none, or none yet.
std::optional<conversion> explicit_cast(type from, type to) noexcept;

} // namespace busbar::sql
