#include "app/setting_table.hpp"

#include "app/cluster_settings.hpp"
#include "app/setting_values.hpp"
#include "postgres/connection.hpp"

#include <arpa/inet.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <iterator>

namespace busbar::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using namespace std::chrono_literals;
using names = std::vector<std::string>;

/// What most rows need beside their reading and writing.
struct headline {
  std::string name;
  names synonyms;
  std::string meaning;
};

setting row(headline head) {
  setting out;
  out.name = std::move(head.name);
  out.synonyms = std::move(head.synonyms);
  out.meaning = std::move(head.meaning);
  return out;
}

template <class Number>
setting count(headline head, Number settings::*field, bounds allowed) {
  auto out = row(std::move(head));
  out.takes = std::to_string(allowed.least) + " to " + std::to_string(allowed.most);
  out.read = [field, allowed](draft& d, std::string_view text) -> result<void> {
    return read_count(text, allowed).map([&](auto n) { d.config.*field = static_cast<Number>(n); });
  };
  out.write = [field](const settings& s) { return std::to_string(s.*field); };
  return out;
}

setting size(headline head, std::size_t settings::*field, bounds allowed) {
  auto out = row(std::move(head));
  out.takes = "a size in bytes, or with KB, MB, GB, KiB, MiB or GiB; " + write_size(allowed.least) +
              " to " + write_size(allowed.most);
  out.read = [field, allowed](draft& d, std::string_view text) -> result<void> {
    return read_size(text, allowed).map([&](auto n) { d.config.*field = n; });
  };
  out.write = [field](const settings& s) { return write_size(s.*field); };
  return out;
}

/// `bare` is the unit of a number without one: milliseconds for timeouts, as Electric reads them,
/// but seconds for cache ages.
template <class Duration>
setting duration(headline head, Duration settings::*field, milliseconds bare, milliseconds least,
                 milliseconds most) {
  auto out = row(std::move(head));
  out.takes = "a duration with ms, s or m, a bare number means " +
              std::string{bare == 1s ? "s" : "ms"} + "; " + write_duration(least) + " to " +
              write_duration(most);
  out.read = [field, bare, least, most](draft& d, std::string_view text) -> result<void> {
    return read_duration(text, bare, least, most).map([&](milliseconds value) {
      d.config.*field = std::chrono::ceil<Duration>(value);
    });
  };
  out.write = [field](const settings& s) { return write_duration(s.*field); };
  return out;
}

/// `refuse` returns what is wrong with a value, or nothing.
setting text(headline head, std::string settings::*field, std::string takes,
             std::string (*refuse)(std::string_view)) {
  auto out = row(std::move(head));
  out.takes = std::move(takes);
  out.read = [field, refuse](draft& d, std::string_view value) -> result<void> {
    if (auto wrong = refuse(value); !wrong.empty())
      return fail(errc::misconfigured, std::move(wrong));
    d.config.*field = std::string{value};
    return {};
  };
  out.write = [field](const settings& s) { return s.*field; };
  return out;
}

/// A URL may hold a password, also when it is wrong: neither errors nor the log repeat it.
setting database(headline head, std::string settings::*field, std::string shown_default) {
  auto out = row(std::move(head));
  out.takes = "postgresql://user:password@host:5432/database";
  out.shown_default = std::move(shown_default);
  out.read = [field](draft& d, std::string_view value) -> result<void> {
    return postgres::connection_url::parse(value).map(
        [&](const auto&) { d.config.*field = std::string{value}; });
  };
  out.write = [field](const settings& s) {
    const auto url = postgres::connection_url::parse(s.*field);
    return url ? url->display() : std::string{};
  };
  return out;
}

std::string refuse_nothing(std::string_view) {
  return {};
}

std::string refuse_address(std::string_view value) {
  const std::string address{value};
  in6_addr parsed{};
  if (::inet_pton(AF_INET, address.c_str(), &parsed) == 1 ||
      ::inet_pton(AF_INET6, address.c_str(), &parsed) == 1)
    return {};
  return "'" + address + "' is not an IPv4 or IPv6 address";
}

