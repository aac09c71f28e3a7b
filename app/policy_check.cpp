#include "app/policy_check.hpp"

#include <chrono>
#include <ctime>
#include <istream>
#include <ostream>
#include <string>
#include <thread>

#include "gate/gatekeeper.hpp"
#include "gate/porter.hpp"

namespace busbar::app {

namespace {

using gate::claims;
using gate::rule;

std::string listed(const std::vector<std::string>& words, std::string_view separator = ", ") {
  std::string out;
  for (const auto& word : words)
    out.append(out.empty() ? "" : separator).append(word);
  return out;
}

std::string time_text(gate::wall_time time) {
  const auto seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::string out(20, ' ');
  out.resize(std::strftime(out.data(), out.size() + 1, "%Y-%m-%dT%H:%M:%SZ", &parts));
  return out;
}

/// Empty if the rule's conditions hold.
std::string why_not_met(const rule& what, const claims& bearer) {
  for (const auto& [path, wanted] : what.when) {
    const rule alone{.when = {{path, wanted}},
                     .columns = std::nullopt,
                     .written = {},
                     .rows = what.rows,
                     .claims = {}};
    if (gate::meets(alone, bearer))
      continue;
    const auto has = bearer.items(path);
    return "claim " + path + " is " + (has.empty() ? "not there" : listed(has)) + ", wanted is " +
           listed(wanted, " or ");
  }
  return {};
}

/// Returns whether the table is open.
bool explain_table(std::ostream& out, const std::string& name, const std::vector<rule>& rules,
                   const claims& bearer) {
  out << name << "\n";
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const auto& one = rules[i];
    const auto number =
        rules.size() == 1 ? std::string{"the rule"} : "rule " + std::to_string(i + 1);
    if (const auto why = why_not_met(one, bearer); !why.empty()) {
      out << "  " << number << " does not apply: " << why << "\n";
      continue;
    }
    const auto bound = gate::bind(one, bearer);
    if (!bound) {
      std::string missing;
      for (const auto& path : one.claims)
        if (missing.empty() && !bearer.text(path))
          missing = path;
      out << "  refused: " << number << " applies, but claim " << missing
          << " is not there or is no text, whole number, boolean or list of these\n";
      return false;
    }
    out << "  open by " << number << "\n";
    out << "  rows     " << one.written << "\n";
    for (std::size_t n = 0; n < one.claims.size(); ++n)
      out << "           claim." << one.claims[n] << " is " << bound->values[n] << "\n";
    out << "  columns  " << (one.columns ? listed(*one.columns) : std::string{"all"}) << "\n";
    return true;
  }
  out << "  refused: no rule applies\n";
  return false;
}

bool explain_policy(std::ostream& out, const gate::visitor& who, const std::string& table) {
  const auto& rules = *who.rules;
  if (!rules.tenant.empty())
    out << "tenant   " << who.claims.text(rules.tenant).value_or("none") << " (claim "
        << rules.tenant << ")\n";
  bool any = false;
  if (!table.empty()) {
    const auto found = rules.tables.find(gate::table_named(table));
    if (found == rules.tables.end())
      out << table << "\n  refused: the policy does not list it\n";
    else
      any = explain_table(out, table, found->second, who.claims);
    return any;
  }
  for (const auto& [name, list] : rules.tables)
    any = explain_table(out, name.first + "." + name.second, list, who.claims) || any;
  out << "every other table\n  refused, in the same words as one that does not exist\n";
  return any;
}

bool explain_grant(std::ostream& out, const gate::grant& granted, const std::string& table) {
  const std::pair name{granted.schema, granted.table};
  out << "grant    of one shape\n";
  out << name.first << "." << name.second << "\n";
  out << "  rows     " << granted.guard.rows.text() << "\n";
  for (std::size_t n = 0; n < granted.guard.values.size(); ++n)
    out << "           $" << n + 1 << " is " << granted.guard.values[n] << "\n";
  out << "  columns  "
      << (granted.guard.columns ? listed(*granted.guard.columns) : std::string{"all"}) << "\n";
  return table.empty() || gate::table_named(table) == name;
}

} // namespace

int run_policy_check(const invocation& call, std::istream& in, std::ostream& out,
                     std::ostream& complaints) {
  constexpr std::chrono::seconds patience{12};
  if (!call.config.gate.active()) {
    complaints << "busbar: there are no keys of tokens: set BUSBAR_JWT_KEY_FILE or "
                  "BUSBAR_JWT_KEY_URL, and BUSBAR_POLICY_FILE\n";
    return 1;
  }
  auto token = call.token;
  if (token == "-" && !(in >> token)) {
    complaints << "busbar: there is no token on the standard input\n";
    return 1;
  }
  auto keeper = gate::gatekeeper::start(call.config.gate, nullptr);
  if (!keeper) {
    complaints << "busbar: " << keeper.error().message << "\n";
    return 1;
  }
  gate::porter porter{**keeper};
  const auto give_up = std::chrono::steady_clock::now() + patience;
  auto who = porter.admit(token, std::chrono::system_clock::now());
  while (!who && who.error().because == gate::outcome::no_keys &&
         std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
    who = porter.admit(token, std::chrono::system_clock::now());
  }
  if (!who && who.error().because == gate::outcome::no_keys) {
    complaints << "busbar: " << call.config.gate.key_url << ": the keys cannot be fetched\n";
    return 1;
  }
  if (!who) {
    out << "token    refused: " << who.error().reason << "\n";
    return 2;
  }
  out << "token    good until " << time_text((*who)->claims.expiry()) << "\n";
  const bool any = (*who)->grant ? explain_grant(out, *(*who)->grant, call.table)
                                 : explain_policy(out, **who, call.table);
  return any ? 0 : 2;
}

} // namespace busbar::app
