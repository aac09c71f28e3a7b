// Arrays and jsonb.
#include "sql/array.hpp"
#include "sql/functions.hpp"
#include "sql/json.hpp"

namespace busbar::sql {
namespace {

outcome answer(bool yes, value& out) noexcept {
  out.integer = yes;
  return outcome::ok;
}
const array_value& array(const call& c, std::size_t i) noexcept {
  return *c.args[i].v.array;
}

outcome contains(const call& c, value& out) noexcept {
  return answer(array_contains(array(c, 0), array(c, 1)), out);
}
outcome is_contained(const call& c, value& out) noexcept {
  return answer(array_contains(array(c, 1), array(c, 0)), out);
}
outcome overlap(const call& c, value& out) noexcept {
  return answer(arrays_overlap(array(c, 0), array(c, 1)), out);
}

outcome concatenate(const call& c, value& out) noexcept {
  const auto& [a, b] = std::pair{c.args[0], c.args[1]};
  if (a.null || b.null) {
    out = a.null ? b.v : a.v;
    return a.null && b.null ? outcome::null : outcome::ok;
  }
  return concatenate_arrays(*a.v.array, *b.v.array, out, c.space);
}
outcome append(const call& c, value& out) noexcept {
  return extend_array(c.args[0].null ? nullptr : c.args[0].v.array, element_of(c.result), c.args[1],
                      false, out, c.space);
}
outcome prepend(const call& c, value& out) noexcept {
  return extend_array(c.args[1].null ? nullptr : c.args[1].v.array, element_of(c.result), c.args[0],
                      true, out, c.space);
}

outcome dimensions(const call& c, value& out) noexcept {
  out.integer = array(c, 0).dimensions;
  return out.integer == 0 ? outcome::null : outcome::ok;
}
outcome cardinality(const call& c, value& out) noexcept {
  out.integer = static_cast<std::int64_t>(array(c, 0).items.size());
  return outcome::ok;
}

enum class measure : std::uint8_t { length, lower, upper };
template <measure What>
outcome measured(const call& c, value& out) noexcept {
  const auto& a = array(c, 0);
  const auto dimension = c.args[1].v.integer;
  if (dimension < 1 || dimension > a.dimensions)
    return outcome::null;
  const auto i = static_cast<std::size_t>(dimension - 1);
  out.integer = What == measure::length  ? a.lengths[i]
                : What == measure::lower ? a.lower[i]
                                         : a.lower[i] + a.lengths[i] - 1;
  return outcome::ok;
}
outcome position(const call& c, value& out) noexcept {
  if (c.args[0].null)
    return outcome::null;
  return position_in_array(array(c, 0), c.args[1], out);
}

// --- jsonb -----------------------------------------------------------------------------------

std::string_view json(const call& c) noexcept {
  return c.args[0].v.text;
}
outcome member(const call& c, value& out) noexcept {
  return json_member(json(c), c.args[1].v.text, out, c.space);
}
outcome element(const call& c, value& out) noexcept {
  return json_element(json(c), c.args[1].v.integer, out);
}
template <implementation Part>
outcome as_text(const call& c, value& out) noexcept {
  value part;
  const auto found = Part(c, part);
  return found == outcome::ok ? json_as_text(part.text, out, c.space) : found;
}
outcome json_contain(const call& c, value& out) noexcept {
  return json_contains(json(c), c.args[1].v.text, out);
}
outcome json_contained(const call& c, value& out) noexcept {
  return json_contains(c.args[1].v.text, json(c), out);
}
outcome has_key(const call& c, value& out) noexcept {
  return answer(json_has_key(json(c), c.args[1].v.text, c.space), out);
}

constexpr auto none = type::unknown;
constexpr auto any = type::any_array;
constexpr auto list = type::any_compatible_array;
constexpr auto item = type::any_compatible;
constexpr auto yes = type::boolean;
constexpr auto i4 = type::int4;
constexpr auto js = type::jsonb;
constexpr auto t = type::text;

constexpr function lenient(std::string_view name, std::array<type, 3> args, type result,
                           implementation run) {
  return {.name = name, .args = args, .result = result, .run = run, .strict = false};
}

constexpr function operators[] = {
    {"@>", {any, any, none}, yes, contains},
    {"<@", {any, any, none}, yes, is_contained},
    {"&&", {any, any, none}, yes, overlap},
    lenient("||", {list, list, none}, list, concatenate),
    lenient("||", {list, item, none}, list, append),
    lenient("||", {item, list, none}, list, prepend),
};
constexpr function functions[] = {
    lenient("array_cat", {list, list, none}, list, concatenate),
    lenient("array_append", {list, item, none}, list, append),
    lenient("array_prepend", {item, list, none}, list, prepend),
    lenient("array_position", {list, item, none}, i4, position),
    {"array_ndims", {any, none, none}, i4, dimensions},
    {"cardinality", {any, none, none}, i4, cardinality},
    {"array_length", {any, i4, none}, i4, measured<measure::length>},
    {"array_lower", {any, i4, none}, i4, measured<measure::lower>},
    {"array_upper", {any, i4, none}, i4, measured<measure::upper>},
};
constexpr function of_json[] = {
    {"->", {js, t, none}, js, member},
    {"->", {js, i4, none}, js, element},
    {"->>", {js, t, none}, t, as_text<member>},
    {"->>", {js, i4, none}, t, as_text<element>},
    {"@>", {js, js, none}, yes, json_contain},
    {"<@", {js, js, none}, yes, json_contained},
    {"?", {js, t, none}, yes, has_key},
    {"||", {js, js, none}, js, not_supported},
    {"->", {type::opaque, t, none}, js, not_supported}, // json
    {"->", {type::opaque, i4, none}, js, not_supported},
    {"->>", {type::opaque, t, none}, t, not_supported},
    {"->>", {type::opaque, i4, none}, t, not_supported},
};

} // namespace

std::span<const function> array_operators() noexcept {
  return operators;
}
std::span<const function> array_functions() noexcept {
  return functions;
}
std::span<const function> json_operators() noexcept {
  return of_json;
}

} // namespace busbar::sql
