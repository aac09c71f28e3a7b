#include "sql/typing.hpp"

#include "sql/interval.hpp"
#include "sql/lexical_check.hpp"
#include "sql/program.hpp"

#include <algorithm>
#include <utility>

namespace busbar::sql {
namespace {

using kind_type = expression::kind_type;

std::string complaint(reading why, const std::string& name, std::string_view text) {
  switch (why) {
  case reading::out_of_range:
    return "value " + quoted(text) + " is out of range for type " + name;
  case reading::volatile_now:
    return "value " + quoted(text) + " of type " + name + " means something else every time";
  case reading::unsupported:
    return "value " + quoted(text) + " of type " + name + " is not in a supported format";
  default:
    return "invalid input syntax for type " + name + ": " + quoted(text);
  }
}

/// Strings bring their collation along through everything that makes strings of strings.
void inherit_collation(node& n) {
  for (const auto& arg : n.args)
    if (is_string(element_of(arg->result)))
      merge_collations(n.strings, arg->strings);
}

} // namespace

std::string quoted(std::string_view text) {
  constexpr std::size_t shown_max = 100;
  auto shown = std::min(text.size(), shown_max);
  while (shown < text.size() && shown > 0 &&
         (static_cast<unsigned char>(text[shown]) & 0xc0) == 0x80)
    --shown;
  return "\"" + std::string{text.substr(0, shown)} + (shown < text.size() ? "…\"" : "\"");
}

typing::typing(std::span<const std::string> parameters, std::span<const column> columns,
               const collation& database)
    : values_{parameters}, columns_{columns}, database_{database} {
  for (const auto& parameter : parameters)
    literal_bytes_max_ += 4 * parameter.size();
  for (const auto& c : columns) {
    const auto same = [&](const auto& known) {
      return known->schema == c.labels->schema && known->name == c.labels->name;
    };
    if (c.labels != nullptr && std::none_of(enums_.begin(), enums_.end(), same))
      enums_.push_back(c.labels);
  }
}

node_ptr typing::refuse(std::int32_t location, const std::string& why, const char* field) {
  if (!error_) {
    error_ = refusal(location, why);
    error_->field = field;
  }
  return nullptr;
}

node_ptr typing::refuse_opaque(std::int32_t location) {
  return refuse(location, "of a column of this type only IS NULL and IS NOT NULL are supported");
}

type typing::type_of_column(const column& c) const {
  auto found = type::opaque;
  if (c.type_class == "b")
    found = type_named(c.type_name).value_or(type::opaque);
  else if (c.type_class == "e" && c.labels != nullptr)
    for (std::size_t i = 0; i < enums_.size(); ++i)
      if (enums_[i]->schema == c.labels->schema && enums_[i]->name == c.labels->name)
        found = static_cast<type>(static_cast<std::size_t>(type::first_enum) + i);
  return c.dimensions > 0 && found != type::opaque ? array_of(found) : found;
}

operand typing::column_named(const expression& e) {
  if (!e.qualifier.empty())
    return {refuse(e.location, "a column is named without its table"), nullptr, e.location};
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const auto& c = columns_[i];
    if (c.name != e.text)
      continue;
    auto& known = known_columns_[i];
    if (known != nullptr)
      return {known, nullptr, e.location};
    if (c.generated)
      return {refuse(e.location, "column " + quoted(c.name) +
                                     " is generated and not in the replication stream"),
              nullptr, e.location};
    node n{.op = operation::column,
           .result = type_of_column(c),
           .location = e.location,
           .column = static_cast<std::uint16_t>(i),
           .name = c.name};
    if (is_string(element_of(n.result)))
      n.strings = collation{c.ordered_bytewise, c.deterministic, c.cases};
    known = make(std::move(n));
    return {known, nullptr, e.location};
  }
  return {refuse(e.location, "unknown column " + quoted(e.text)), nullptr, e.location};
}

operand typing::number(const expression& e) {
  value ignored;
  workspace space;
  for (const auto t : {type::int4, type::int8})
    if (read_value(t, e.text, ignored, space) == reading::ok)
      return {literal({t}, e.text, e.location), nullptr, e.location};
  return {literal({type::numeric}, e.text, e.location), nullptr, e.location};
}