/// The id becomes part of the slot's name, whose alphabet this is, and of the longer
/// "busbar_publication_<id>", which PostgreSQL would cut at 63 bytes.
std::string refuse_stream_id(std::string_view value) {
  constexpr std::size_t bytes_max = 63 - std::string_view{"busbar_publication_"}.size();
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (value.size() <= bytes_max && std::ranges::all_of(value, allowed))
    return {};
  return "'" + std::string{value} + "' is not of a-z, 0-9 and _ and at most " +
         std::to_string(bytes_max) + " characters long";
}

setting choice(headline head, std::string settings::*field, std::vector<std::string> words) {
  auto out = row(std::move(head));
  for (std::size_t i = 0; i < words.size(); ++i)
    out.takes += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + words[i];
  out.read = [field, takes = out.takes, words](draft& d, std::string_view value) -> result<void> {
    if (std::ranges::find(words, value) == words.end())
      return fail(errc::misconfigured, "'" + std::string{value} + "' is not " + takes);
    d.config.*field = std::string{value};
    return {};
  };
  out.write = [field](const settings& s) { return s.*field; };
  return out;
}

setting log_level() {
  auto out = row({"BUSBAR_LOG_LEVEL", {"ELECTRIC_LOG_LEVEL"}, "The least important lines to log."});
  out.takes = "error, warning, info, debug or trace";
  out.read = [](draft& d, std::string_view value) -> result<void> {
    constexpr std::array<std::string_view, 5> levels{"error", "warning", "info", "debug", "trace"};
    const auto level = value == "warn" ? levels[1] : value;
    if (std::ranges::find(levels, level) == levels.end())
      return fail(errc::misconfigured,
                  "'" + std::string{value} + "' is none of error, warning, info, debug and trace");
    d.config.log_level = std::string{level};
    return {};
  };
  out.write = [](const settings& s) { return s.log_level; };
  return out;
}

setting secret() {
  auto out = row({"BUSBAR_SECRET",
                  {"ELECTRIC_SECRET"},
                  "What requests must carry as their `secret` parameter. Either this or insecure "
                  "mode must be chosen. As a flag it shows in the list of processes: prefer the "
                  "environment."});
  out.shown_default = "none";
  out.read = [](draft& d, std::string_view value) -> result<void> {
    d.config.secret = std::string{value};
    return {};
  };
  out.write = [](const settings& s) { return std::string{s.secret ? "********" : ""}; };
  return out;
}

setting insecure() {
  auto out = row({"BUSBAR_INSECURE",
                  {"ELECTRIC_INSECURE"},
                  "Answers requests without a secret: for development, or behind a proxy that "
                  "authorises."});
  out.is_switch = true;
  out.takes = "true or false";
  out.shown_default = "false";
  out.read = [](draft& d, std::string_view value) -> result<void> {
    return read_boolean(value).map([&](bool on) { d.insecure = on; });
  };
  out.write = [](const settings& s) {
    const bool open = !s.secret && s.more_secrets.empty() && !s.gate.active();
    return std::string{open ? "true" : "false"};
  };
  return out;
}

/// Commas separate; a secret with a comma in it is BUSBAR_SECRET's business.
setting more_secrets() {
  auto out = row({"BUSBAR_SECRETS",
                  {},
                  "More secrets that are as good as BUSBAR_SECRET, so that one can be replaced "
                  "while clients still have the other. Each may also be sent as `Authorization: "
                  "Bearer`."});
  out.takes = "texts with commas between";
  out.shown_default = "none";
  out.read = [](draft& d, std::string_view value) -> result<void> {
    while (!value.empty()) {
      const auto comma = std::min(value.find(','), value.size());
      if (comma == 0)
        return fail(errc::misconfigured, "one of the secrets is empty");
      d.config.more_secrets.emplace_back(value.substr(0, comma));
      value.remove_prefix(std::min(comma + 1, value.size()));
    }
    return {};
  };
  out.write = [](const settings& s) {
    return std::string{s.more_secrets.empty() ? "" : "********"};
  };
  return out;
}

