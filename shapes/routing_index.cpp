#include "shapes/routing_index.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

namespace busbar {

namespace {

using sql::atom;
using kind_type = sql::atom::kind_type;

/// One equality is entered by so many columns and keys at most. Every set of columns is one more
/// thing to ask for each row, so there is an end to these, too.
constexpr std::size_t parts_max = 4;
constexpr std::size_t keys_max = 32;
constexpr std::size_t key_tables_max = 64;

constexpr std::size_t few_keys = 64;

/// By rule of thumb, for we know nothing of the rows: the less, the fewer rows an atom lets
/// through.
int looseness(const atom& a) {
  switch (a.kind) {
  case kind_type::one_of:
    return a.form.from == sql::type::boolean ? 7 : a.keys.size() <= few_keys ? 0 : 4;
  case kind_type::contains: // the keys of jsonb are much the same in all rows
    return a.form.from == sql::type::jsonb ? 7 : 1;
  case kind_type::prefix:
    return 2;
  case kind_type::range:
    return a.lower.exists && a.upper.exists ? 3 : 6;
  case kind_type::overlaps:
    return 5;
  case kind_type::is_null:
    return 8;
  case kind_type::is_not_null:
    break;
  }
  return 9;
}

/// Clauses number their enum types each by itself; the column says which one it is.
sql::key_form common(sql::key_form form) {
  if (sql::is_enum(form.from))
    form.from = form.as = sql::type::first_enum;
  return form;
}

/// Joined keys are equal only if the parts are.
void append_part(std::string& out, std::string_view key, bool is_last) {
  if (!is_last) {
    const auto bytes = static_cast<std::uint32_t>(key.size());
    std::array<char, sizeof bytes> length;
    std::memcpy(length.data(), &bytes, sizeof bytes);
    out.append(length.data(), length.size());
  }
  out += key;
}

/// The first text in byte order that does not begin with `prefix`, nor comes before it.
atom::bound end_of(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff)
    prefix.pop_back();
  if (prefix.empty())
    return {};
  prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return {true, false, std::move(prefix)};
}

/// The equalities to be entered together: those with few keys first, as many as are sensible.
std::vector<const atom*> choose_equal(std::vector<const atom*> from, bool several) {
  std::sort(from.begin(), from.end(), [](const atom* a, const atom* b) {
    return a->keys.size() != b->keys.size() ? a->keys.size() < b->keys.size() : a->form < b->form;
  });
  std::vector<const atom*> chosen;
  std::size_t keys = 1;
  for (const auto* next : from) {
    const bool is_new = std::none_of(chosen.begin(), chosen.end(), [&](const atom* one) {
      return common(one->form) == common(next->form);
    });
    if (!is_new)
      continue;
    if (!chosen.empty() &&
        (!several || chosen.size() == parts_max || keys * next->keys.size() > keys_max))
      break;
    keys *= next->keys.size();
    chosen.push_back(next);
  }
  std::sort(chosen.begin(), chosen.end(),
            [](const atom* a, const atom* b) { return common(a->form) < common(b->form); });
  return chosen;
}

std::size_t hash_of(std::string_view key) noexcept {
  return std::hash<std::string_view>{}(key);
}

std::vector<sql::key_form> forms_of(std::span<const atom* const> parts) {
  std::vector<sql::key_form> forms;
  for (const auto* part : parts)
    forms.push_back(common(part->form));
  return forms;
}

} // namespace

// -- coming and going -----------------------------------------------------------------------------

void routing_index::add(target who, std::span<const sql::conjunction> alternatives) {
  if (who >= seen_.size())
    seen_.resize(who + std::size_t{1});
  // If the clause is nothing but its atoms, then nothing else of it can fail.
  const bool is_plain = std::all_of(alternatives.begin(), alternatives.end(),
                                    [](const auto& all) { return all.complete; });
  for (const auto& all : alternatives)
    enter(who, all, is_plain);
}

