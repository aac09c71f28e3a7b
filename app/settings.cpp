#include "app/settings.hpp"

#include "app/cluster_settings.hpp"
#include "app/cluster_status.hpp"
#include "app/setting_table.hpp"
#include "app/setting_values.hpp"
#include "postgres/connection.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <string_view>
#include <utility>

namespace busbar::app {
namespace {

constexpr std::string_view prefixes[] = {"BUSBAR_", "ELECTRIC_"};
using environment_map = std::map<std::string_view, std::string_view>;

// --- Help -------------------------------------------------------------------------------------

constexpr std::size_t help_columns = 100;

/// Appends `text`, broken between words, each line indented by `indent`.
void append_wrapped(std::string& out, std::string_view text, std::size_t indent) {
  std::size_t column = 0;
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (column != 0 && column + 1 + word.size() > help_columns) {
      out.push_back('\n');
      column = 0;
    }
    if (column == 0) {
      out.append(indent, ' ');
      column = indent;
    } else {
      out.push_back(' ');
      ++column;
    }
    out += word;
    column += word.size();
  }
  out.push_back('\n');
}

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words)
    out += (out.empty() ? "" : ", ") + word;
  return out;
}

std::string version_text() {
  return "busbar " BUSBAR_VERSION;
}

std::string help_text() {
  return "Busbar serves shapes of a PostgreSQL database over HTTP and keeps them live.\n"
         "\n"
         "Usage:\n"
         "  busbar serve [--<setting> <value>]...   run the service\n"
         "  busbar doctor [--json]                  check settings, PostgreSQL and disk\n"
         "  busbar cleanup [--dry-run] [--force]    drop what Busbar made in PostgreSQL\n"
         "  busbar serve --help                     list the settings, which all three read\n"
         "  busbar health [--active]                ask the one that runs here how it is: says "
         "active,\n"
         "                                          waiting or starting and exits with 0 if it "
         "serves,\n"
         "                                          with --active only if it streams; reads the "
         "port\n"
         "                                          and the address from the same settings\n"
         "  busbar cluster status [--json]          show the members of the cluster of the one "
         "that\n"
         "                                          runs here; `busbar cluster --help` says more\n"
         "  busbar --version                        print the version\n"
         "  busbar --help                           print this";
}

std::string doctor_help_text() {
  return "Usage: busbar doctor [--json] [--<setting> <value>]...\n"
         "\n"
         "Checks what `busbar serve` needs, with the same settings: the settings themselves, the\n"
         "connections, PostgreSQL's settings and privileges, slot, publication, followed tables, "
         "WAL\n"
         "retention, clocks, storage directory and disk. It changes nothing, and may run beside a\n"
         "Busbar that serves.\n"
         "\n"
         "Prints a line for each check: its verdict (ok, warn, wrong, or unknown if it could not "
         "be\n"
         "made), its name and what was found; below it, what mends it: SQL, a setting or a deed.\n"
         "\n"
         "  --json    the same as JSON\n"
         "\n"
         "Exit status: 0 nothing is wrong (there may be warnings), 1 something could not be "
         "checked,\n"
         "2 something is wrong.";
}

std::string cleanup_help_text() {
  return "Usage: busbar cleanup [--dry-run] [--force] [--<setting> <value>]...\n"
         "\n"
         "Drops the replication slot of this stream id, and its publication if it belongs to the "
         "role\n"
         "of DATABASE_URL. For a Busbar that is retired: a slot that nobody reads fills "
         "PostgreSQL's\n"
         "disk. The storage directory and the replica identity of tables stay as they are.\n"
         "\n"
         "  --dry-run   prints the SQL and changes nothing\n"
         "  --force     also if a Busbar leads the stream: ends its session first. Unless it is\n"
         "              stopped, it makes everything anew.\n"
         "\n"
         "Exit status: 0 done, or there was nothing to do; 1 it failed; 2 a Busbar leads the "
         "stream.";
}

std::string serve_help_text() {
  const settings defaults;
  std::string out = "Usage: busbar serve [--<setting> <value>]...\n\n";
  append_wrapped(out,
                 "Every setting is a flag and a variable of the environment; the flag wins. Of the "
                 "names that stand after a flag any may be used: those that begin with ELECTRIC_ "
                 "are Electric's for the same thing.",
                 0);
  for (const auto& s : setting_table()) {
    auto names = s.synonyms;
    names.insert(names.begin(), s.name);
    out += "\n  " + s.flag() + "    " + join(names) + "\n";
    append_wrapped(out, s.meaning, 6);
    const auto standard = s.shown_default.empty() ? s.write(defaults) : s.shown_default;
    append_wrapped(
        out, "Default: " + standard + (s.takes.empty() ? "." : ". Takes " + s.takes + "."), 6);
  }
  out.pop_back(); // the last line's end is the caller's
  return out;
}

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

// --- Command line -----------------------------------------------------------------------------

/// What CLI11 could not place. Only the name of a flag is repeated: the rest may be a secret.
error unknown_arguments(const std::string& name, const std::vector<std::string>& known,
                        const std::vector<std::string>& remaining) {
  const std::vector<std::string_view> candidates{known.begin(), known.end()};
  for (const auto& argument : remaining) {
    if (!argument.starts_with("-"))
      continue;
    const auto flag = argument.substr(0, argument.find('='));
    const auto meant = nearest(flag, candidates);
    return {errc::misconfigured,
            "unknown flag " + flag +
                (meant.empty() ? "; `busbar serve --help` lists all"
                               : ", did you mean " + std::string{meant} + "?")};
  }
  return {errc::misconfigured,
          "`busbar " + name + "` takes only flags; `busbar serve --help` lists them"};
}