setting of_gate(headline head, std::string gate::gate_settings::*field, std::string takes,
                std::string (*refuse)(std::string_view)) {
  auto out = row(std::move(head));
  out.takes = std::move(takes);
  out.shown_default = "none";
  out.read = [field, refuse](draft& d, std::string_view value) -> result<void> {
    if (auto wrong = refuse(value); !wrong.empty())
      return fail(errc::misconfigured, std::move(wrong));
    d.config.gate.*field = std::string{value};
    return {};
  };
  out.write = [field](const settings& s) { return s.gate.*field; };
  return out;
}

/// `at` returns the place of the value.
setting of_gate(headline head, seconds& (*at)(gate::gate_settings&), milliseconds least,
                milliseconds most) {
  auto out = row(std::move(head));
  out.takes = "a duration with ms, s or m, a bare number means s; " + write_duration(least) +
              " to " + write_duration(most);
  out.read = [at, least, most](draft& d, std::string_view text) -> result<void> {
    return read_duration(text, 1s, least, most).map([&](milliseconds value) {
      at(d.config.gate) = std::chrono::ceil<seconds>(value);
    });
  };
  out.write = [at](const settings& s) {
    auto copy = s.gate;
    return write_duration(at(copy));
  };
  return out;
}

std::string refuse_key_url(std::string_view value) {
  return value.starts_with("https://") || value.starts_with("http://")
             ? std::string{}
             : "'" + std::string{value} + "' begins neither with https:// nor with http://";
}

std::vector<setting> gate_table() {
  using gate::gate_settings;
  const auto expected = [](headline head, std::string gate::expectations::*field) {
    auto out = row(std::move(head));
    out.takes = "a text";
    out.shown_default = "none";
    out.read = [field](draft& d, std::string_view value) -> result<void> {
      d.config.gate.expected.*field = std::string{value};
      return {};
    };
    out.write = [field](const settings& s) { return s.gate.expected.*field; };
    return out;
  };
  return {
      of_gate({"BUSBAR_JWT_KEY_FILE",
               {},
               "Keys that verify tokens (`Authorization: Bearer <JWT>`): public keys in PEM, a "
               "JWKS in JSON, or a secret. Read again when it changes. With it, or with the next, "
               "each request needs a token or the secret, and BUSBAR_POLICY_FILE says what a token "
               "opens."},
              &gate_settings::key_file, "the path of a file", refuse_nothing),
      of_gate({"BUSBAR_JWT_KEY_URL", {}, "Where the issuer of tokens publishes its keys, a JWKS."},
              &gate_settings::key_url, "an https:// URL", refuse_key_url),
      of_gate(
          {"BUSBAR_JWT_KEY_PERIOD",
           {},
           "How often that URL is asked; sooner, though at most every 30 seconds, when a token "
           "names a key that is not known."},
          [](gate_settings& s) -> seconds& { return s.key_period; }, 1s, 24h),
      expected({"BUSBAR_JWT_ISSUER", {}, "What a token's `iss` must be; not asked if not set."},
               &gate::expectations::issuer),
      expected({"BUSBAR_JWT_AUDIENCE",
                {},
                "What a token's `aud` must be or hold; not asked if not set."},
               &gate::expectations::audience),
      of_gate(
          {"BUSBAR_JWT_CLOCK_SKEW",
           {},
           "By how much the clock of the issuer may differ from ours."},
          [](gate_settings& s) -> seconds& { return s.expected.clock_skew; }, 0s, 10min),
      of_gate({"BUSBAR_POLICY_FILE",
               {},
               "What tokens open: per table for whom, which columns, which rows; and limits per "
               "tenant. Read again when it changes."},
              &gate_settings::policy_file, "the path of a YAML file", refuse_nothing),
      of_gate({"BUSBAR_GRANT_KEY_FILE",
               {},
               "Keys that verify shape grants: tokens that name one shape each, signed by whoever "
               "decides. Never the keys of other tokens."},
              &gate_settings::grant_key_file, "the path of a file", refuse_nothing),
  };
}

