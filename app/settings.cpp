#include "app/settings.hpp"

#include "app/setting_table.hpp"
#include "app/setting_values.hpp"
#include "postgres/connection.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
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
         "  busbar serve --help                     list the settings\n"
         "  busbar health [--active]                ask the one that runs here how it is: says "
         "active,\n"
         "                                          waiting or starting and exits with 0 if it "
         "serves,\n"
         "                                          with --active only if it streams; reads the "
         "port\n"
         "                                          and the address from the same settings\n"
         "  busbar --version                        print the version\n"
         "  busbar --help                           print this";
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
error unknown_arguments(const std::vector<std::string>& remaining) {
  std::vector<std::string> flags;
  for (const auto& s : setting_table())
    flags.push_back(s.flag());
  const std::vector<std::string_view> candidates{flags.begin(), flags.end()};
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
  return {errc::misconfigured, "`busbar serve` takes only flags; `busbar serve --help` lists them"};
}

struct command_line {
  command what = command::serve;
  std::string text;
  std::map<std::string, std::string> flags = {}; ///< Of the settings that were given, by name.
  bool must_be_active = false;                   ///< For health.
};

/// Where a Busbar is to be found: the settings that `busbar health` reads.
bool tells_where(const setting& s) {
  return s.name == "BUSBAR_PORT" || s.name == "BUSBAR_LISTEN_ADDRESS";
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
  auto* serve = app.add_subcommand("serve");
  serve->set_help_flag();
  bool serve_help = false;
  serve->add_flag("-h,--help", serve_help);
  serve->allow_extras();
  std::vector<std::string> values(table.size());
  std::vector<CLI::Option*> options;
  for (std::size_t i = 0; i < table.size(); ++i)
    options.push_back(table[i].is_switch ? serve->add_flag(table[i].flag(), values[i])
                                         : serve->add_option(table[i].flag(), values[i]));
  auto* health = app.add_subcommand("health");
  health->set_help_flag();
  bool must_be_active = false;
  health->add_flag("--active", must_be_active);
  bool health_help = false;
  health->add_flag("-h,--help", health_help);
  std::vector<CLI::Option*> places(table.size(), nullptr);
  for (std::size_t i = 0; i < table.size(); ++i)
    if (tells_where(table[i]))
      places[i] = health->add_option(table[i].flag(), values[i]);
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
  if (help || health_help || (!serve->parsed() && !health->parsed()))
    return command_line{command::print_help, help_text()};
  if (serve_help)
    return command_line{command::print_help, serve_help_text()};
  if (const auto remaining = serve->remaining(); !remaining.empty())
    return fail(unknown_arguments(remaining));
  if (!health->remaining().empty())
    return fail(errc::misconfigured, "`busbar health` takes only --active, --port and "
                                     "--listen-address; `busbar --help` says more");
  command_line out;
  out.what = health->parsed() ? command::health : command::serve;
  out.must_be_active = must_be_active;
  for (std::size_t i = 0; i < table.size(); ++i)
    if (options[i]->count() > 0 || (places[i] && places[i]->count() > 0))
      out.flags.emplace(table[i].name, values[i]);
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

/// Whoever names an authority wants the server verified; connection_url sees to that.
result<void> verify_server(std::string& url, std::string_view ca_file) {
  url += url.find('?') == std::string::npos ? "?" : "&";
  url += "sslrootcert=" + percent_encoded(ca_file);
  const auto checked = postgres::connection_url::parse(url);
  if (!checked)
    return fail(errc::misconfigured,
                "BUSBAR_DATABASE_CA_CERTIFICATE_FILE: " + checked.error().message,
                "BUSBAR_DATABASE_CA_CERTIFICATE_FILE");
  return {};
}

result<settings> finish(draft d) {
  auto& config = d.config;
  if (config.database_url.empty())
    return fail(errc::misconfigured,
                "DATABASE_URL is not set: set it to "
                "postgresql://user:password@host:5432/database",
                "DATABASE_URL");
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
  if (config.snapshot_database_url.empty())
    config.snapshot_database_url = config.database_url;
  if (!config.database_ca_file.empty())
    for (auto* url : {&config.database_url, &config.snapshot_database_url})
      if (auto done = verify_server(*url, config.database_ca_file); !done)
        return fail(std::move(done).error());
  return std::move(config);
}

} // namespace

result<invocation> parse_invocation(const std::vector<std::string>& arguments,
                                    const std::vector<std::string>& environment) {
  auto line = read_command_line(arguments);
  if (!line)
    return fail(std::move(line).error());
  if (line->what != command::serve && line->what != command::health)
    return invocation{line->what, std::move(line->text), {}};

  // Whether the rest of the settings is sound is for the server to say, which has them all.
  const bool only_where = line->what == command::health;
  const auto variables = read_environment(environment);
  if (auto known = refuse_unknown(variables); !known && !only_where)
    return fail(std::move(known).error());
  draft read;
  for (const auto& s : setting_table()) {
    if (only_where && !tells_where(s))
      continue;
    source from;
    if (const auto flag = line->flags.find(s.name); flag != line->flags.end()) {
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
    return invocation{command::health, {}, std::move(read.config), {}, line->must_be_active};
  auto config = finish(std::move(read));
  if (!config)
    return fail(std::move(config).error());
  return invocation{command::serve, {}, std::move(*config), notes_on_unused(variables)};
}

std::string describe(const settings& config) {
  std::string out;
  for (const auto& s : setting_table())
    out += s.name + "=" + s.write(config) + "\n";
  return out;
}

} // namespace busbar::app
