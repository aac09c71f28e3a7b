#include "gate/policy.hpp"

#include <algorithm>

namespace busbar::gate {

bool meets(const rule& what, const claims& bearer) {
  return std::all_of(what.when.begin(), what.when.end(), [&](const auto& condition) {
    const auto& [path, wanted] = condition;
    const auto has = bearer.items(path);
    return std::any_of(has.begin(), has.end(), [&](const std::string& item) {
      return std::find(wanted.begin(), wanted.end(), item) != wanted.end();
    });
  });
}

const rule* policy::rule_for(const std::string& schema, const std::string& table,
                             const claims& bearer) const {
  const auto found = tables.find({schema, table});
  if (found == tables.end())
    return nullptr;
  for (const auto& candidate : found->second)
    if (meets(candidate, bearer))
      return &candidate;
  return nullptr;
}

std::pair<std::string, std::string> table_named(const std::string& name) {
  const auto dot = name.find('.');
  if (dot == std::string::npos)
    return {"public", name};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

std::optional<sql::table_guard> bind(const rule& what, const claims& bearer) {
  sql::table_guard guard{.rows = what.rows, .columns = what.columns};
  for (const auto& path : what.claims) {
    auto value = bearer.text(path);
    if (!value)
      return std::nullopt;
    guard.values.push_back(*std::move(value));
  }
  return guard;
}

} // namespace busbar::gate
