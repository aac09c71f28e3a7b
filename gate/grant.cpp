#include "gate/grant.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

#include "gate/policy.hpp"

namespace busbar::gate {

namespace {

using nlohmann::json;

tl::unexpected<error> refused(std::string why) {
  return fail(errc::invalid_argument, "the grant " + std::move(why));
}

/// {"1": "a", "2": "b"} or ["a", "b"].
bool read_params(const json& given, std::vector<std::string>& out) {
  const bool listed = given.is_array();
  if (!listed && !given.is_object())
    return false;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const auto name = std::to_string(i + 1);
    if (!listed && !given.contains(name))
      return false;
    const auto& value = listed ? given[i] : given[name];
    if (!value.is_string() || value.get_ref<const std::string&>().find('\0') != std::string::npos)
      return false;
    out.push_back(value.get<std::string>());
  }
  return true;
}

} // namespace

result<grant> read_grant(const claims& bearer) {
  const auto* shape = bearer.find("shape");
  if (shape == nullptr || !shape->is_object())
    return refused("has no claim `shape`, or it is no object");
  std::string table;
  std::string where = "true";
  std::vector<std::string> params;
  std::optional<std::vector<std::string>> columns;
  for (const auto& [name, value] : shape->items()) {
    if (name == "table" && value.is_string()) {
      table = value.get<std::string>();
    } else if (name == "where" && value.is_string()) {
      where = value.get<std::string>();
    } else if (name == "params") {
      if (!read_params(value, params))
        return refused("has params that are no texts numbered from 1");
    } else if (name == "columns" && value.is_array() && !value.empty()) {
      columns.emplace();
      for (const auto& column : value) {
        if (!column.is_string())
          return refused("has columns that are no texts");
        columns->push_back(column.get<std::string>());
      }
      std::sort(columns->begin(), columns->end());
      columns->erase(std::unique(columns->begin(), columns->end()), columns->end());
    } else { // what is not understood might have been meant to narrow it
      return refused("says something of its shape that is not understood: " + name);
    }
  }
  if (table.empty())
    return refused("names no table");
  auto rows = sql::condition::parse(where);
  if (!rows)
    return refused("has a where that cannot be read: " + rows.error().message);
  auto [schema, name] = table_named(table);
  return grant{std::move(schema),
               std::move(name),
               {*std::move(rows), std::move(params), std::move(columns)}};
}

} // namespace busbar::gate
