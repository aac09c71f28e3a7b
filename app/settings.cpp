#include "app/settings.hpp"

#include "app/cluster_settings.hpp"
#include "app/command_line.hpp"
#include "app/setting_table.hpp"
#include "app/setting_values.hpp"
#include "postgres/connection.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <string_view>
#include <utility>

namespace busbar::app {
namespace {

constexpr std::string_view prefixes[] = {"BUSBAR_", "ELECTRIC_"};
using environment_map = std::map<std::string_view, std::string_view>;

// --- Environment ------------------------------------------------------------------------------

/// Where a Service has the name of a variable's prefix, Kubernetes adds variables of its own to
/// every pod: BUSBAR_SERVICE_HOST, BUSBAR_PORT_3000_TCP_ADDR, and even
/// BUSBAR_PORT=tcp://10.0.0.1:3000.
bool is_service_link(std::string_view name, std::string_view value) {
  if (value.starts_with("tcp://") || value.starts_with("udp://"))
    return name.find("_PORT") != std::string_view::npos;
  if (name.find("_SERVICE_HOST") != std::string_view::npos ||
      name.find("_SERVICE_PORT") != std::string_view::npos)
    return true;
  const auto port = name.find("_PORT_");
  return port != std::string_view::npos && port + 6 < name.size() &&
         std::isdigit(static_cast<unsigned char>(name[port + 6])) != 0;
}

environment_map read_environment(const std::vector<std::string>& environment) {
  environment_map out;
  for (const std::string_view line : environment) {
    const auto equals = line.find('=');
    if (equals == std::string_view::npos || equals + 1 == line.size())
      continue;
    const auto name = line.substr(0, equals);
    const auto value = line.substr(equals + 1);
    if (!is_service_link(name, value))
      out.emplace(name, value);
  }
  return out;
}

std::string_view without_prefix(std::string_view name) {
  for (const auto prefix : prefixes)
    if (name.starts_with(prefix))
      return name.substr(prefix.size());
  return name;
}

/// The setting that was probably meant, under the prefix that was used; names are compared without
/// it, so that BUSBAR_PROMETHEUS_PORT finds BUSBAR_METRICS_PORT by its synonym.
std::string suggestion(std::string_view unknown) {
  std::vector<std::string_view> stems;
  for (const auto& s : setting_table()) {
    stems.push_back(without_prefix(s.name));
    for (const auto& synonym : s.synonyms)
      stems.push_back(without_prefix(synonym));
  }
  const auto stem = nearest(without_prefix(unknown), stems);
  if (stem.empty())
    return "; `busbar serve --help` lists all";
  for (const auto& s : setting_table()) {
    const auto synonym = std::ranges::find_if(
        s.synonyms, [&](const auto& name) { return without_prefix(name) == stem; });
    if (synonym != s.synonyms.end() && unknown.starts_with("ELECTRIC_"))
      return ", did you mean " + *synonym + "?";
    if (synonym != s.synonyms.end() || without_prefix(s.name) == stem)
      return ", did you mean " + s.name + "?";
  }
  return {};
}

/// Refuses what nobody reads: a misspelt setting must not be silently without effect.
result<void> refuse_unknown(const environment_map& environment) {
  std::vector<std::string_view> known;
  for (const auto& s : setting_table()) {
    known.push_back(s.name);
    known.insert(known.end(), s.synonyms.begin(), s.synonyms.end());
  }
  for (const auto& unused : unused_names())
    known.push_back(unused.name);
  const auto is_ours = [](std::string_view name) {
    return std::ranges::any_of(prefixes, [&](auto prefix) { return name.starts_with(prefix); }) &&
           !name.starts_with("ELECTRIC_TELEMETRY_"); // thresholds of Electric's runtime
  };
  for (const auto& [name, value] : environment)
    if (is_ours(name) && std::ranges::find(known, name) == known.end())
      return fail(errc::misconfigured, "unknown setting " + std::string{name} + suggestion(name),
                  std::string{name});
  return {};
}

std::vector<std::string> notes_on_unused(const environment_map& environment) {
  std::vector<std::string> out;
  for (const auto& unused : unused_names()) {
    const auto found = environment.find(unused.name);
    if (found == environment.end() || unused.note.empty())
      continue;
    if (const auto on = read_boolean(found->second); !on || *on)
      out.push_back(std::string{unused.name} + " has no effect: " + std::string{unused.note});
  }
  return out;
}

/// A value and the name under which the user wrote it.
struct source {
  std::string name;
  std::string value;
};

/// The setting's value in the environment; an empty name if it has none.
result<source> find_in_environment(const setting& s, const environment_map& environment) {
  source out;
  auto names = s.synonyms;
  names.insert(names.begin(), s.name);
  for (const auto& name : names) {
    const auto found = environment.find(name);
    if (found == environment.end())
      continue;
    if (out.name.empty())
      out = {name, std::string{found->second}};
    else if (out.value != found->second)
      return fail(errc::misconfigured,
                  out.name + " and " + name +
                      " name the same setting but differ: unset one of them",
                  s.name);
  }
  return out;
}

// --- Checks of the whole ----------------------------------------------------------------------

std::string percent_encoded(std::string_view text) {
  constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '/' || c == '.' || c == '-' || c == '_') {
      out.push_back(c);
    } else {
      out.push_back('%');
      out.push_back(digits[byte >> 4]);
      out.push_back(digits[byte & 15]);
    }
  }
  return out;
}

