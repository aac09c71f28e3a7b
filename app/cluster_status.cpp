#include "app/cluster_status.hpp"

#include "app/local_request.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ostream>
#include <vector>

namespace busbar::app {
namespace {

using nlohmann::json;

constexpr std::size_t columns = 10;
using row = std::array<std::string, columns>;

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null())
    return {};
  return found->is_string() ? found->get<std::string>() : found->dump();
}

bool is_true(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

std::string reachable(const json& member) {
  if (is_true(member, "reachable"))
    return "yes";
  const auto away = text_of(member, "away_ms");
  return away.empty() ? "no" : "no, for " + away + " ms";
}

/// A member that was never heard has told nothing: its numbers would only look like some.
row row_of(const json& member) {
  const bool known = !text_of(member, "version").empty();
  const auto number = [&](const char* name) { return known ? text_of(member, name) : "-"; };
  const auto name = text_of(member, "name") + (is_true(member, "self") ? " *" : "");
  auto role = text_of(member, "role");
  if (const auto since = text_of(member, "without_postgres_since"); !since.empty())
    role += ", without PostgreSQL since " + since;
  if (is_true(member, "draining"))
    role += ", draining";
  return {name,
          known ? role : "unknown",
          number("term"),
          reachable(member),
          known ? (is_true(member, "in_sync") ? "yes" : "no") : "-",
          number("behind"),
          number("last_seen_lsn"),
          number("flushed_lsn"),
          number("shapes"),
          number("version")};
}

std::string aligned(const std::vector<row>& rows) {
  std::array<std::size_t, columns> width{};
  for (const auto& one : rows)
    for (std::size_t i = 0; i < columns; ++i)
      width[i] = std::max(width[i], one[i].size());
  std::string out;
  for (const auto& one : rows) {
    std::string line;
    for (std::size_t i = 0; i < columns; ++i)
      line += one[i] + std::string(width[i] - one[i].size() + 2, ' ');
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

/// For a query; the secret may hold anything.
std::string percent_encoded(std::string_view text) {
  constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += {'%', digits[byte >> 4], digits[byte & 15]};
  }
  return out;
}

} // namespace

result<cluster_status> read_cluster_status(int http_status, std::string_view body) {
  const auto wrong = [](const char* why) { return fail(errc::unavailable, why); };
  if (http_status == 401)
    return wrong("the Busbar that runs here wants its secret: set BUSBAR_SECRET, or --secret");
  if (http_status == 404)
    return wrong("the Busbar that runs here is a single node, no member of a cluster");
  const auto said = json::parse(body, nullptr, false);
  if (http_status != 200 || !said.is_object() || !said.contains("members") ||
      !said["members"].is_array() ||
      !std::ranges::all_of(said["members"], [](const auto& one) { return one.is_object(); }))
    return wrong("who answers is not Busbar, or not well");
  const auto& members = said["members"];
  const auto leader = text_of(said, "leader");
  cluster_status out;
  out.json = body;
  std::string leads_nothing_since;
  for (const auto& member : members)
    if (text_of(member, "name") == leader)
      leads_nothing_since = text_of(member, "without_postgres_since");
  out.has_leader = !leader.empty() && leads_nothing_since.empty();
  out.all_reachable =
      std::ranges::all_of(members, [](const auto& member) { return is_true(member, "reachable"); });
  std::vector<row> rows{{"MEMBER", "ROLE", "TERM", "REACHABLE", "IN SYNC", "BEHIND", "APPLIED",
                         "FLUSHED", "SHAPES", "VERSION"}};
  for (const auto& member : members)
    rows.push_back(row_of(member));
  out.table = aligned(rows);
  out.table += leader.empty() ? "No node leads"
                              : leader + " leads in term " + text_of(said, "term") +
                                    (out.has_leader ? "" : ", but without PostgreSQL");
  out.table += ". * is the node that says so.\n";
  return out;
}

int run_cluster_status(const invocation& call, std::ostream& out, std::ostream& trouble) {
  std::string target = "/v1/cluster";
  if (call.config.secret)
    target += "?secret=" + percent_encoded(*call.config.secret);
  else if (!call.config.more_secrets.empty())
    target += "?secret=" + percent_encoded(call.config.more_secrets.front());
  const auto answer = ask_here(call.config, target);
  const auto status = answer ? read_cluster_status(answer->http_status, answer->body)
                             : result<cluster_status>{fail(answer.error())};
  if (!status) {
    trouble << "busbar: " << status.error().message << std::endl;
    return EXIT_FAILURE;
  }
  out << (call.json ? status->json : status->table) << std::flush;
  const bool fine = status->has_leader && (status->all_reachable || !call.strict);
  return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}

std::string cluster_help_text() {
  return "Usage: busbar cluster status [--json] [--strict] [--port <port>]\n"
         "                             [--listen-address <address>] [--secret <secret>]\n"
         "\n"
         "Asks the Busbar that runs here for the members of its cluster, and prints a line for "
         "each:\n"
         "what it is, whether it can be reached, whether PostgreSQL's WAL waits for it (in sync), "
         "how\n"
         "many writes of the leader's storage it lacks, up to where in the WAL it shows changes "
         "and has\n"
         "them on its disk, its shapes and its version. Reads the port, the address and the secret "
         "from\n"
         "the same settings as `busbar serve`.\n"
         "\n"
         "  --json      what GET /v1/cluster answers\n"
         "  --strict    a member that cannot be reached counts as a failure\n"
         "\n"
         "Exit status: 0 a node leads; 1 none does or it has no stream from PostgreSQL, there is "
         "no\n"
         "answer, or --strict found a member away.";
}

} // namespace busbar::app
