#include "app/command_line.hpp"

#include "app/cluster_status.hpp"
#include "app/setting_values.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace busbar::app {
namespace {

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
         "  busbar cleanup [--dry-run] [--force] [--replica-identity]\n"
         "                                          drop what Busbar made in PostgreSQL\n"
         "  busbar serve --help                     list the settings, which all three read\n"
         "  busbar policy check --token <token>     what a token may see, and why; --help says "
         "more\n"
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
  return "Usage: busbar cleanup [--dry-run] [--force] [--replica-identity] [--<setting> "
         "<value>]...\n"
         "\n"
         "Drops the replication slot of this stream id, and its publication if it belongs to the "
         "role\n"
         "of DATABASE_URL. For a Busbar that is retired: a slot that nobody reads fills "
         "PostgreSQL's\n"
         "disk. The storage directory stays as it is.\n"
         "\n"
         "  --replica-identity\n"
         "              also gives tables the default replica identity again where the storage\n"
         "              directory knows that Busbar has set it to FULL, and no other publication\n"
         "              has them; for other tables that have FULL the SQL is printed\n"
         "  --dry-run   prints the SQL and changes nothing\n"
         "  --force     also if a Busbar leads the stream: ends its session first. Unless it is\n"
         "              stopped, it makes everything anew.\n"
         "\n"
         "Exit status: 0 done, or there was nothing to do; 1 it failed; 2 a Busbar leads the "
         "stream.";
}

std::string policy_help_text() {
  return "Usage: busbar policy check --token <token> [--table <table>] [--<setting> <value>]...\n"
         "\n"
         "Says whether a token is good and, for each table of the policy or for one, which rows "
         "and\n"
         "columns it opens, by which rule, and why others do not apply. Reads BUSBAR_POLICY_FILE "
         "and "
         "the\n"
         "keys that `busbar serve` reads; needs no database and no server.\n"
         "\n"
         "  --token    a JWT or a shape grant; - reads it from the standard input, where no list "
         "of\n"
         "             processes shows it\n"
         "  --table    a table, or schema.table, as the policy writes it\n"
         "\n"
         "Exit status: 0 the token opens something, 1 keys or policy cannot be read, 2 it opens "
         "nothing.";
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
    sub.parser->add_flag(flag, flag == "--json"               ? line.json
                               : flag == "--dry-run"          ? line.dry_run
                               : flag == "--active"           ? line.must_be_active
                               : flag == "--strict"           ? line.strict
                               : flag == "--replica-identity" ? line.replica_identity
                                                              : line.force);
  sub.values.resize(table.size());
  for (std::size_t i = 0; i < table.size(); ++i)
    sub.options.push_back(!is_read_by(sub.what, table[i]) ? nullptr
                          : table[i].is_switch
                              ? sub.parser->add_flag(table[i].flag(), sub.values[i])
                              : sub.parser->add_option(table[i].flag(), sub.values[i]));
  if (sub.what == command::check_policy) {
    sub.parser->add_option("verb", line.verb);
    sub.parser->add_option("--token", line.token);
    sub.parser->add_option("--table", line.table);
  }
}

/// Where a Busbar is to be found: what `busbar health` reads.
bool tells_where(const setting& s) {
  return s.name == "BUSBAR_PORT" || s.name == "BUSBAR_LISTEN_ADDRESS";
}

/// What `busbar policy check` reads.
bool is_of_gate(const setting& s) {
  return s.name.starts_with("BUSBAR_JWT_") || s.name == "BUSBAR_POLICY_FILE" ||
         s.name == "BUSBAR_GRANT_KEY_FILE";
}

} // namespace

bool is_read_by(command what, const setting& s) {
  switch (what) {
  case command::health:
    return tells_where(s);
  case command::cluster_status:
    return tells_where(s) || s.name == "BUSBAR_SECRET" || s.name == "BUSBAR_SECRETS";
  case command::check_policy:
    return is_of_gate(s);
  default:
    return true;
  }
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
  std::array<subcommand, 6> subs{
      subcommand{"serve", command::serve, serve_help_text, {}},
      subcommand{"doctor", command::doctor, doctor_help_text, {"--json"}},
      subcommand{"cleanup",
                 command::cleanup,
                 cleanup_help_text,
                 {"--dry-run", "--force", "--replica-identity"}},
      subcommand{"health", command::health, help_text, {"--active"}},
      subcommand{"policy", command::check_policy, policy_help_text, {}},
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
  if (out.what == command::check_policy && (out.verb != "check" || out.token.empty()))
    return fail(errc::misconfigured, "what there is of `busbar policy` is `busbar policy check "
                                     "--token <token>`; `busbar policy --help` says more");
  for (std::size_t i = 0; i < table.size(); ++i)
    if (sub->options[i] != nullptr && sub->options[i]->count() > 0)
      out.flags.emplace(table[i].name, sub->values[i]);
  return out;
}

} // namespace busbar::app