operand typing::boolean(const expression& e) {
  return {make_truth(e.number != 0), nullptr, e.location};
}

operand typing::parameter(const expression& e) {
  if (e.number < 1 || static_cast<std::size_t>(e.number) > values_.size())
    return {refuse(e.location, "there is no parameter $" + std::to_string(e.number), "params"),
            nullptr, e.location};
  const auto known = parameters_.find(e.number);
  return {known == parameters_.end() ? nullptr : known->second, &e, e.location};
}

std::optional<type> typing::enum_named(const expression& e) const {
  std::optional<type> found;
  for (std::size_t i = 0; i < enums_.size(); ++i) {
    if (enums_[i]->name != e.text || (!e.qualifier.empty() && enums_[i]->schema != e.qualifier))
      continue;
    if (found)
      return std::nullopt; // which one depends on search_path
    found = static_cast<type>(static_cast<std::size_t>(type::first_enum) + i);
  }
  return found;
}

namespace {

/// The modifier that a type's own input function makes of what stands in its brackets; nullopt if
/// that is nothing this type can have.
std::optional<std::int32_t> modifier_of(type t, const std::vector<std::int32_t>& given) {
  if (given.empty())
    return -1;
  const auto first = given.front();
  switch (t) {
  case type::varchar:
  case type::bpchar:
    if (given.size() == 1 && first >= 1 && first <= 10'485'760)
      return first + 4;
    break;
  case type::numeric: {
    const auto scale = given.size() > 1 ? given[1] : 0;
    if (given.size() <= 2 && first >= 1 && first <= 1000 && scale >= 0 && scale <= first)
      return (first << 16 | scale) + 4;
    break;
  }
  case type::time:
  case type::timestamp:
  case type::timestamptz:
    if (given.size() == 1 && first >= 0 && first <= 6)
      return first;
    break;
  case type::interval:
    if (given.size() == 1)
      return first;
    break;
  default:
    break;
  }
  return std::nullopt;
}

} // namespace

std::optional<named_type> typing::type_of_cast(const expression& e) {
  std::optional<type> found;
  if (e.qualifier.empty() || e.qualifier == "pg_catalog")
    found = type_named(e.text);
  if (!found && e.qualifier != "pg_catalog")
    found = enum_named(e);
  if (!found || found == type::opaque) {
    refuse(e.location, "casts to " + quoted(e.text) + " are not supported");
    return std::nullopt;
  }
  const auto modifier = modifier_of(*found, e.modifiers);
  if (!modifier || (*modifier >= 0 && e.to_array)) {
    refuse(e.location, "this type modifier is not supported");
    return std::nullopt;
  }
  return named_type{e.to_array ? array_of(*found) : *found, *modifier};
}

type typing::type_of(const operand& o) const {
  if (o.tree != nullptr)
    return o.tree->result;
  if (o.literal != nullptr && o.literal->kind == kind_type::parameter)
    if (const auto known = parameters_.find(o.literal->number); known != parameters_.end())
      return known->second->result;
  return type::unknown;
}

node_ptr typing::coerce(const operand& o, type target) {
  if (failed())
    return nullptr;
  auto tree = o.tree;
  if (tree == nullptr) {
    const auto& e = *o.literal;
    if (e.kind == kind_type::null)
      return make_null(target);
    if (e.kind == kind_type::string)
      return literal({target}, e.text, e.location);
    const auto known = parameters_.find(e.number);
    tree = known == parameters_.end() ? bind(e, {target}) : known->second;
  }
  if (tree == nullptr || tree->result == target)
    return tree;
  const auto how = explicit_cast(tree->result, target);
  if (!how || !is_implicit_cast(tree->result, target))
    return refuse(o.location, "type " + display(tree->result) + " where type " + display(target) +
                                  " is needed");
  return convert(tree, target, *how, o.location);
}

