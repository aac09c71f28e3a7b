#include "sql/functions.hpp"

namespace busbar::sql {
namespace {

struct comparable {
  type left;
  type right;
};

/// In the order of pg_operator there is none; what matters is that no pair is missing.
constexpr comparable comparables[] = {
    {type::boolean, type::boolean},
    {type::int2, type::int2},
    {type::int2, type::int4},
    {type::int2, type::int8},
    {type::int4, type::int2},
    {type::int4, type::int4},
    {type::int4, type::int8},
    {type::int8, type::int2},
    {type::int8, type::int4},
    {type::int8, type::int8},
    {type::numeric, type::numeric},
    {type::float4, type::float4},
    {type::float4, type::float8},
    {type::float8, type::float4},
    {type::float8, type::float8},
    {type::text, type::text},
    {type::bpchar, type::bpchar},
    {type::name, type::name},
    {type::name, type::text},
    {type::text, type::name},
    {type::uuid, type::uuid},
    {type::date, type::date},
    {type::date, type::timestamp},
    {type::date, type::timestamptz},
    {type::timestamp, type::date},
    {type::timestamp, type::timestamp},
    {type::timestamp, type::timestamptz},
    {type::timestamptz, type::date},
    {type::timestamptz, type::timestamp},
    {type::timestamptz, type::timestamptz},
    {type::time, type::time},
    {type::interval, type::interval},
    {type::bytea, type::bytea},
    {type::jsonb, type::jsonb},
    {type::any_array, type::any_array},
    {type::any_enum, type::any_enum},
};
constexpr std::string_view comparison_names[] = {"=", "<>", "<", "<=", ">", ">="};

constexpr auto make_comparisons() {
  std::array<function, std::size(comparables) * std::size(comparison_names)> out{};
  std::size_t next = 0;
  for (std::size_t test = 0; test < std::size(comparison_names); ++test)
    for (const auto& pair : comparables)
      out[next++] = {.name = comparison_names[test],
                     .args = {pair.left, pair.right, type::unknown},
                     .result = type::boolean,
                     .test = static_cast<comparison>(test)};
  return out;
}
constexpr auto comparisons = make_comparisons();

void collect(std::span<const function> table, std::string_view name, std::size_t arity,
             std::vector<const function*>& out) {
  for (const auto& f : table)
    if (f.name == name && f.arity() == arity)
      out.push_back(&f);
}

} // namespace

outcome not_supported(const call& /*c*/, value& /*out*/) noexcept {
  return outcome::failed;
}

std::span<const function> comparison_operators() noexcept {
  return comparisons;
}

std::vector<const function*> operators_named(std::string_view name, std::size_t arity) {
  std::vector<const function*> out;
  for (const auto table : {comparison_operators(), number_operators(), text_operators(),
                           time_operators(), array_operators(), json_operators()})
    collect(table, name, arity, out);
  return out;
}

std::vector<const function*> functions_named(std::string_view name, std::size_t arity) {
  std::vector<const function*> out;
  for (const auto table :
       {number_functions(), text_functions(), time_functions(), array_functions()})
    collect(table, name, arity, out);
  return out;
}

} // namespace busbar::sql
