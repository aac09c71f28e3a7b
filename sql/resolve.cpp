#include "sql/resolve.hpp"

#include <algorithm>
#include <vector>

namespace busbar::sql {
namespace {

using signature = std::array<type, 3>;

/// What the polymorphic types of one function stand for, given the operands; nullopt if they do
/// not fit. Operands of unknown type fit everywhere and take what the others decide.
class polymorphism {
public:
  static std::optional<resolved> match(const function& f, std::span<const type> types) {
    polymorphism p;
    for (std::size_t i = 0; i < types.size(); ++i)
      if (!p.see(f.args[i], types[i]))
        return std::nullopt;
    const auto common = p.common_.get();
    if (!common)
      return std::nullopt;
    p.compatible_ = *common;
    if (p.element_ != type::unknown && f.args[0] == type::any_enum && !is_enum(p.element_))
      return std::nullopt;
    resolved out{&f, {}, p.actual(f.result)};
    for (std::size_t i = 0; i < types.size(); ++i) {
      out.args[i] = p.actual(f.args[i]);
      if (types[i] != type::unknown && out.args[i] != type::unknown &&
          !is_implicit_cast(types[i], out.args[i]))
        return std::nullopt;
    }
    return out;
  }

private:
  bool see(type declared, type actual) {
    if (!is_polymorphic(declared) || actual == type::unknown)
      return true;
    switch (declared) {
    case type::any_array:
      return is_array(actual) && agree(element_of(actual));
    case type::any_compatible_array:
      if (!is_array(actual))
        return false;
      common_.add(element_of(actual));
      return true;
    case type::any_compatible:
      common_.add(actual);
      return true;
    case type::any_non_array:
      return !is_array(actual) && agree(actual);
    default:
      return agree(actual);
    }
  }
  bool agree(type actual) {
    if (element_ != type::unknown && element_ != actual)
      return false;
    element_ = actual;
    return true;
  }

  type actual(type declared) const {
    switch (declared) {
    case type::any_array:
      return element_ == type::unknown ? type::unknown : array_of(element_);
    case type::any_compatible_array:
      return compatible_ == type::unknown || is_array(compatible_) ? type::unknown
                                                                   : array_of(compatible_);
    case type::any_compatible:
      return compatible_;
    case type::any_element:
    case type::any_non_array:
    case type::any_enum:
      return element_;
    default:
      return declared;
    }
  }

  type element_ = type::unknown;
  type compatible_ = type::unknown;
  common_type common_;
};

std::optional<resolved> fit(const function& f, std::span<const type> types) {
  return polymorphism::match(f, types);
}

bool is_exact(const function& f, std::span<const type> types) {
  return std::equal(types.begin(), types.end(), f.args.begin());
}

/// All operands and the result have types: it can be called.
std::optional<resolved> settled(const function& f, std::span<const type> types) {
  auto out = fit(f, types);
  if (!out || out->result == type::unknown ||
      std::any_of(out->args.begin(), out->args.begin() + static_cast<std::ptrdiff_t>(types.size()),
                  [](type t) { return t == type::unknown; }))
    return std::nullopt;
  return out;
}

using candidates = std::vector<const function*>;

/// Keeps those with the highest score.
template <class Score>
void keep_best(candidates& list, Score score) {
  int best = -1;
  candidates kept;
  for (const auto* f : list) {
    const int s = score(*f);
    if (s > best) {
      best = s;
      kept.clear();
    }
    if (s == best)
      kept.push_back(f);
  }
  list = std::move(kept);
}

bool is_preferred_in(type declared, category group) {
  return !is_polymorphic(declared) && category_of(declared) == group && is_preferred(declared);
}

/// Pseudo types are a category of their own.
category declared_category(type declared) {
  return is_polymorphic(declared) ? category::unknown : category_of(declared);
}

/// What an operand of unknown type is taken for.
struct guess {
  category group = category::unknown;
  bool preferred = false; ///< Only the preferred type of the group will do.

  bool allows(type declared) const {
    return declared_category(declared) == group && (!preferred || is_preferred_in(declared, group));
  }
};

/// nullopt if the candidates disagree; a string settles every argument.
std::optional<guess> guess_operand(const candidates& list, std::size_t i) {
  guess out{declared_category(list.front()->args[i]), false};
  bool conflict = false;
  bool has_string = false;
  for (const auto* f : list) {
    conflict = conflict || declared_category(f->args[i]) != out.group;
    has_string = has_string || declared_category(f->args[i]) == category::string;
  }
  if (has_string)
    out.group = category::string;
  else if (conflict)
    return std::nullopt;
  for (const auto* f : list)
    out.preferred = out.preferred || is_preferred_in(f->args[i], out.group);
  return out;
}

/// False if no guess is possible.
bool keep_by_category(candidates& list, std::span<const type> types) {
  candidates kept = list;
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (types[i] != type::unknown)
      continue;
    const auto guessed = guess_operand(list, i);
    if (!guessed)
      return false;
    std::erase_if(kept, [&](const function* f) { return !guessed->allows(f->args[i]); });
  }
  if (!kept.empty())
    list = std::move(kept);
  return true;
}

std::optional<resolved> choose(candidates list, std::span<const type> types) {
  if (list.size() == 1)
    return settled(*list.front(), types);
  keep_best(list, [&](const function& f) {
    int exact = 0;
    for (std::size_t i = 0; i < types.size(); ++i)
      exact += types[i] != type::unknown && f.args[i] == types[i];
    return exact;
  });
  if (list.size() == 1)
    return settled(*list.front(), types);
  keep_best(list, [&](const function& f) {
    int good = 0;
    for (std::size_t i = 0; i < types.size(); ++i)
      good += types[i] != type::unknown &&
              (f.args[i] == types[i] || is_preferred_in(f.args[i], category_of(types[i])));
    return good;
  });
  if (list.size() == 1)
    return settled(*list.front(), types);
  const auto unknowns = std::count(types.begin(), types.end(), type::unknown);
  if (unknowns == 0)
    return std::nullopt;
  auto narrowed = list;
  if (keep_by_category(narrowed, types)) {
    if (narrowed.size() == 1)
      return settled(*narrowed.front(), types);
    list = std::move(narrowed);
  }
  // Last: if all known operands are of one type, perhaps the unknown ones are too.
  type known = type::unknown;
  for (const auto t : types) {
    if (t == type::unknown || t == known)
      continue;
    if (known != type::unknown)
      return std::nullopt;
    known = t;
  }
  if (known == type::unknown)
    return std::nullopt;
  const std::vector<type> same(types.size(), known);
  std::optional<resolved> only;
  for (const auto* f : list) {
    if (!fit(*f, same))
      continue;
    if (only)
      return std::nullopt;
    only = settled(*f, types);
    if (!only)
      only = settled(*f, same);
    if (!only)
      return std::nullopt;
  }
  return only;
}

} // namespace

std::optional<resolved> resolve(std::span<const function* const> all, std::span<const type> types,
                                bool is_operator) {
  std::vector<type> guessed(types.begin(), types.end());
  if (is_operator && types.size() == 2) {
    if (guessed[0] == type::unknown)
      guessed[0] = guessed[1];
    else if (guessed[1] == type::unknown)
      guessed[1] = guessed[0];
  }
  for (const auto* f : all)
    if (guessed.front() != type::unknown && is_exact(*f, guessed))
      return settled(*f, guessed);
  candidates list;
  for (const auto* f : all)
    if (fit(*f, types))
      list.push_back(f);
  if (list.empty())
    return std::nullopt;
  return choose(std::move(list), types);
}

} // namespace busbar::sql