node_ptr typing::cast(const operand& o, const named_type& target, std::int32_t location) {
  if (failed())
    return nullptr;
  const auto source = type_of(o);
  if (source == type::opaque)
    return refuse_opaque(location);
  node_ptr tree;
  if (source == type::unknown) {
    const auto& e = *o.literal;
    // Of an interval's modifier, already reading depends: '5' is five days to interval day.
    const named_type as{target.is, target.is == type::interval ? target.modifier : -1};
    tree = e.kind == kind_type::null     ? make_null(target.is)
           : e.kind == kind_type::string ? literal(as, e.text, e.location)
                                         : bind(e, as);
  } else if (source == target.is) {
    tree = coerce(o, source);
  } else if (const auto how = explicit_cast(source, target.is)) {
    tree = convert(coerce(o, source), target.is, *how, location);
  } else {
    return refuse(location, "casts from " + display(source) + " to " + display(target.is) +
                                " are not supported");
  }
  return tree == nullptr ? nullptr : fit(tree, target, location);
}

node_ptr typing::fit(const node_ptr& n, const named_type& target, std::int32_t location) {
  if (target.modifier < 0)
    return n;
  if (target.is == type::interval)
    return is_constant(n) ? n
                          : refuse(location, "casts to interval with fields or precision are not "
                                             "supported");
  return build({.op = operation::convert,
                .result = target.is,
                .args = {n},
                .location = location,
                .how = conversion::fit,
                .modifier = target.modifier});
}

node_ptr typing::convert(const node_ptr& from, type target, conversion how, std::int32_t location,
                         bool silent) {
  if (from == nullptr)
    return nullptr;
  return build({.op = operation::convert,
                .result = target,
                .args = {from},
                .location = location,
                .how = how,
                .silent = silent});
}

node_ptr typing::build(operation op, std::vector<node_ptr> args) {
  return build(node{.op = op, .args = std::move(args)});
}

node_ptr typing::build(node n) {
  for (const auto& arg : n.args)
    if (arg == nullptr)
      return nullptr;
  inherit_collation(n);
  const bool strict = n.op == operation::compare || n.op == operation::convert ||
                      n.op == operation::at || (n.op == operation::apply && n.callee->strict);
  if (strict && std::any_of(n.args.begin(), n.args.end(), is_null_constant))
    return make_null(n.result);
  const bool constant_now = std::all_of(n.args.begin(), n.args.end(), is_constant);
  auto made = make(std::move(n));
  if (!constant_now)
    return made;
  workspace space{enums_};
  value v;
  const program steps{*made, enums_}; // `v` borrows from it
  const auto computed = steps.compute(space, v);
  if (computed == outcome::null)
    return make_null(made->result);
  if (computed == outcome::failed)
    return made;
  constant c{.is_null = false};
  append_value(c.text, made->result, v, enums_);
  literal_bytes_ += c.text.size();
  if (literal_bytes_ > literal_bytes_max_)
    return refuse(made->location, "the literals of the clause are too long together");
  return make_constant(made->result, std::move(c));
}

node_ptr typing::literal(const named_type& t, std::string_view text, std::int32_t location,
                         const char* field) {
  literal_bytes_ += text.size();
  constant out{.is_null = false};
  workspace space{enums_};
  value v;
  auto read = reading::ok;
  if (t.is == type::interval && t.modifier >= 0) {
    const bool known = (t.modifier & ~interval_fields::all) == 0;
    read = known ? read_interval(text, t.modifier, v) : reading::unsupported;
  } else {
    read = read_value(t.is, text, v, space);
  }
  if (read != reading::ok)
    return refuse(location, complaint(read, display(t.is), text), field);
  append_value(out.text, t.is, v, enums_);
  literal_bytes_ += out.text.size();
  if (literal_bytes_ > literal_bytes_max_)
    return refuse(location, "the literals of the clause are too long together", field);
  return make_constant(t.is, std::move(out));
}

node_ptr typing::bind(const expression& e, const named_type& target) {
  const auto& text = values_[static_cast<std::size_t>(e.number) - 1];
  if (!is_storable_text(text))
    return refuse(e.location, "parameter $" + std::to_string(e.number) + " is not valid UTF-8",
                  "params");
  auto bound = literal(target, text, e.location, "params");
  if (bound != nullptr)
    parameters_.emplace(e.number, bound);
  return bound;
}

} // namespace busbar::sql
