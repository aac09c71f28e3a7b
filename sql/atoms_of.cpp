#include "sql/atoms_of.hpp"

#include "sql/array.hpp"
#include "sql/json.hpp"
#include "sql/text.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace busbar::sql {
namespace {

using kind_type = atom::kind_type;
using alternatives = std::vector<conjunction>; ///< None: no row can do it.

constexpr std::size_t depth_max = 200;

alternatives nothing_known() {
  return {conjunction{}};
}
alternatives certain(bool yes) {
  return yes ? alternatives{conjunction{{}, true}} : alternatives{};
}
alternatives exactly(atom a) {
  return {conjunction{{std::move(a)}, true}};
}
alternatives roughly(atom a) {
  return {conjunction{{std::move(a)}, false}};
}

/// Narrows a range that is there already, so that BETWEEN becomes one atom.
bool merge_range(std::vector<atom>& atoms, const atom& more) {
  if (more.kind != kind_type::range)
    return false;
  for (auto& a : atoms) {
    if (a.kind != kind_type::range || a.form != more.form)
      continue;
    if (more.lower.exists && (!a.lower.exists || more.lower.key > a.lower.key ||
                              (more.lower.key == a.lower.key && !more.lower.inclusive)))
      a.lower = more.lower;
    if (more.upper.exists && (!a.upper.exists || more.upper.key < a.upper.key ||
                              (more.upper.key == a.upper.key && !more.upper.inclusive)))
      a.upper = more.upper;
    return true;
  }
  return false;
}

bool all_have_atoms(const alternatives& list) {
  return std::all_of(list.begin(), list.end(), [](const auto& c) { return !c.atoms.empty(); });
}

/// Both must hold. If that is too much to spell out, only one of them is kept, which is safe.
alternatives both(alternatives a, alternatives b) {
  if (a.size() * b.size() > conjunctions_max) {
    const bool keep_a = all_have_atoms(a) && (!all_have_atoms(b) || a.size() <= b.size());
    auto& kept = keep_a ? a : b;
    for (auto& c : kept)
      c.complete = false;
    return std::move(kept);
  }
  alternatives out;
  for (const auto& x : a) {
    for (const auto& y : b) {
      auto& c = out.emplace_back(x);
      c.complete = x.complete && y.complete;
      for (const auto& one : y.atoms)
        if (!merge_range(c.atoms, one))
          c.atoms.push_back(one);
    }
  }
  return out;
}

alternatives either(alternatives a, alternatives b) {
  if (a.size() + b.size() > conjunctions_max)
    return nothing_known();
  a.insert(a.end(), std::make_move_iterator(b.begin()), std::make_move_iterator(b.end()));
  return a;
}

/// A column, or a conversion of one that has keys; the form is then what it is compared as.
std::optional<key_form> form_of(const node& n) {
  const auto* column = &n;
  if (n.op == operation::convert)
    column = n.args.front().get();
  if (column->op != operation::column || is_array(column->result) || n.modifier >= 0)
    return std::nullopt;
  const auto kernel = kernel_of(n.result);
  if (kernel == kernel::json || kernel == kernel::array)
    return std::nullopt;
  key_form form{column->column, column->result, n.result, false};
  if (n.op == operation::column)
    return form;
  switch (n.how) {
  case conversion::relabel:
  case conversion::integer_to_numeric:
  case conversion::integer_to_float4:
  case conversion::integer_to_float8:
  case conversion::numeric_to_float8:
  case conversion::date_to_instant:
    return form;
  case conversion::trim_blanks:
    form.as = type::bpchar; // whose keys are trimmed
    return form;
  case conversion::print:
    if (!is_enum(column->result))
      return std::nullopt;
    form.as = column->result; // by its label
    return form;
  default:
    return std::nullopt;
  }
}

/// The key of a constant that is compared with such a column.
std::optional<std::string> key_of(const key_form& form, type t, const constant& c) {
  std::string key;
  if (is_enum(form.from)) {
    key = c.text;
  } else if (kernel_of(t) == kernel::text || kernel_of(t) == kernel::blank_padded) {
    key = t == type::bpchar ? trim_blanks(c.text) : std::string_view{c.text};
  } else {
    const auto as = kernel_of(t) == kernel_of(form.as) ? t : form.as;
    if (!append_key({form.column, t, as, false}, c.text, key))
      return std::nullopt;
  }
  return key;
}

void tidy(std::vector<std::string>& keys) {
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
}

/// `column` ? key, or `column` @> an object: that has at least its keys.
alternatives json_atoms(const node& column, const node& other, bool is_key) {
  if (column.op != operation::column || other.op != operation::constant || other.literal.is_null)
    return nothing_known();
  atom a{.kind = kind_type::contains, .form = {column.column, type::jsonb, type::jsonb, true}};
  if (is_key) {
    workspace space;
    a.keys.emplace_back(json_quoted(other.literal.text, space));
    return a.keys[0].empty() ? nothing_known() : exactly(std::move(a));
  }
  if (!other.literal.text.starts_with('{'))
    return nothing_known();
  for (const auto key : json_keys(other.literal.text))
    a.keys.emplace_back(key);
  tidy(a.keys);
  return a.keys.empty() ? nothing_known() : roughly(std::move(a));
}

/// When `n` is not NULL. A path into jsonb leads to NULL where the first of its keys is missing,
/// and a conversion of NULL is NULL.
alternatives path_atoms(const node& n) {
  const node* first = nullptr;
  for (const auto* at = &n;; at = at->args.front().get()) {
    if (at->op == operation::apply && (at->callee->name == "->" || at->callee->name == "->>"))
      first = at;
    else if (at->op != operation::convert)
      break;
  }
  if (first == nullptr || first->args[0]->result != type::jsonb ||
      first->args[1]->result != type::text)
    return nothing_known();
  auto out = json_atoms(*first->args[0], *first->args[1], true);
  for (auto& c : out)
    c.complete = false;
  return out;
}

alternatives comparison_atoms(const node& n, comparison test) {
  const auto& right = *n.args[1];
  const auto form = form_of(*n.args[0]);
  if (!form)
    return path_atoms(*n.args[0]);
  if (right.op != operation::constant)
    return nothing_known();
  if (right.literal.is_null)
    return certain(false);
  if (test == comparison::not_equal)
    return nothing_known();
  // A constant date against a timestamp stays a date if it is out of every timestamp's range.
  auto key = key_of(*form, right.result, right.literal);
  if (!key)
    return nothing_known();
  atom a{.form = *form};
  if (test == comparison::equal) {
    a.keys.push_back(std::move(*key));
    return exactly(std::move(a));
  }
  if (is_enum(form->from))
    return nothing_known();
  a.kind = kind_type::range;
  const bool inclusive = test == comparison::less_equal || test == comparison::greater_equal;
  const bool from_above = test == comparison::less || test == comparison::less_equal;
  (from_above ? a.upper : a.lower) = {true, inclusive, std::move(*key)};
  return exactly(std::move(a));
}

alternatives set_atoms(const node& n) {
  const auto form = form_of(*n.args[0]);
  if (!form)
    return path_atoms(*n.args[0]);
  atom a{.form = *form};
  for (const auto& member : n.set) {
    auto key = key_of(*form, n.element, member);
    if (!key)
      return nothing_known();
    a.keys.push_back(std::move(*key));
  }
  tidy(a.keys);
  return exactly(std::move(a));
}

/// `column` LIKE a constant: what stands before the first wildcard.
alternatives like_atoms(const node& column, const constant& pattern) {
  auto form = form_of(column);
  if (!form)
    return path_atoms(column);
  if (is_enum(form->from) || !is_string(form->from))
    return nothing_known();
  form->as = type::text; // of a bpchar too, LIKE sees the blanks
  std::string prefix;
  auto rest = std::string_view{pattern.text};
  while (!rest.empty() && rest.front() != '%' && rest.front() != '_') {
    if (rest.front() == '\\')
      rest.remove_prefix(1);
    if (rest.empty())
      return nothing_known();
    prefix += rest.front();
    rest.remove_prefix(1);
  }
  atom a{.form = *form, .keys = {prefix}};
  if (rest.empty())
    return exactly(std::move(a));
  if (prefix.empty())
    return nothing_known();
  a.kind = kind_type::prefix;
  return rest == "%" ? exactly(std::move(a)) : roughly(std::move(a));
}

/// The form of the elements of an array column.
std::optional<key_form> element_form(const node& n) {
  if (n.op != operation::column || !is_array(n.result))
    return std::nullopt;
  const auto element = element_of(n.result);
  if (kernel_of(element) == kernel::json)
    return std::nullopt;
  return key_form{n.column, element, element, true};
}

alternatives element_atoms(kind_type kind, const node& column, const node& list) {
  const auto form = element_form(column);
  workspace space;
  value v;
  const auto element = form && is_enum(form->from) ? type::text : element_of(list.result);
  if (!form || list.op != operation::constant || list.literal.is_null ||
      read_value(array_of(element), list.literal.text, v, space) != reading::ok)
    return nothing_known();
  const bool has_null = std::any_of(v.array->items.begin(), v.array->items.end(),
                                    [](const datum& item) { return item.null; });
  if (has_null && kind == kind_type::contains)
    return certain(false); // no array contains a NULL
  atom a{.kind = kind, .form = *form};
  (void)read_element_keys(*form, list.literal.text, a.keys);
  if (!a.keys.empty())
    return exactly(std::move(a));
  return kind == kind_type::overlaps ? certain(false)
                                     : exactly({.kind = kind_type::is_not_null, .form = *form});
}

alternatives call_atoms(const node& n) {
  const auto name = n.callee->name;
  if (n.args.size() != 2)
    return nothing_known();
  const auto& left = *n.args[0];
  const auto& right = *n.args[1];
  if (name == "~~" && right.op == operation::constant && !right.literal.is_null)
    return like_atoms(left, right.literal);
  if (left.result == type::jsonb && (name == "@>" || name == "?"))
    return json_atoms(left, right, name == "?");
  if (left.result == type::jsonb && name == "<@")
    return json_atoms(right, left, false);
  if (is_array(left.result) && name == "@>")
    return element_atoms(kind_type::contains, left, right);
  if (is_array(left.result) && name == "<@")
    return element_atoms(kind_type::contains, right, left);
  if (is_array(left.result) && name == "&&")
    return element_atoms(kind_type::overlaps, left.op == operation::column ? left : right,
                         left.op == operation::column ? right : left);
  return nothing_known();
}

/// constant = ANY (column)
alternatives any_atoms(const node& n) {
  const auto form = element_form(*n.args[1]);
  const auto& left = *n.args[0];
  if (n.all || n.callee != nullptr || n.test != comparison::equal || !form ||
      left.op != operation::constant)
    return nothing_known();
  if (left.literal.is_null) // unknown at best
    return certain(false);
  auto key = key_of(*form, left.result, left.literal);
  if (!key)
    return nothing_known();
  return exactly({.kind = kind_type::contains, .form = *form, .keys = {std::move(*key)}});
}

alternatives boolean_atoms(const node& n, bool wanted) {
  atom a{.form = {n.column, type::boolean, type::boolean, false}};
  return append_key(a.form, wanted ? "t" : "f", a.keys.emplace_back()) ? exactly(std::move(a))
                                                                       : nothing_known();
}

/// When `n` is true, or false if that is `wanted`.
alternatives walk(const node& n, bool wanted, std::size_t depth) {
  if (depth > depth_max)
    return nothing_known();
  switch (n.op) {
  case operation::conjunction:
  case operation::disjunction: {
    const bool all = (n.op == operation::conjunction) == wanted;
    auto out = certain(all);
    for (const auto& arg : n.args) {
      auto part = walk(*arg, wanted, depth + 1);
      out = all ? both(std::move(out), std::move(part)) : either(std::move(out), std::move(part));
    }
    return out;
  }
  case operation::negation:
    return walk(*n.args[0], !wanted, depth + 1);
  case operation::is_true:
    return wanted ? walk(*n.args[0], true, depth + 1) : nothing_known();
  case operation::is_false:
    return wanted ? walk(*n.args[0], false, depth + 1) : nothing_known();
  case operation::is_null:
    if (n.args[0]->op != operation::column)
      return wanted ? nothing_known() : path_atoms(*n.args[0]);
    return exactly({.kind = wanted ? kind_type::is_null : kind_type::is_not_null,
                    .form = {.column = n.args[0]->column}});
  case operation::compare:
    return comparison_atoms(n, wanted ? n.test : opposite(n.test));
  case operation::one_of:
    return wanted ? set_atoms(n) : nothing_known();
  case operation::column:
    return boolean_atoms(n, wanted);
  case operation::constant:
    return certain(!n.literal.is_null && n.literal.text == (wanted ? "t" : "f"));
  case operation::apply:
    return wanted ? call_atoms(n) : nothing_known();
  case operation::convert:
    return path_atoms(n);
  case operation::quantified:
    return wanted ? any_atoms(n) : nothing_known();
  default:
    return nothing_known();
  }
}

} // namespace

std::vector<conjunction> atoms_of(const node& tree) {
  return walk(tree, true, 0);
}

} // namespace busbar::sql
