#include "shapes/membership_index.hpp"

#include <iterator>
#include <utility>

namespace busbar {

namespace {

using kind_type = sql::atom::kind_type;

/// By rule of thumb, for we know nothing of the rows: such a test lets fewer rows through than a
/// subquery does.
bool is_narrow(const sql::atom& a) {
  constexpr std::size_t few_keys = 64;
  switch (a.kind) {
  case kind_type::one_of:
    return a.form.from != sql::type::boolean && a.keys.size() <= few_keys;
  case kind_type::contains:
    return a.form.from != sql::type::jsonb;
  case kind_type::prefix:
    return true;
  default:
    return false;
  }
}

bool are_narrow(std::span<const sql::conjunction> alternatives) {
  return std::all_of(alternatives.begin(), alternatives.end(), [](const sql::conjunction& all) {
    return std::any_of(all.atoms.begin(), all.atoms.end(), is_narrow);
  });
}

} // namespace

clause_entries entries_of(const sql::predicate& clause) {
  const auto whole = clause.conjunctions();
  clause_entries as_a_whole{.plain = {whole.begin(), whole.end()}, .memberships = {}};
  const auto* plan = clause.subqueries();
  if (plan == nullptr || are_narrow(as_a_whole.plain))
    return as_a_whole;
  clause_entries entries;
  std::size_t begin = 0;
  for (const auto end : plan->disjunct_ends) {
    const sql::position* membership = nullptr;
    std::vector<sql::conjunction> narrow;
    bool has_narrow = false;
    for (auto i = begin; i < end && !has_narrow; ++i) {
      const auto& position = plan->positions[i];
      if (position.negated)
        continue; // of what is false, or not in a set, nothing is known here
      if (!position.leaf) {
        membership = membership ? membership : &position;
        continue;
      }
      const auto alternatives = position.leaf->conjunctions();
      has_narrow = are_narrow(alternatives);
      if (has_narrow)
        narrow.assign(alternatives.begin(), alternatives.end());
    }
    begin = end;
    if (!has_narrow && !membership)
      return as_a_whole;
    for (auto& one : narrow) {
      one.complete = false; // the disjunct asks for more
      entries.plain.push_back(std::move(one));
    }
    if (!has_narrow)
      entries.memberships.push_back(membership);
  }
  return entries;
}

void membership_index::add(routing_target who, std::span<const sql::position* const> memberships,
                           std::span<const set_number> sets) {
  for (const auto* asked : memberships) {
    const place at{asked->left, sets[asked->subquery]};
    auto& places = places_[who];
    if (std::find(places.begin(), places.end(), at) != places.end())
      continue;
    auto shown = std::find_if(forms_.begin(), forms_.end(),
                              [&](const form& one) { return one.left == at.left; });
    if (shown == forms_.end())
      shown = forms_.insert(forms_.end(), form{.left = at.left, .by_set = {}});
    shown->by_set[at.set].push_back(who);
    places.push_back(at);
  }
}

void membership_index::remove(routing_target who) {
  const auto gone = places_.extract(who);
  if (gone.empty())
    return;
  for (const auto& at : gone.mapped()) {
    const auto shown = std::find_if(forms_.begin(), forms_.end(),
                                    [&](const form& one) { return one.left == at.left; });
    const auto list = shown->by_set.find(at.set);
    std::erase(list->second, who);
    if (!list->second.empty())
      continue;
    shown->by_set.erase(list);
    if (shown->by_set.empty())
      forms_.erase(shown);
  }
}

} // namespace busbar
