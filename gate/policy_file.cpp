// From YAML to a policy. Whatever is not understood is an error: a misspelt word in a policy must
// not be silently without effect.
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <span>

#include "gate/policy.hpp"

namespace busbar::gate {

namespace {

/// Numbers that no clause of a human has, for the claims while a clause is parsed.
constexpr std::int32_t first_claim = 30'000;
constexpr std::size_t claims_max = 1'000;

/// Thrown and caught in this file, beside the exceptions of yaml-cpp.
struct complaint {
  YAML::Mark where;
  std::string what;
};

[[noreturn]] void complain(const YAML::Node& at, std::string what) {
  throw complaint{at.Mark(), std::move(what)};
}

std::string scalar(const YAML::Node& node, std::string_view what) {
  if (!node.IsScalar())
    complain(node, std::string{what} + " must be a single value");
  return node.Scalar();
}

std::vector<std::string> list(const YAML::Node& node, std::string_view what) {
  std::vector<std::string> out;
  if (node.IsScalar())
    return {node.Scalar()};
  if (!node.IsSequence())
    complain(node, std::string{what} + " must be a value or a list of values");
  for (const auto& item : node)
    out.push_back(scalar(item, what));
  return out;
}

/// Calls `take` for each member, once for each name.
void members(const YAML::Node& node, std::string_view what, const auto& take) {
  if (!node.IsMap())
    complain(node, std::string{what} + " must be a map");
  std::set<std::string> seen;
  for (const auto& member : node) {
    const auto name = scalar(member.first, "a name");
    if (!seen.insert(name).second)
      complain(member.first, "'" + name + "' is there twice");
    take(name, member.first, member.second);
  }
}

/// A clause with a parameter in the place of each claim.
void read_rows(rule& out, const YAML::Node& node) {
  out.written = scalar(node, "where");
  constexpr std::string_view open = "${claim.";
  std::string clause;
  std::string_view rest = out.written;
  while (true) {
    const auto at = rest.find("${");
    clause += rest.substr(0, at);
    if (at == std::string_view::npos)
      break;
    rest.remove_prefix(at);
    const auto end = rest.find('}');
    if (!rest.starts_with(open) || end == std::string_view::npos || end == open.size())
      complain(node, "after ${ comes claim.NAME}, and nothing else");
    if (out.claims.size() == claims_max)
      complain(node, "the clause names too many claims");
    clause += "$" + std::to_string(first_claim + static_cast<std::int32_t>(out.claims.size()));
    clause += ' ';
    out.claims.emplace_back(rest.substr(open.size(), end - open.size()));
    rest.remove_prefix(end + 1);
  }
  auto rows = sql::condition::parse(clause);
  if (!rows)
    complain(node, "where: " + rows.error().message);
  // In quotes or in a comment a claim would be letters, and not be bound at all.
  auto used = rows->parameters();
  std::sort(used.begin(), used.end());
  bool all = used.size() == out.claims.size();
  for (std::size_t i = 0; all && i < used.size(); ++i)
    all = used[i] == first_claim + static_cast<std::int32_t>(i);
  if (!all)
    complain(node, "where: each ${claim.…} stands for a value by itself, not within quotes or a "
                   "comment, and there are no other parameters");
  out.rows = rows->shifted(1 - first_claim);
}

rule read_rule(const YAML::Node& node) {
  rule out{.when = {},
           .columns = std::nullopt,
           .written = {},
           .rows = *sql::condition::parse("false"),
           .claims = {}};
  bool has_rows = false;
  members(node, "a rule", [&](const std::string& name, const YAML::Node& at, const YAML::Node& is) {
    if (name == "when") {
      members(is, "when", [&](const std::string& claim, const YAML::Node&, const YAML::Node& of) {
        out.when.emplace_back(claim, list(of, "a claim's wanted value"));
      });
    } else if (name == "columns") {
      if (!is.IsSequence() || is.size() == 0)
        complain(is, "columns must be a list of names");
      auto columns = list(is, "a column");
      std::sort(columns.begin(), columns.end());
      columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
      out.columns = std::move(columns);
    } else if (name == "where") {
      read_rows(out, is);
      has_rows = true;
    } else {
      complain(at, "'" + name + "' is none of when, columns and where");
    }
  });
  if (!has_rows)
    complain(node, "a rule needs a where; `where: true` shows every row");
  return out;
}

std::uint64_t number(const YAML::Node& node) {
  const auto text = scalar(node, "a limit");
  std::uint64_t value = 0;
  const auto* end = text.data() + text.size();
  if (const auto read = std::from_chars(text.data(), end, value);
      read.ec != std::errc{} || read.ptr != end || value > (std::uint64_t{1} << 50))
    complain(node, "a limit must be a whole number, 0 for none");
  return value;
}

tenant_limits read_limits(const YAML::Node& node) {
  tenant_limits out;
  const std::array<std::pair<std::string_view, std::uint64_t tenant_limits::*>, 5> names{{
      {"live", &tenant_limits::live},
      {"shapes", &tenant_limits::shapes},
      {"snapshots_per_minute", &tenant_limits::snapshots_per_minute},
      {"requests_per_second", &tenant_limits::requests_per_second},
      {"bytes_per_second", &tenant_limits::bytes_per_second},
  }};
  members(node, "limits", [&](const std::string& name, const YAML::Node& at, const YAML::Node& is) {
    const auto known =
        std::find_if(names.begin(), names.end(), [&](const auto& n) { return n.first == name; });
    if (known == names.end())
      complain(at, "'" + name +
                       "' is no limit: there are live, shapes, "
                       "snapshots_per_minute, requests_per_second and "
                       "bytes_per_second");
    out.*(known->second) = number(is);
  });
  return out;
}

policy read_policy(const YAML::Node& root) {
  policy out;
  bool has_tables = false;
  members(root, "the policy",
          [&](const std::string& name, const YAML::Node& at, const YAML::Node& is) {
            if (name == "version") {
              if (scalar(is, "version") != "1")
                complain(is, "this version of Busbar reads version 1");
            } else if (name == "tenant") {
              out.tenant = scalar(is, "tenant");
            } else if (name == "limits") {
              out.limits = read_limits(is);
            } else if (name == "tables") {
              has_tables = true;
              members(is, "tables",
                      [&](const std::string& table, const YAML::Node&, const YAML::Node& rules) {
                        auto& list = out.tables[table_named(table)];
                        if (!list.empty())
                          complain(rules, "table " + table + " is there twice");
                        if (rules.IsSequence())
                          for (const auto& one : rules)
                            list.push_back(read_rule(one));
                        else
                          list.push_back(read_rule(rules));
                      });
            } else {
              complain(at, "'" + name + "' is none of version, tenant, limits and tables");
            }
          });
  if (!has_tables)
    complain(root, "there are no tables");
  if (out.limits != tenant_limits{} && out.tenant.empty())
    complain(root, "limits need a tenant: the claim that names it");
  return out;
}

tl::unexpected<error> wrong(const YAML::Mark& where, const std::string& what) {
  std::string line = where.is_null() ? "" : "line " + std::to_string(where.line + 1) + ": ";
  return fail(errc::misconfigured, line + what);
}

} // namespace

result<policy> parse_policy(std::string_view yaml) try {
  if (yaml.size() > policy_bytes_max)
    return fail(errc::misconfigured,
                "is larger than " + std::to_string(policy_bytes_max) + " bytes");
  // One name twice would be one that somebody thinks is in force; yaml-cpp keeps both.
  const auto documents = YAML::LoadAll(std::string{yaml});
  if (documents.size() != 1)
    return fail(errc::misconfigured, "must hold exactly one document");
  return read_policy(documents.front());
} catch (const complaint& c) {
  return wrong(c.where, c.what);
} catch (const YAML::Exception& e) {
  return wrong(e.mark, e.msg);
} catch (const std::exception& e) {
  return fail(errc::misconfigured, e.what());
}

} // namespace busbar::gate
