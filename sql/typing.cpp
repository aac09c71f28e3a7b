#include "sql/typing.hpp"

#include "sql/lexical_check.hpp"

#include <algorithm>
#include <utility>

namespace busbar::sql {
namespace {

using kind_type = expression::kind_type;

std::string complaint(reading why, type t, std::string_view text) {
  const auto name = std::string{display_name(t)};
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

node_ptr null_of(type t) {
  return make(node{.op = operation::constant, .result = t, .literal = {.of = t}});
}

/// A constant as its output function prints it, except that boolean has a cast of its own.
node_ptr text_of(const constant& from) {
  constant out{.of = type::text, .is_null = from.is_null, .text = from.text};
  if (from.of == type::boolean && !from.is_null)
    out.text = from.bits.integer != 0 ? "true" : "false";
  return make(node{.op = operation::constant, .result = type::text, .literal = std::move(out)});
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

operand typing::column_named(const expression& e) {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const auto& c = columns_[i];
    if (c.name != e.text)
      continue;
    if (c.generated)
      return {refuse(e.location, "column " + quoted(c.name) +
                                     " is generated and not in the replication stream"),
              nullptr, e.location};
    const bool known = c.type_class == "b" && c.dimensions == 0;
    auto found =
        make(node{.op = operation::column,
                  .result = known ? type_named(c.type_name).value_or(type::opaque) : type::opaque,
                  .column = static_cast<std::uint16_t>(i),
                  .name = c.name});
    return {std::move(found), nullptr, e.location};
  }
  return {refuse(e.location, "unknown column " + quoted(e.text)), nullptr, e.location};
}

operand typing::number(const expression& e) {
  value ignored;
  for (const auto t : {type::int4, type::int8})
    if (read_value(t, e.text, ignored) == reading::ok)
      return {literal(t, e.text, e.location), nullptr, e.location};
  return {literal(type::numeric, e.text, e.location), nullptr, e.location};
}

operand typing::boolean(const expression& e) {
  return {literal(type::boolean, e.number != 0 ? "t" : "f", e.location), nullptr, e.location};
}

operand typing::parameter(const expression& e) {
  if (e.number < 1 || static_cast<std::size_t>(e.number) > values_.size())
    return {refuse(e.location, "there is no parameter $" + std::to_string(e.number), "params"),
            nullptr, e.location};
  const auto known = parameters_.find(e.number);
  return {known == parameters_.end() ? nullptr : known->second, &e, e.location};
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
      return null_of(target);
    if (e.kind == kind_type::string)
      return literal(target, e.text, e.location);
    const auto known = parameters_.find(e.number);
    tree = known == parameters_.end() ? bind(e, target) : known->second;
  }
  if (tree == nullptr || tree->result == target)
    return tree;
  const auto how = explicit_cast(tree->result, target);
  if (!how || !is_implicit_cast(tree->result, target))
    return refuse(o.location, "type " + std::string{display_name(tree->result)} + " where type " +
                                  std::string{display_name(target)} + " is needed");
  return convert(tree, target, *how, false, o.location);
}

node_ptr typing::cast(const operand& o, type target, std::int32_t location) {
  if (failed())
    return nullptr;
  const auto source = type_of(o);
  if (source == type::unknown || source == target)
    return coerce(o, target);
  if (source == type::opaque)
    return refuse_opaque(location);
  if (const auto how = explicit_cast(source, target))
    return convert(coerce(o, source), target, *how, false, location);
  if (target == type::text && o.tree != nullptr && o.tree->op == operation::constant)
    return text_of(o.tree->literal);
  return refuse(location, "casts from " + std::string{display_name(source)} + " to " +
                              std::string{display_name(target)} + " are not supported");
}

node_ptr typing::convert(const node_ptr& from, type target, conversion how, bool silent,
                         std::int32_t location) {
  if (from->op != operation::constant)
    return make(node{
        .op = operation::convert, .result = target, .args = {from}, .how = how, .silent = silent});
  if (from->literal.is_null)
    return null_of(target);
  auto v = from->literal.get();
  if (!sql::convert(how, v))
    return refuse(location, "value " + quoted(from->literal.text) + " is out of range for type " +
                                std::string{display_name(target)});
  constant out{.of = target, .is_null = false, .text = write_value(target, v), .bits = v};
  out.bits.text = {};
  literal_bytes_ += out.text.size();
  return make(node{.op = operation::constant, .result = target, .literal = std::move(out)});
}

const column* typing::column_of(const node_ptr& n) const {
  const auto bare = without_conversion(n);
  return bare->op == operation::column ? &columns_[bare->column] : nullptr;
}

node_ptr typing::literal(type t, std::string_view text, std::int32_t location, const char* field) {
  literal_bytes_ += text.size();
  constant out{.of = t, .is_null = false};
  const auto read = read_value(t, text, out.bits);
  if (read != reading::ok)
    return refuse(location, complaint(read, t, text), field);
  out.text = write_value(t, out.bits);
  out.bits.text = {};
  literal_bytes_ += out.text.size();
  if (literal_bytes_ > literal_bytes_max)
    return refuse(location, "the literals of the clause are too long together", field);
  return make(node{.op = operation::constant, .result = t, .literal = std::move(out)});
}

node_ptr typing::bind(const expression& e, type target) {
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
