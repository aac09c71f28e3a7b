// The forms with a syntax of their own: COALESCE, CASE, arrays, subscripts, rows.
#include "sql/checker.hpp"

#include <algorithm>
#include <utility>

namespace busbar::sql {

std::optional<type> checker::common_type_of(const std::vector<operand>& parts, const char* form,
                                            std::int32_t location) {
  if (types_.failed())
    return std::nullopt;
  common_type common;
  for (const auto& part : parts) {
    const auto t = types_.type_of(part);
    if (t == type::opaque) {
      types_.refuse_opaque(location);
      return std::nullopt;
    }
    common.add(t);
  }
  const auto found = common.get();
  if (!found) {
    types_.refuse(location, std::string{"the parts of "} + form + " have no common type");
    return std::nullopt;
  }
  return *found == type::unknown ? type::text : *found;
}

std::vector<node_ptr> checker::coerce_all(const std::vector<operand>& parts, type common) {
  std::vector<node_ptr> out;
  out.reserve(parts.size());
  for (const auto& part : parts)
    out.push_back(types_.coerce(part, common));
  return out;
}

/// What stands behind a constant that is not NULL is never computed.
node_ptr checker::coalesce(const expression& e) {
  const auto parts = analyze_all(e.args);
  const auto common = common_type_of(parts, "COALESCE", e.location);
  if (!common)
    return nullptr;
  std::vector<node_ptr> kept;
  for (auto& part : coerce_all(parts, *common)) {
    if (part == nullptr)
      return nullptr;
    if (is_null_constant(part))
      continue;
    kept.push_back(part);
    if (is_constant(part))
      break;
  }
  if (kept.empty())
    return make_null(*common);
  if (kept.size() == 1)
    return kept.front();
  return types_.build({.op = operation::coalesce,
                       .result = *common,
                       .args = std::move(kept),
                       .location = e.location});
}

node_ptr checker::extreme(const expression& e) {
  const bool greatest = e.kind == kind_type::greatest;
  const auto parts = analyze_all(e.args);
  const auto common = common_type_of(parts, greatest ? "GREATEST" : "LEAST", e.location);
  if (!common)
    return nullptr;
  auto args = coerce_all(parts, *common);
  if (std::count(args.begin(), args.end(), nullptr) > 0)
    return nullptr;
  return operators_.extreme(greatest ? comparison::greater : comparison::less, std::move(args),
                            e.location);
}

/// Branches behind a constant condition are taken or left now, as PostgreSQL does it.
node_ptr checker::choose(node n) {
  std::vector<node_ptr> kept;
  for (std::size_t i = 0; i + 1 < n.args.size(); i += 2) {
    const auto& condition = n.args[i];
    if (condition == nullptr || n.args[i + 1] == nullptr)
      return nullptr;
    const bool known = is_constant(condition);
    if (known && !condition->literal.is_null && condition->literal.text == "t") {
      n.args.back() = n.args[i + 1];
      break;
    }
    if (!known)
      kept.insert(kept.end(), {condition, n.args[i + 1]});
  }
  if (kept.empty())
    return n.args.back();
  kept.push_back(n.args.back());
  n.args = std::move(kept);
  return types_.build(std::move(n));
}

/// CASE WHEN a = b THEN NULL ELSE a END
node_ptr checker::null_if(const expression& e) {
  const auto left = analyze(e.args[0]);
  const auto right = analyze(e.args[1]);
  if (types_.failed())
    return nullptr;
  auto equal = operators_.apply("=", {left, right}, e.location);
  const auto sides = operators_.equal_sides(left, right, e.location);
  if (equal == nullptr || !sides)
    return nullptr;
  const auto result = sides->left->result;
  return choose({.op = operation::choice,
                 .result = result,
                 .args = {std::move(equal), make_null(result), sides->left},
                 .location = e.location});
}

node_ptr checker::choice(const expression& e) {
  const bool compares = (e.number & 1) != 0;
  const bool has_else = (e.number & 2) != 0;
  const auto first = e.args.begin() + (compares ? 1 : 0);
  const auto last = e.args.end() - (has_else ? 1 : 0);
  operand compared;
  if (compares) {
    compared = analyze(e.args.front());
    if (types_.failed())
      return nullptr;
    if (types_.type_of(compared) == type::unknown)
      compared = {types_.coerce(compared, type::text), nullptr, compared.location};
  }
  std::vector<node_ptr> conditions;
  std::vector<operand> results;
  const expression null{.kind = kind_type::null, .location = e.location};
  results.push_back(analyze(has_else ? e.args.back() : null));
  for (auto part = first; part != last; part += 2) {
    conditions.push_back(compares
                             ? operators_.apply("=", {compared, analyze(*part)}, part->location)
                             : boolean(*part, "CASE WHEN"));
    results.push_back(analyze(*(part + 1)));
  }
  const auto common = common_type_of(results, "CASE", e.location);
  if (!common)
    return nullptr;
  const auto typed = coerce_all(results, *common);
  node n{.op = operation::choice, .result = *common, .location = e.location};
  for (std::size_t i = 0; i < conditions.size(); ++i) {
    n.args.push_back(conditions[i]);
    n.args.push_back(typed[i + 1]);
  }
  n.args.push_back(typed.front());
  return choose(std::move(n));
}

node_ptr checker::function(const expression& e) {
  if (e.text == "concat")
    return concat(e);
  const auto args = analyze_all(e.args);
  if (types_.failed())
    return nullptr;
  if (args.empty())
    return types_.refuse(e.location, "function " + e.text + " is not supported");
  return operators_.call(e.text, args, e.location);
}

/// concat() takes what each type's output function prints: `t` for true, where a cast says `true`.
node_ptr checker::concat(const expression& e) {
  if (e.args.empty())
    return types_.refuse(e.location, "concat needs an argument");
  node n{.op = operation::concat, .result = type::text, .location = e.location};
  for (const auto& part : analyze_all(e.args)) {
    if (types_.failed())
      return nullptr;
    const auto t = types_.type_of(part);
    if (t == type::boolean)
      return types_.refuse(part.location, "concat of boolean is not supported; cast it");
    n.args.push_back(t == type::bpchar ? types_.coerce(part, t)
                                       : types_.cast(part, {type::text}, part.location));
  }
  return types_.build(std::move(n));
}

// --- Arrays ----------------------------------------------------------------------------------

/// ARRAY[…], each element cast to `element` if that is given.
operand checker::array(const expression& e, std::optional<type> element) {
  operand failed{nullptr, nullptr, e.location};
  std::vector<operand> parts;
  bool nested = false;
  for (const auto& arg : e.args) {
    parts.push_back(arg.kind == kind_type::array ? array(arg, element) : analyze(arg));
    nested = nested || is_array(types_.type_of(parts.back()));
  }
  if (types_.failed())
    return failed;
  type of = type::unknown;
  std::vector<node_ptr> items;
  if (element) {
    of = nested ? array_of(*element) : *element;
    for (const auto& part : parts)
      items.push_back(types_.cast(part, {of}, part.location));
  } else {
    if (parts.empty()) {
      types_.refuse(e.location, "cannot determine type of empty array");
      return failed;
    }
    const auto common = common_type_of(parts, "ARRAY[…]", e.location);
    if (!common)
      return failed;
    of = *common;
    items = coerce_all(parts, of);
  }
  auto tree = types_.build({.op = operation::array,
                            .result = array_of(element_of(of)),
                            .args = std::move(items),
                            .location = e.location});
  return {std::move(tree), nullptr, e.location};
}

node_ptr checker::at(const expression& e) {
  const auto array = analyze(e.args.front());
  if (types_.failed())
    return nullptr;
  const auto t = types_.type_of(array);
  if (t == type::opaque)
    return types_.refuse_opaque(e.location);
  if (!is_array(t))
    return types_.refuse(e.location, "cannot subscript type " + types_.display(t) +
                                         " because it does not support subscripting");
  node n{.op = operation::at, .args = {types_.coerce(array, t)}, .location = e.location};
  bool slice = false;
  for (std::size_t i = 1; i < e.args.size(); ++i) {
    const auto& s = e.args[i];
    n.at.push_back({(s.number & 4) != 0, (s.number & 1) != 0, (s.number & 2) != 0});
    slice = slice || n.at.back().slice;
    for (const auto& bound : s.args) {
      const auto index = analyze(bound);
      if (types_.failed())
        return nullptr;
      // As in an assignment: a numeric is rounded.
      const auto from = types_.type_of(index);
      if (from != type::unknown && category_of(from) != category::numeric)
        return types_.refuse(bound.location, "array subscript must have type integer");
      n.args.push_back(types_.cast(index, {type::int4}, bound.location));
    }
  }
  constexpr std::size_t subscripts_max = 6;
  if (n.at.size() > subscripts_max)
    return types_.refuse(e.location, "number of array dimensions exceeds the maximum allowed (6)");
  n.result = slice ? t : element_of(t);
  return types_.build(std::move(n));
}

// --- Rows ------------------------------------------------------------------------------------

node_ptr checker::rows(const expression& e) {
  const auto& a = e.args[0];
  const auto& b = e.args[1];
  if (a.kind != kind_type::row || b.kind != kind_type::row)
    return types_.refuse(e.location, "a row can be compared with a row only");
  if (a.args.size() != b.args.size() || a.args.empty())
    return types_.refuse(e.location, "unequal number of entries in row expressions");
  const auto left = analyze_all(a.args);
  const auto right = analyze_all(b.args);
  if (types_.failed())
    return nullptr;
  const bool equal = e.text == "=";
  if (equal || e.text == "<>") {
    std::vector<node_ptr> fields;
    for (std::size_t i = 0; i < left.size(); ++i)
      fields.push_back(operators_.apply(e.text, {left[i], right[i]}, e.location));
    return join(equal ? operation::conjunction : operation::disjunction, fields);
  }
  if (e.text == "<" || e.text == "<=" || e.text == ">" || e.text == ">=")
    return row_less(e.text, left, right, e.location);
  return types_.refuse(e.location, "operator " + e.text + " is not supported for rows");
}

/// The first fields that differ decide: a < b OR (a = b AND (…)), which is unknown exactly where
/// PostgreSQL meets a NULL before it can decide.
node_ptr checker::row_less(std::string_view last, const std::vector<operand>& left,
                           const std::vector<operand>& right, std::int32_t location) {
  const auto strict = last.substr(0, 1);
  auto i = left.size() - 1;
  auto decided = operators_.apply(last, {left[i], right[i]}, location);
  while (i-- > 0) {
    auto equal = operators_.apply("=", {left[i], right[i]}, location);
    auto less = operators_.apply(strict, {left[i], right[i]}, location);
    decided = join(
        operation::disjunction,
        {std::move(less), join(operation::conjunction, {std::move(equal), std::move(decided)})});
  }
  return decided;
}

} // namespace busbar::sql