/// Where a Busbar is to be found: the settings that `busbar health` reads.
bool tells_where(const setting& s) {
  return s.name == "BUSBAR_PORT" || s.name == "BUSBAR_LISTEN_ADDRESS";
}

/// Whether a command reads this setting.
bool is_read(command what, const setting& s) {
  if (what == command::cluster_status)
    return tells_where(s) || s.name == "BUSBAR_SECRET";
  return what != command::health || tells_where(s);
}

struct command_line {
  command what = command::serve;
  std::string text = {};
  std::map<std::string, std::string> flags = {}; ///< Of the settings that were given, by name.
  bool json = false;
  bool dry_run = false;
  bool force = false;
  bool must_be_active = false; ///< For health.
  bool strict = false;         ///< For cluster_status.
};

/// A command that reads the settings, and what CLI11 found of it.
struct subcommand {
  std::string name;
  command what;
  std::string (*help_text)();
  std::vector<std::string> own_flags; ///< Beside the settings.
  CLI::App* parser = nullptr;
  bool help = false;
  std::vector<std::string> values = {};
  std::vector<CLI::Option*> options = {};
};

void declare(CLI::App& app, subcommand& sub, command_line& line) {
  const auto& table = setting_table();
  sub.parser = app.add_subcommand(sub.name);
  sub.parser->set_help_flag();
  sub.parser->add_flag("-h,--help", sub.help);
  sub.parser->allow_extras();
  for (const auto& flag : sub.own_flags)
    sub.parser->add_flag(flag, flag == "--json"      ? line.json
                               : flag == "--dry-run" ? line.dry_run
                               : flag == "--active"  ? line.must_be_active
                               : flag == "--strict"  ? line.strict
                                                     : line.force);
  sub.values.resize(table.size());
  for (std::size_t i = 0; i < table.size(); ++i)
    sub.options.push_back(!is_read(sub.what, table[i]) ? nullptr
                          : table[i].is_switch
                              ? sub.parser->add_flag(table[i].flag(), sub.values[i])
                              : sub.parser->add_option(table[i].flag(), sub.values[i]));
}

result<command_line> read_command_line(const std::vector<std::string>& arguments) {
  const auto& table = setting_table();
  CLI::App app;
  app.set_help_flag();
  bool help = false;
  bool version = false;
  app.add_flag("-h,--help", help);
  app.add_flag("--version", version);
  app.allow_extras();
  app.require_subcommand(0, 1);
  command_line out;
  std::array<subcommand, 5> subs{
      subcommand{"serve", command::serve, serve_help_text, {}},
      subcommand{"doctor", command::doctor, doctor_help_text, {"--json"}},
      subcommand{"cleanup", command::cleanup, cleanup_help_text, {"--dry-run", "--force"}},
      subcommand{"health", command::health, help_text, {"--active"}},
      subcommand{"cluster", command::cluster_status, cluster_help_text, {"--json", "--strict"}}};
  for (auto& sub : subs)
    declare(app, sub, out);
  try {
    app.parse(std::vector<std::string>{arguments.rbegin(), arguments.rend()});
  } catch (const CLI::ParseError& e) {
    return fail(errc::misconfigured, e.what());
  }

  if (version)
    return command_line{command::print_version, version_text()};
  if (const auto remaining = app.remaining(); !help && !remaining.empty()) {
    const auto& first = remaining.front();
    return fail(errc::misconfigured,
                "unknown command " + first.substr(0, first.find('=')) +
                    "; `busbar serve` runs the service, `busbar --help` says more");
  }
  const auto sub = std::ranges::find_if(subs, [](const auto& s) { return s.parser->parsed(); });
  if (help || sub == subs.end())
    return command_line{command::print_help, help_text()};
  if (sub->help)
    return command_line{command::print_help, sub->help_text()};
  const auto remaining = sub->parser->remaining();
  if (sub->what == command::cluster_status) {
    if (remaining != std::vector<std::string>{"status"})
      return fail(errc::misconfigured, "`busbar cluster` takes only status; `busbar cluster "
                                       "--help` says more");
  } else if (!remaining.empty()) {
    if (sub->what == command::health)
      return fail(errc::misconfigured, "`busbar health` takes only --active, --port and "
                                       "--listen-address; `busbar --help` says more");
    auto known = sub->own_flags;
    for (const auto& s : table)
      known.push_back(s.flag());
    return fail(unknown_arguments(sub->name, known, remaining));
  }
  out.what = sub->what;
  for (std::size_t i = 0; i < table.size(); ++i)
    if (sub->options[i] != nullptr && sub->options[i]->count() > 0)
      out.flags.emplace(table[i].name, sub->values[i]);
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

/// Of what only `serve` needs.
result<void> check_service(const draft& d) {
  const auto& config = d.config;
  if (!config.secret && !d.insecure)
    return fail(errc::misconfigured,
                "set BUSBAR_SECRET to the secret that requests must carry, or BUSBAR_INSECURE=true "
                "to answer requests without one",
                "BUSBAR_SECRET");
  if (config.secret && d.insecure)
    return fail(
        errc::misconfigured,
        "BUSBAR_SECRET and BUSBAR_INSECURE=true contradict each other: set only one of them",
        "BUSBAR_INSECURE");
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
  const bool only_where = line.what == command::health || line.what == command::cluster_status;
  if (auto known = refuse_unknown(variables); !known && !only_where)
    return fail(std::move(known).error());
  draft read;
  for (const auto& s : setting_table()) {
    if (!is_read(line.what, s))
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
  if (only_where)
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
  out.force = line->force;
  out.must_be_active = line->must_be_active;
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
  if (out.what != command::health && out.what != command::cluster_status)
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
