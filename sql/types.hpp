// sql/types.hpp: the types the language knows, and PostgreSQL's rules for mixing them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace busbar::sql {

enum class type : std::uint8_t {
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
  uuid,
  date,
  timestamp,
  timestamptz,
  opaque, ///< Any other type of a column: only its presence can be tested.
};

/// pg_type.typname. Not for `unknown` and `opaque`.
std::string_view catalog_name(type t) noexcept;

/// As PostgreSQL's error messages spell it: "integer", "character varying".
std::string_view display_name(type t) noexcept;

/// The type of that pg_type.typname; nullopt if the language does not know it.
std::optional<type> type_named(std::string_view catalog_name) noexcept;

/// How two values of one type are compared.
enum class kernel : std::uint8_t {
  integer,      ///< Also booleans (false < true), days and microseconds.
  real,         ///< NaN equals NaN and is greater than everything.
  numeric,      ///< Exact; the scale does not matter.
  text,         ///< Bytes.
  blank_padded, ///< Bytes without trailing blanks.
  uuid,
};
kernel kernel_of(type t) noexcept;

/// True for the types whose order and equality depend on a collation.
bool is_string(type t) noexcept;

/// Which operands the comparison operator takes that PostgreSQL picks for these two types.
struct operand_types {
  type left;
  type right;
  kernel how;
};

/// Both types are known. nullopt: there is no such operator.
std::optional<operand_types> comparison_operands(type left, type right) noexcept;

/// True if PostgreSQL converts `from` to `to` without being asked.
bool is_implicit_cast(type from, type to) noexcept;

/// The common type of an IN list or ARRAY[…], built up one element at a time (typeconv-union).
class common_type {
public:
  void add(type t) noexcept;
  /// `unknown` if all elements were; nullopt if the types are of different categories.
  std::optional<type> get() const noexcept;

private:
  type type_ = type::unknown;
  bool mixed_ = false;
};

/// What a conversion does to a value.
enum class conversion : std::uint8_t {
  relabel,     ///< Nothing: both types have the same values here.
  trim_blanks, ///< bpchar to text and varchar.
  integer_to_boolean,
  integer_to_numeric,
  integer_to_float4,
  integer_to_float8,
  numeric_to_float4,
  numeric_to_float8,
  to_int2, ///< Fails if the integer is out of range.
  to_int4,
  date_to_timestamp, ///< Fails if the date is out of a timestamp's range.
  date_to_instant,   ///< Only for comparing: out of range is beyond every timestamp.
  timestamp_to_date,
};

/// The conversion behind an explicit cast; nullopt if there is none, or none yet.
std::optional<conversion> explicit_cast(type from, type to) noexcept;

} // namespace busbar::sql