setting on_or_off(setting out, bool settings::*where) {
  out.is_switch = true;
  out.takes = "true or false";
  out.read = [where](draft& d, std::string_view value) -> result<void> {
    return read_boolean(value).map([&](bool on) { d.config.*where = on; });
  };
  out.write = [where](const settings& s) { return std::string{s.*where ? "true" : "false"}; };
  return out;
}

result<void> read_concurrent_requests(draft& d, std::string_view text) {
  constexpr std::uint64_t most = 10'000'000;
  const auto wrong = [](const std::string& what) {
    return fail(errc::misconfigured,
                what + R"(, expected JSON like {"initial":300,"existing":10000})");
  };
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return wrong("'" + std::string{text} + "' is not a JSON object");
  for (const auto& [key, value] : json.items()) {
    if (key != "initial" && key != "existing")
      return wrong("unknown key '" + key + "'");
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() == 0 ||
        value.get<std::uint64_t>() > most)
      return wrong("'" + key + "' is not a whole number from 1 to " + std::to_string(most));
    (key == "initial" ? d.config.initial_requests_max : d.config.existing_requests_max) =
        value.get<std::size_t>();
  }
  return {};
}

setting concurrent_requests() {
  auto out = row({"BUSBAR_MAX_CONCURRENT_REQUESTS",
                  {"ELECTRIC_MAX_CONCURRENT_REQUESTS"},
                  "How many requests may be answered at once: those that ask for a shape for the "
                  "first time, and those that continue one. More get 503. A long poll or a stream "
                  "does not count while it waits."});
  out.takes = R"(JSON with "initial" and "existing")";
  out.read = read_concurrent_requests;
  out.write = [](const settings& s) {
    return R"({"initial":)" + std::to_string(s.initial_requests_max) + R"(,"existing":)" +
           std::to_string(s.existing_requests_max) + "}";
  };
  return out;
}

setting certificate_file() {
  auto out = text({"BUSBAR_DATABASE_CA_CERTIFICATE_FILE",
                   {"ELECTRIC_DATABASE_CA_CERTIFICATE_FILE"},
                   "Root certificates to verify PostgreSQL's certificate and host name against; "
                   "the connection is then always encrypted."},
                  &settings::database_ca_file, "the path of a PEM file", refuse_nothing);
  out.shown_default = "none";
  return out;
}

setting tenant_column() {
  auto out = text({"BUSBAR_TENANT_COLUMN",
                   {},
                   "The column by which tenants are told apart: a shape belongs to the one that "
                   "its where clause sets this column equal to."},
                  &settings::tenant_column, "a column's name", refuse_nothing);
  out.shown_default = "none";
  return out;
}

/// Both URLs get it where they do not say it themselves; 0 leaves it to them and to our default.
template <class Duration>
setting network_wait(headline head, Duration settings::*field, milliseconds bare,
                     std::string standard) {
  auto out = duration(std::move(head), field, bare, bare, 24h);
  out.write = [field, standard](const settings& s) {
    return s.*field == Duration{0} ? standard : write_duration(s.*field);
  };
  return out;
}