void routing_index::enter(target who, const sql::conjunction& all, bool is_plain) {
  std::vector<const atom*> equal;
  const atom* best = nullptr;
  for (const auto& a : all.atoms) {
    if (a.kind == kind_type::one_of)
      equal.push_back(&a);
    if (!best || looseness(a) < looseness(*best))
      best = &a;
  }
  if (!best)
    return enter_only(who, access::always, 0, is_plain);
  const bool exact = is_plain && all.atoms.size() == 1;
  switch (best->kind) {
  case kind_type::one_of: {
    std::erase_if(equal, [&](const atom* a) { return looseness(*a) > looseness(*best); });
    auto chosen = choose_equal(equal, true);
    if (chosen.size() > 1 && key_tables_ >= key_tables_max &&
        !tables_.contains({access::equal, forms_of(chosen)}))
      chosen = choose_equal(equal, false);
    return enter_equal(who, chosen, is_plain && chosen.size() == all.atoms.size());
  }
  case kind_type::contains:
  case kind_type::overlaps:
    return enter_elements(who, *best, exact);
  case kind_type::prefix:
  case kind_type::range:
    return enter_interval(who, *best, exact);
  case kind_type::is_null:
    return enter_only(who, access::null, best->form.column, exact);
  case kind_type::is_not_null:
    return enter_only(who, access::not_null, best->form.column, exact);
  }
}

void routing_index::enter_equal(target who, std::span<const atom* const> parts, bool exact) {
  if (std::any_of(parts.begin(), parts.end(), [](const atom* a) { return a->keys.empty(); }))
    return; // equal to nothing
  const auto in = table_of(access::equal, forms_of(parts));
  std::vector<std::size_t> turn(parts.size());
  for (bool more = true; more;) { // every combination of keys, as a counter counts
    composite_.clear();
    for (std::size_t i = 0; i < parts.size(); ++i)
      append_part(composite_, parts[i]->keys[turn[i]], i + 1 == parts.size());
    lists_.add(list_of(in, composite_), who, exact);
    more = false;
    for (std::size_t i = 0; i < parts.size() && !more; ++i) {
      more = ++turn[i] < parts[i]->keys.size();
      if (!more)
        turn[i] = 0;
    }
  }
}

void routing_index::enter_elements(target who, const atom& a, bool exact) {
  if (a.keys.empty())
    return; // contains always has some, and nothing overlaps with nothing
  const auto in = table_of(access::element, {common(a.form)});
  if (a.kind == kind_type::overlaps) {
    for (const auto& key : a.keys)
      lists_.add(list_of(in, key), who, exact);
    return;
  }
  const auto crowd = [&](const std::string& key) {
    const auto found = find_list(in->second, key);
    return found == lists::none ? 0 : lists_.size(found);
  };
  const auto& rarest =
      *std::min_element(a.keys.begin(), a.keys.end(), [&](const auto& one, const auto& other) {
        return crowd(one) < crowd(other);
      });
  lists_.add(list_of(in, rarest), who, exact && a.keys.size() == 1);
}

void routing_index::enter_interval(target who, const atom& a, bool exact) {
  const bool is_prefix = a.kind == kind_type::prefix;
  const auto lower = is_prefix ? atom::bound{true, true, a.keys.front()} : a.lower;
  const auto upper = is_prefix ? end_of(a.keys.front()) : a.upper;
  const auto in = table_of(access::range, {common(a.form)});
  auto& intervals = in->second.intervals;
  auto node = intervals.find(lower, upper);
  if (node == interval_tree::none) {
    const auto list = lists_.make({.in = in});
    node = intervals.insert(lower, upper, list);
    lists_.owner(list).node = node;
  }
  lists_.add(intervals.value(node), who, exact);
}

void routing_index::enter_only(target who, access how, std::uint16_t column, bool exact) {
  const auto in = table_of(how, {sql::key_form{.column = column}});
  auto& list = in->second.only;
  if (list == lists::none)
    list = lists_.make({.in = in});
  lists_.add(list, who, exact);
}

routing_index::tables::iterator routing_index::table_of(access how,
                                                        std::vector<sql::key_form> forms) {
  const auto [in, is_new] = tables_.try_emplace({how, std::move(forms)});
  if (!is_new)
    return in;
  const auto& named = in->first.second;
  auto& made = in->second;
  made.column = named.front().column;
  if (how == access::equal || how == access::element || how == access::range)
    for (const auto& form : named) {
      made.keys.push_back(forms_.try_emplace(form).first);
      ++made.keys.back()->second.users;
    }
  key_tables_ += made.keys.size() > 1 ? 1 : 0;
  return in;
}

routing_index::lists::list_id routing_index::find_list(const table& in,
                                                       std::string_view key) const {
  return in.lists.find(hash_of(key),
                       [&](std::uint32_t list) { return lists_.owner(list).key == key; });
}

routing_index::lists::list_id routing_index::list_of(tables::iterator in, const std::string& key) {
  if (const auto found = find_list(in->second, key); found != lists::none)
    return found;
  const auto made = lists_.make({.in = in, .key = key});
  in->second.lists.insert(hash_of(key), made);
  return made;
}