void append_parameter(std::string& url, std::string_view name, std::string_view value) {
  url += url.find('?') == std::string::npos ? "?" : "&";
  url += std::string{name} + "=" + percent_encoded(value);
}

/// Leaves what the URL says itself, and what nobody has set.
void append_if_open(std::string& url, const std::string& name, std::int64_t value) {
  const auto query = url.substr(std::min(url.size(), url.find('?')));
  if (value != 0 && query.find("?" + name + "=") == std::string::npos &&
      query.find("&" + name + "=") == std::string::npos)
    append_parameter(url, name, std::to_string(value));
}

/// Whoever names an authority wants the server verified; connection_url sees to that.
result<void> verify_server(std::string& url, std::string_view ca_file) {
  append_parameter(url, "sslrootcert", ca_file);
  const auto checked = postgres::connection_url::parse(url);
  if (!checked)
    return fail(errc::misconfigured,
                "BUSBAR_DATABASE_CA_CERTIFICATE_FILE: " + checked.error().message,
                "BUSBAR_DATABASE_CA_CERTIFICATE_FILE");
  return {};
}

result<void> check_gate(const gate::gate_settings& gate) {
  const bool has_token_keys = !gate.key_file.empty() || !gate.key_url.empty();
  if (!gate.key_file.empty() && !gate.key_url.empty())
    return fail(errc::misconfigured,
                "BUSBAR_JWT_KEY_FILE and BUSBAR_JWT_KEY_URL are both set: tokens have one source "
                "of keys",
                "BUSBAR_JWT_KEY_URL");
  if (has_token_keys && gate.policy_file.empty())
    return fail(errc::misconfigured,
                "BUSBAR_POLICY_FILE is not set: without a policy tokens open nothing",
                "BUSBAR_POLICY_FILE");
  if (!gate.policy_file.empty() && !gate.active())
    return fail(errc::misconfigured,
                "BUSBAR_POLICY_FILE is set, but no keys of tokens are: set BUSBAR_JWT_KEY_FILE or "
                "BUSBAR_JWT_KEY_URL",
                "BUSBAR_POLICY_FILE");
  return {};
}

/// Of what only `serve` needs.
result<void> check_service(const draft& d) {
  const auto& config = d.config;
  const bool open = !config.secret && config.more_secrets.empty() && !config.gate.active();
  if (open && !d.insecure)
    return fail(errc::misconfigured,
                "set BUSBAR_SECRET to the secret that requests must carry, or BUSBAR_INSECURE=true "
                "to answer requests without one",
                "BUSBAR_SECRET");
  if (config.secret && d.insecure)
    return fail(
        errc::misconfigured,
        "BUSBAR_SECRET and BUSBAR_INSECURE=true contradict each other: set only one of them",
        "BUSBAR_INSECURE");
  if (!open && !config.secret && d.insecure)
    return fail(errc::misconfigured,
                "BUSBAR_INSECURE=true contradicts " +
                    std::string{config.gate.active() ? "the keys of tokens" : "BUSBAR_SECRETS"} +
                    ": set only one of them",
                "BUSBAR_INSECURE");
  if (auto sound = check_gate(config.gate); !sound)
    return sound;
  if (config.port != 0 && config.port == config.metrics_port)
    return fail(errc::misconfigured,
                "BUSBAR_PORT and BUSBAR_METRICS_PORT are both " + std::to_string(config.port) +
                    ": they must differ",
                "BUSBAR_METRICS_PORT");
  return check_cluster(config);
}

