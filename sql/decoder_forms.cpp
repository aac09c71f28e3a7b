// The forms of an expression that have more than two parts: casts, calls, CASE, subscripts.
#include "sql/decoder.hpp"

#include <utility>

namespace busbar::sql {
namespace {

using kind_type = expression::kind_type;

/// An A_Const that is an integer of C's size, as type modifiers are.
std::optional<std::int32_t> small_integer(std::string_view bytes) {
  const auto constant = open_node(bytes);
  if (constant.field != parser_node::a_const)
    return std::nullopt;
  for (wire_reader reader{constant.body}; reader.next();) {
    if (reader.field() == 1) {
      wire_reader value{reader.bytes()};
      return value.next() ? value.integer() : 0;
    }
  }
  return std::nullopt;
}

} // namespace

/// False after a complaint.
bool decoder::type_name(std::string_view body, expression& out) {
  std::vector<std::string> names;
  const char* extra = nullptr;
  std::int32_t location = -1;
  for (wire_reader reader{body}; reader.next();) {
    switch (reader.field()) {
    case 1:
      names.push_back(string_node(reader.bytes()).value_or(""));
      break;
    case 3:
    case 4:
      extra = "this type name is not supported";
      break;
    case 5:
      if (const auto modifier = small_integer(reader.bytes()))
        out.modifiers.push_back(*modifier);
      else
        extra = "this type modifier is not supported";
      break;
    case 7:
      out.to_array = true;
      break;
    case 8:
      location = reader.integer();
      break;
    default:
      break;
    }
  }
  if (out.location < 0)
    out.location = location;
  if (extra == nullptr && (names.empty() || names.size() > 2))
    extra = "this type name is not supported";
  if (extra != nullptr) {
    refuse(location, extra);
    return false;
  }
  out.text = names.back();
  if (names.size() == 2)
    out.qualifier = names.front();
  return true;
}

expression decoder::cast(std::string_view body) {
  expression out{.kind = kind_type::cast};
  std::string_view type;
  for (wire_reader reader{body}; reader.next();) {
    if (reader.field() == 1)
      out.args.push_back(node(reader.bytes()));
    else if (reader.field() == 2)
      type = reader.bytes();
    else if (reader.field() == 3)
      out.location = reader.integer();
  }
  type_name(type, out);
  return out;
}

expression decoder::function(std::string_view body) {
  expression out{.kind = kind_type::function};
  std::vector<std::string> names;
  bool plain = true;
  for (wire_reader reader{body}; reader.next();) {
    switch (reader.field()) {
    case 1:
      names.push_back(string_node(reader.bytes()).value_or(""));
      break;
    case 2:
      out.args.push_back(node(reader.bytes()));
      break;
    case 10: // how it was written
      break;
    case 11:
      out.location = reader.integer();
      break;
    default:
      plain = false;
    }
  }
  if (!plain)
    return refuse(out.location, "aggregates, window functions and VARIADIC are not supported");
  if (names.size() == 2 && names.front() == "pg_catalog")
    names.erase(names.begin());
  if (names.size() != 1)
    return refuse(out.location, "only built-in functions are supported");
  out.text = names.front();
  return out;
}

expression decoder::case_of(std::string_view body) {
  expression out{.kind = kind_type::choice};
  for (wire_reader reader{body}; reader.next();) {
    switch (reader.field()) {
    case 4:
      out.number |= 1;
      out.args.push_back(node(reader.bytes()));
      break;
    case 5: {
      const auto when = open_node(reader.bytes());
      for (wire_reader part{when.body}; part.next();)
        if (part.field() == 2 || part.field() == 3)
          out.args.push_back(node(part.bytes()));
      break;
    }
    case 6:
      out.number |= 2;
      out.args.push_back(node(reader.bytes()));
      break;
    case 7:
      out.location = reader.integer();
      break;
    default:
      break;
    }
  }
  return out;
}

/// Appends the nodes in field `items`.
expression decoder::list(expression out, std::string_view body, std::uint32_t items,
                         std::uint32_t location) {
  for (wire_reader reader{body}; reader.next();) {
    if (reader.field() == items)
      out.args.push_back(node(reader.bytes()));
    else if (reader.field() == location)
      out.location = reader.integer();
  }
  return out;
}

expression decoder::min_max(std::string_view body) {
  expression out{.kind = kind_type::greatest};
  for (wire_reader reader{body}; reader.next();)
    if (reader.field() == 5 && reader.integer() == 2)
      out.kind = kind_type::least;
  return list(std::move(out), body, 6, 7);
}

expression decoder::indirection(std::string_view body) {
  expression out{.kind = kind_type::at};
  for (wire_reader reader{body}; reader.next();) {
    if (reader.field() == 1) {
      out.args.push_back(node(reader.bytes()));
      out.location = out.args.front().location;
      continue;
    }
    const auto step = open_node(reader.bytes());
    if (step.field != parser_node::a_indices)
      return refuse(out.location, "field selection is not supported");
    out.args.push_back(subscript(step.body, out.location));
  }
  return out;
}

expression decoder::subscript(std::string_view body, std::int32_t location) {
  expression out{.kind = kind_type::subscript, .location = location};
  for (wire_reader reader{body}; reader.next();) {
    if (reader.field() == 1) {
      out.number |= reader.integer() != 0 ? 4 : 0;
      continue;
    }
    out.number |= reader.field() == 2 ? 1 : 2;
    out.args.push_back(node(reader.bytes()));
  }
  return out;
}

} // namespace busbar::sql
