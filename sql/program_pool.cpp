#include "sql/program_pool.hpp"

#include "sql/program.hpp"

#include <algorithm>
#include <utility>

namespace busbar::sql {

namespace {

std::size_t hash_of(const program_layout& layout) {
  std::size_t hash = layout.constants;
  const auto mix = [&hash](std::size_t x) { hash = (hash ^ x) * 1099511628211u; };
  for (const auto& s : layout.steps) {
    mix(static_cast<std::size_t>(s.op));
    mix(static_cast<std::size_t>(s.result));
    mix(static_cast<std::size_t>(s.test));
    mix(s.column);
    mix(s.first);
    mix(s.second);
  }
  return hash;
}

/// Zones are found anew for each clause, so those with a zone are never equal.
bool is_same(const program_layout& a, const program_layout& b) {
  return a.steps == b.steps && a.operands == b.operands && a.subscripts == b.subscripts &&
         a.zones == b.zones && a.constants == b.constants && a.remembered == b.remembered &&
         std::equal(a.enums.begin(), a.enums.end(), b.enums.begin(), b.enums.end(),
                    [](const auto& x, const auto& y) { return *x == *y; });
}

} // namespace

std::shared_ptr<const program_layout>
program_pool::share(std::shared_ptr<const program_layout> made) {
  const auto hash = hash_of(*made);
  const std::lock_guard guard{mutex_};
  const auto [first, last] = known_.equal_range(hash);
  for (auto one = first; one != last; ++one)
    if (auto same = one->second.lock(); same && is_same(*same, *made))
      return same;
  if (known_.size() >= sweep_at_) {
    std::erase_if(known_, [](const auto& one) { return one.second.expired(); });
    sweep_at_ = std::max<std::size_t>(64, 2 * known_.size());
  }
  known_.emplace(hash, made);
  return made;
}

std::size_t program_pool::size() const {
  const std::lock_guard guard{mutex_};
  return known_.size();
}

} // namespace busbar::sql