std::vector<setting> main_table() {
  constexpr bounds threads{0, 256};
  return {
      database({"DATABASE_URL",
                {},
                "The PostgreSQL database to follow, connected to directly: replication does not "
                "pass a pooler."},
               &settings::database_url, "none, required"),
      database({"BUSBAR_POOLED_DATABASE_URL",
                {"ELECTRIC_POOLED_DATABASE_URL", "ELECTRIC_QUERY_DATABASE_URL"},
                "The same database through a pooler, for snapshot queries."},
               &settings::snapshot_database_url, "DATABASE_URL"),
      certificate_file(),
      network_wait({"BUSBAR_DATABASE_TCP_KEEPALIVE_IDLE",
                    {"ELECTRIC_DATABASE_TCP_KEEPALIVE_IDLE"},
                    "After this long without a word PostgreSQL's machine is asked whether it is "
                    "still there. A URL may say keepalives_idle instead; the same for the next "
                    "three."},
                   &settings::tcp_keepalive_idle, 1s, "10s"),
      network_wait({"BUSBAR_DATABASE_TCP_KEEPALIVE_INTERVAL",
                    {"ELECTRIC_DATABASE_TCP_KEEPALIVE_INTERVAL"},
                    "It is asked again after this long …"},
                   &settings::tcp_keepalive_interval, 1s, "5s"),
      [] {
        auto out = count({"BUSBAR_DATABASE_TCP_KEEPALIVE_COUNT",
                          {"ELECTRIC_DATABASE_TCP_KEEPALIVE_COUNT"},
                          "… and given up after so many questions without an answer."},
                         &settings::tcp_keepalive_count, {1, 100});
        out.write = [](const settings& s) {
          return std::to_string(s.tcp_keepalive_count == 0 ? 3 : s.tcp_keepalive_count);
        };
        return out;
      }(),
      network_wait({"BUSBAR_DATABASE_TCP_USER_TIMEOUT",
                    {"ELECTRIC_DATABASE_TCP_USER_TIMEOUT"},
                    "A connection on which what was sent is not acknowledged for this long is "
                    "given up."},
                   &settings::tcp_user_timeout, 1ms, "30s"),
      secret(),
      more_secrets(),
      insecure(),
      count({"BUSBAR_PORT", {"ELECTRIC_PORT"}, "The HTTP port; 0 takes any free port."},
            &settings::port, {0, 65'535}),
      text({"BUSBAR_LISTEN_ADDRESS", {}, "The address on which HTTP is served."},
           &settings::listen_address, "an IPv4 or IPv6 address", refuse_address),
      count({"BUSBAR_METRICS_PORT",
             {"ELECTRIC_PROMETHEUS_PORT"},
             "The port of Prometheus' /metrics; 0 serves none."},
            &settings::metrics_port, {0, 65'535}),
      text({"BUSBAR_STORAGE_DIR",
            {"ELECTRIC_STORAGE_DIR"},
            "Where shape logs are kept; made if it does not exist. On a disk of this machine."},
           &settings::storage_dir, "a directory", refuse_nothing),
      text({"BUSBAR_REPLICATION_STREAM_ID",
            {"ELECTRIC_REPLICATION_STREAM_ID"},
            "Names the publication busbar_publication_<id> and the slot busbar_slot_<id>; "
            "services that share a database need different ids."},
           &settings::stream_id, "a-z, 0-9 and _", refuse_stream_id),
      on_or_off(row({"BUSBAR_MANUAL_TABLE_PUBLISHING",
                     {"ELECTRIC_MANUAL_TABLE_PUBLISHING"},
                     "The publication, its tables and their REPLICA IDENTITY FULL are an "
                     "administrator's business: they are checked, and never altered."}),
                &settings::manual_publishing),
      on_or_off(row({"BUSBAR_TEMPORARY_REPLICATION_SLOT",
                     {"CLEANUP_REPLICATION_SLOTS_ON_SHUTDOWN"},
                     "The slot ends with the connection, and no WAL is kept without us; each "
                     "connection then begins with new shapes."}),
                &settings::temporary_slot),
      on_or_off(row({"BUSBAR_TEMPORARY_REPLICATION_SLOT_USE_RANDOM_NAME",
                     {"ELECTRIC_TEMPORARY_REPLICATION_SLOT_USE_RANDOM_NAME"},
                     "A temporary slot has a random name instead of that of the stream id."}),
                &settings::random_slot_name),
      on_or_off(row({"BUSBAR_FAILOVER_REPLICATION_SLOT",
                     {},
                     "From PostgreSQL 17 on the slot is made so that standbys keep it, too. A slot "
                     "that is there already stays as it is."}),
                &settings::failover_slot),
      size({"BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD",
            {"ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD"},
            "A response ends with the row that makes it this large; the client asks for the rest."},
           &settings::chunk_bytes, {1, 1u << 30}),
      duration({"BUSBAR_TWEAKS_SCHEMA_RECONCILER_PERIOD",
                {"ELECTRIC_TWEAKS_SCHEMA_RECONCILER_PERIOD"},
                "How often followed tables are compared with PostgreSQL's catalog, to notice what "
                "the stream does not tell: a table dropped, renamed or no longer published."},
               &settings::reconcile_period, 1ms, 100ms, 24h),
      duration({"BUSBAR_UNUSED_TABLE_TIMEOUT",
                {},
                "A table that Busbar has added to its publication leaves it when no shape has been "
                "on it for so long; 0 keeps it."},
               &settings::unused_table, 1ms, 0ms, 8760h),
      duration({"BUSBAR_PARKED_SHAPE_TIMEOUT",
                {},
                "A shape whose subquery brings in rows that PostgreSQL cannot show for so long "
                "begins anew: until it has them, PostgreSQL keeps its WAL."},
               &settings::parked_shape, 1ms, 1s, 8760h),
      duration({"BUSBAR_LONG_POLL_TIMEOUT",
                {"ELECTRIC_LONG_POLL_TIMEOUT"},
                "How long a live request waits for a change."},
               &settings::long_poll, 1ms, 1ms, 10min),
      duration({"BUSBAR_CACHE_MAX_AGE",
                {"ELECTRIC_CACHE_MAX_AGE"},
                "How long caches may keep a catch-up response."},
               &settings::cache_max_age, 1s, 0s, 24h),
      duration({"BUSBAR_CACHE_STALE_AGE",
                {"ELECTRIC_CACHE_STALE_AGE"},
                "How long caches may serve it on while they fetch it anew."},
               &settings::cache_stale_age, 1s, 0s, 24h),
      concurrent_requests(),
      on_or_off(row({"BUSBAR_ENABLE_INTEGRATION_TESTING",
                     {"ELECTRIC_ENABLE_INTEGRATION_TESTING"},
                     "Allows clients to delete shapes with DELETE /v1/shape."}),
                &settings::integration_testing),
      on_or_off(
          row({"BUSBAR_COMPRESSION",
               {},
               "Sends larger bodies as gzip or zstd to clients that accept it; turn it off if "
               "a proxy in front compresses."}),
          &settings::compression),
      duration({"BUSBAR_TCP_SEND_TIMEOUT",
                {"ELECTRIC_TCP_SEND_TIMEOUT"},
                "A client that takes nothing for this long is disconnected."},
               &settings::send_timeout, 1ms, 1s, 1h),
      duration({"BUSBAR_TCP_READ_TIMEOUT",
                {"ELECTRIC_TCP_READ_TIMEOUT"},
                "An idle connection is kept this long: longer than a load balancer in front keeps "
                "it, or its clients see 502."},
               &settings::idle_timeout, 1ms, 1s, 1h),
      count({"BUSBAR_SNAPSHOT_CONNECTIONS",
             {},
             "How many initial snapshots are read from PostgreSQL at once."},
            &settings::snapshot_connections, {1, 64}),
      count({"BUSBAR_IO_THREADS", {}, "Threads that serve sockets; 0 takes them from the cores."},
            &settings::io_threads, threads),
      count({"BUSBAR_MATERIALIZERS",
             {},
             "Actors that write shape logs; 0 takes them from the cores."},
            &settings::materializers, threads),
      size({"BUSBAR_CACHE_BYTES", {}, "Memory for shared response bodies and storage blocks."},
           &settings::cache_bytes, {1u << 20, std::uint64_t{1} << 40}),
      count({"BUSBAR_MAX_SHAPES",
             {"ELECTRIC_MAX_SHAPES", "ELECTRIC_EXPERIMENTAL_MAX_SHAPES"},
             "How many shapes are kept; beyond it those go that nobody has read for the longest "
             "time. None that is being read; 0 keeps them all."},
            &settings::shapes_max, {0, 100'000'000}),
      size({"BUSBAR_MAX_STORAGE_BYTES",
            {},
            "How much all shapes together may take, as they were written; beyond it those go that "
            "nobody has read for the longest time. 0 sets no limit."},
           &settings::storage_bytes_max, {0, std::uint64_t{1} << 50}),
      duration({"BUSBAR_SHAPE_IDLE_TIMEOUT",
                {},
                "A shape that nobody has read for so long is removed; 0 keeps it."},
               &settings::shape_idle, 1ms, 0ms, 8760h),
      duration({"BUSBAR_TWEAKS_EXPIRY_PERIOD",
                {},
                "How often the limits of shapes are looked at; one that was read since the last "
                "look is never removed for them."},
               &settings::expiry_period, 1ms, 100ms, 1h),
      size({"BUSBAR_SPOOL_BYTES",
            {},
            "Disk, in the storage directory, for changes that shapes will want which are still "
            "being "
            "made, beyond their part of BUSBAR_MEMORY_BUDGET; what does not fit ends the shape."},
           &settings::spool_bytes, {0, std::uint64_t{1} << 50}),
      on_or_off(row({"BUSBAR_COMPACTION",
                     {},
                     "Merges older updates of the same row in the logs of shapes, all but those of "
                     "the last two complete chunks."}),
                &settings::compaction),
      duration({"BUSBAR_COMPACTION_HORIZON",
                {},
                "What has been written to a log stays as it is for so long at least."},
               &settings::compaction_horizon, 1ms, 0ms, 8760h),
      size(
          {"BUSBAR_MEMORY_BUDGET",
           {},
           "Memory for changes and rows that are under way; caches, and what each shape and client "
           "needs at rest, come on top."},
          &settings::memory_bytes, {64u << 20, std::uint64_t{1} << 40}),
      log_level(),
      choice({"BUSBAR_LOG_FORMAT",
              {},
              "How lines are logged: as text for humans, or one JSON object a line."},
             &settings::log_format, {"text", "json"}),
      duration({"BUSBAR_SLOW_QUERY",
                {},
                "Snapshots and subsets that take PostgreSQL longer than this are logged; 0 logs "
                "none."},
               &settings::slow_query, 1ms, 0ms, 24h),
      text({"BUSBAR_METRICS_ADDRESS",
            {},
            "The address on which metrics and status page are served. Whoever reaches it sees "
            "the names of tables, and where clauses with their values."},
           &settings::metrics_address, "an IPv4 or IPv6 address", refuse_address),
      on_or_off(row({"BUSBAR_STATUS_PAGE",
                     {},
                     "Shows what the node does as a web page, at / of the metrics port."}),
                &settings::status_page),
      tenant_column(),
      count({"BUSBAR_TENANTS_LISTED",
             {},
             "How many tenants, those with the largest load of late, have series of their own; "
             "all others are summed up."},
            &settings::tenants_listed, {0, 1'000}),
  };
}

std::vector<setting> make_table() {
  auto all = main_table();
  auto gate = gate_table();
  all.insert(all.end(), std::make_move_iterator(gate.begin()), std::make_move_iterator(gate.end()));
  return all;
}

} // namespace

std::string setting::flag() const {
  constexpr std::string_view prefix = "BUSBAR_";
  std::string out = "--";
  for (const char c : name.starts_with(prefix) ? name.substr(prefix.size()) : name)
    out.push_back(c == '_' ? '-' : c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c);
  return out;
}

const std::vector<setting>& setting_table() {
  static const auto table = [] {
    auto all = make_table();
    std::ranges::move(cluster_settings(), std::back_inserter(all));
    return all;
  }();
  return table;
}

} // namespace busbar::app