void routing_index::remove(target who) {
  lists_.remove(who, [this](lists::list_id list) { take_down(list); });
  if (tables_.empty())
    seen_ = {};
}

void routing_index::take_down(lists::list_id list) {
  const auto& at = lists_.owner(list);
  const auto named = at.in;
  auto& in = at.in->second;
  switch (at.in->first.first) {
  case access::equal:
  case access::element:
    in.lists.erase(hash_of(at.key), list);
    break;
  case access::range:
    in.intervals.erase(at.node);
    break;
  default:
    in.only = lists::none;
  }
  lists_.drop(list);
  if (!in.lists.empty() || !in.intervals.empty() || in.only != lists::none)
    return;
  key_tables_ -= in.keys.size() > 1 ? 1 : 0;
  for (const auto& form : in.keys)
    if (--form->second.users == 0)
      forms_.erase(form);
  tables_.erase(named);
}

routing_index::extent routing_index::size() const noexcept {
  return {lists_.posting_count(), lists_.list_count(), tables_.size(), forms_.size()};
}

// -- looking up -----------------------------------------------------------------------------------

void routing_index::find(std::span<const sql::cell> row, std::vector<candidate>& out) {
  out.clear();
  ++row_;
  unreadable_ = false;
  for (const auto& named : tables_)
    ask(named, row, out);
  if (unreadable_) // whoever is evaluated may fail
    for (auto& one : out)
      one.certain = false;
}

void routing_index::ask(const tables::value_type& named, std::span<const sql::cell> row,
                        std::vector<candidate>& out) {
  const auto& [name, in] = named;
  switch (name.first) {
  case access::always:
    return hit(in.only, out);
  case access::null:
  case access::not_null:
    unreadable_ = unreadable_ || in.column >= row.size();
    if (in.column >= row.size() || row[in.column].has_value() == (name.first == access::not_null))
      hit(in.only, out);
    return;
  case access::equal:
    return ask_equal(in, row, out);
  case access::element:
  case access::range:
    break;
  }
  const auto& value = key_of(in.keys.front(), row);
  if (value.is == column_key::state::unreadable)
    return hit_all(in, out);
  if (value.is == column_key::state::null)
    return;
  if (name.first == access::range)
    return in.intervals.stab(value.key, [&](std::uint32_t list) { hit(list, out); });
  for (const auto& element : value.elements)
    if (const auto found = find_list(in, element); found != lists::none)
      hit(found, out);
}

void routing_index::ask_equal(const table& in, std::span<const sql::cell> row,
                              std::vector<candidate>& out) {
  bool unreadable = false;
  composite_.clear();
  for (const auto& form : in.keys) {
    const auto& value = key_of(form, row);
    if (value.is == column_key::state::null)
      return;
    unreadable = unreadable || value.is == column_key::state::unreadable;
    append_part(composite_, value.key, &form == &in.keys.back());
  }
  if (unreadable)
    hit_all(in, out);
  else if (const auto found = find_list(in, composite_); found != lists::none)
    hit(found, out);
}

const routing_index::column_key& routing_index::key_of(key_forms::iterator form,
                                                       std::span<const sql::cell> row) {
  auto& [how, value] = *form;
  if (value.row == row_)
    return value;
  using state = column_key::state;
  value.row = row_;
  value.key.clear();
  value.elements.clear();
  if (how.column < row.size() && !row[how.column]) {
    value.is = state::null;
    return value;
  }
  const bool readable = how.column < row.size() &&
                        (how.elements ? read_element_keys(how, *row[how.column], value.elements)
                                      : append_key(how, *row[how.column], value.key));
  value.is = readable ? state::present : state::unreadable;
  unreadable_ = unreadable_ || !readable;
  return value;
}

void routing_index::hit(lists::list_id list, std::vector<candidate>& out) {
  lists_.visit(list, [&](target who, bool exact) {
    auto& at = seen_[who];
    if (at < out.size() && out[at].who == who) {
      out[at].certain = out[at].certain || exact;
      return;
    }
    at = static_cast<std::uint32_t>(out.size());
    out.push_back({who, exact});
  });
}

void routing_index::hit_all(const table& in, std::vector<candidate>& out) {
  in.lists.for_each([&](std::uint32_t list) { hit(list, out); });
  in.intervals.for_each([&](std::uint32_t list) { hit(list, out); });
}

} // namespace busbar