/// Of what leads to the database; fills in what follows from it.
result<void> finish_database(settings& config) {
  if (config.database_url.empty())
    return fail(errc::misconfigured,
                "DATABASE_URL is not set: set it to "
                "postgresql://user:password@host:5432/database",
                "DATABASE_URL");
  if (config.snapshot_database_url.empty())
    config.snapshot_database_url = config.database_url;
  for (auto* url : {&config.database_url, &config.snapshot_database_url}) {
    append_if_open(*url, "keepalives_idle", config.tcp_keepalive_idle.count());
    append_if_open(*url, "keepalives_interval", config.tcp_keepalive_interval.count());
    append_if_open(*url, "keepalives_count", config.tcp_keepalive_count);
    append_if_open(*url, "tcp_user_timeout", config.tcp_user_timeout.count());
  }
  if (!config.database_ca_file.empty())
    for (auto* url : {&config.database_url, &config.snapshot_database_url})
      if (auto done = verify_server(*url, config.database_ca_file); !done)
        return fail(std::move(done).error());
  return {};
}

/// What flags and environment say, checked one by one and as a whole. What is wrong with the
/// service's part alone goes to `service`.
result<settings> read_settings(const command_line& line, const environment_map& variables,
                               result<void>& service) {
  // Whether the rest of the settings is sound is for the server to say, which has them all.
  const bool only_part = line.what == command::health || line.what == command::check_policy ||
                         line.what == command::cluster_status;
  if (auto known = refuse_unknown(variables); !known && !only_part)
    return fail(std::move(known).error());
  draft read;
  for (const auto& s : setting_table()) {
    if (!is_read_by(line.what, s))
      continue;
    source from;
    if (const auto flag = line.flags.find(s.name); flag != line.flags.end()) {
      from = {s.flag(), flag->second};
    } else {
      auto found = find_in_environment(s, variables);
      if (!found)
        return fail(std::move(found).error());
      from = std::move(*found);
    }
    if (from.value.empty())
      continue;
    if (auto done = s.read(read, from.value); !done)
      return fail(errc::misconfigured, from.name + ": " + done.error().message, s.name);
  }
  if (line.what == command::check_policy)
    if (auto sound = check_gate(read.config.gate); !sound)
      return fail(std::move(sound).error());
  if (only_part)
    return std::move(read.config);
  service = check_service(read);
  if (auto done = finish_database(read.config); !done)
    return fail(std::move(done).error());
  return std::move(read.config);
}

} // namespace

result<invocation> parse_invocation(const std::vector<std::string>& arguments,
                                    const std::vector<std::string>& environment) {
  auto line = read_command_line(arguments);
  if (!line)
    return fail(std::move(line).error());
  invocation out{line->what, std::move(line->text), {}};
  if (out.what == command::print_help || out.what == command::print_version)
    return out;
  out.json = line->json;
  out.dry_run = line->dry_run;
  out.replica_identity = line->replica_identity;
  out.force = line->force;
  out.must_be_active = line->must_be_active;
  out.token = std::move(line->token);
  out.table = std::move(line->table);
  out.strict = line->strict;
  const auto variables = read_environment(environment);
  result<void> service;
  auto config = read_settings(*line, variables, service);
  if (out.what == command::doctor && (!config || !service))
    out.fault = config ? service.error() : config.error();
  else if (!config)
    return fail(std::move(config).error());
  else if (out.what == command::serve && !service)
    return fail(std::move(service).error());
  if (config)
    out.config = std::move(*config);
  if (out.what != command::health && out.what != command::check_policy &&
      out.what != command::cluster_status)
    out.notes = notes_on_unused(variables);
  return out;
}

std::string describe(const settings& config) {
  std::string out;
  for (const auto& s : setting_table())
    out += s.name + "=" + s.write(config) + "\n";
  return out;
}

} // namespace busbar::app
