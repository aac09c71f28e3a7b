#include "app/cleanup.hpp"

#include "postgres/belongings.hpp"
#include "storage/inspection.hpp"

#include <chrono>
#include <ostream>
#include <thread>
#include <vector>

namespace busbar::app {

namespace {

using namespace std::chrono_literals;
using postgres::connection;
using postgres::connection_url;
using postgres::quote_identifier;

constexpr int failed = 1;
constexpr int refused = 2;

postgres::deadline in(std::chrono::seconds time) {
  return std::chrono::steady_clock::now() + time;
}

/// Takes the lock, or, with `force`, takes it away from whoever has it.
postgres::pg_result_of<bool> take_lead(connection& session, const postgres::stream_settings& stream,
                                       bool force) {
  auto taken = postgres::take_lead(session, stream, in(10s));
  for (const auto until = in(20s); force && taken && !*taken;
       taken = postgres::take_lead(session, stream, in(10s))) {
    if (std::chrono::steady_clock::now() >= until)
      return taken;
    if (auto ended = postgres::end_leader(session, stream, in(10s)); !ended)
      return tl::unexpected<postgres::pg_error>{std::move(ended).error()};
    std::this_thread::sleep_for(50ms);
  }
  return taken;
}

/// A walsender that was ended needs a moment to let go of its slot; others, their tables.
postgres::pg_result_of<void> run(connection& session, const std::string& statement) {
  for (const auto until = in(20s);;) {
    auto done = session.command(statement, in(60s));
    if (done)
      return {};
    const bool passes = done.error().sqlstate == "55006" || done.error().sqlstate == "55P03";
    if (!passes || std::chrono::steady_clock::now() >= until)
      return tl::unexpected<postgres::pg_error>{std::move(done).error()};
    std::this_thread::sleep_for(50ms);
  }
}

/// The tables that the storage directory knows to have their REPLICA IDENTITY FULL from us: oids of
/// this very database. Where there is no saying, none.
std::vector<std::uint32_t> given_full(connection& session, const settings& config,
                                      std::ostream& out) {
  const auto storage = storage::inspect(config.storage_dir);
  const auto unknown = [&](std::string_view why) {
    out << "-- which tables have REPLICA IDENTITY FULL from Busbar is not known: "
        << config.storage_dir << " " << why << "\n";
    return std::vector<std::uint32_t>{};
  };
  if (storage.state == storage::directory_state::in_use)
    return unknown("is in use");
  if (storage.state == storage::directory_state::unreadable)
    return unknown("cannot be read: " + storage.problem);
  if (!storage.identity)
    return unknown("holds no shapes");
  const auto here = session.command(
      "SELECT system_identifier, pg_catalog.current_database() FROM pg_catalog.pg_control_system()",
      in(10s));
  if (!here)
    return unknown("cannot be compared with the server: " + here.error().to_error().message);
  if (here->text(0, 0) != storage.identity->system_id ||
      here->text(0, 1) != storage.identity->database)
    return unknown("belongs to another database");
  return storage.full_tables;
}

/// The statements that give tables back the replica identity that they had; tells of the others.
postgres::pg_result_of<std::vector<std::string>>
identity_statements(connection& session, const postgres::belongings& ours,
                    const postgres::stream_settings& stream, const settings& config,
                    std::ostream& out) {
  const auto tables =
      postgres::find_full_tables(session, ours, stream, given_full(session, config, out), in(30s));
  if (!tables)
    return tl::unexpected<postgres::pg_error>{tables.error()};
  std::vector<std::string> statements;
  for (const auto& table : *tables)
    if (const auto why = postgres::reason_to_keep(table); why.empty())
      statements.push_back(postgres::identity_removal(table));
    else
      out << "-- " << table.name << " keeps REPLICA IDENTITY FULL: " << why
          << "; where that is not wanted: " << postgres::identity_removal(table) << "\n";
  return statements;
}

/// What stays, and why.
void tell_rest(std::ostream& out, const postgres::belongings& ours,
               const postgres::stream_settings& stream, const settings& config) {
  if (ours.slot && !(ours.slot->type == "logical" && ours.slot->is_here))
    out << "-- replication slot " << stream.slot() << " stays: it belongs to database "
        << ours.slot->database << "\n";
  if (ours.publication && !ours.publication->owned)
    out << "-- publication " << stream.publication() << " stays: its owner, "
        << ours.publication->owner << ", may run: DROP PUBLICATION "
        << quote_identifier(stream.publication()) << ";\n";
  out << "-- the storage directory stays: " << config.storage_dir << "\n";
}

} // namespace

int run_cleanup(const invocation& call, std::ostream& out, std::ostream& complaints) {
  const auto complain = [&](const std::string& what) {
    complaints << "busbar: " << what << std::endl;
    return failed;
  };
  const auto& config = call.config;
  const auto url = connection_url::parse(config.database_url);
  if (!url)
    return complain(url.error().message);
  const postgres::stream_settings stream{.url = *url, .stream_id = config.stream_id};
  auto session = connection::open(*url, "cleanup", in(10s));
  if (!session)
    return complain(url->display() + ": " + session.error().to_error().message);
  if (!call.dry_run) {
    const auto leads = take_lead(*session, stream, call.force);
    if (!leads)
      return complain(leads.error().to_error().message);
    if (!*leads) {
      complain("a Busbar leads stream " + config.stream_id +
               (call.force ? " and does not let go: stop it" : ": stop it first, or say --force"));
      return refused;
    }
  }
  const auto ours = postgres::find_belongings(*session, stream, in(10s));
  if (!ours)
    return complain(ours.error().to_error().message);
  auto statements = postgres::removal(*ours, stream);
  if (statements.empty())
    out << "-- there is neither a slot nor a publication of stream " << config.stream_id
        << " to drop\n";
  if (call.dry_run && ours->slot && ours->slot->active_pid)
    out << "-- process " << *ours->slot->active_pid << " reads the slot: stop Busbar first\n";
  if (call.replica_identity) {
    auto more = identity_statements(*session, *ours, stream, config, out);
    if (!more)
      return complain(more.error().to_error().message);
    // Who comes after us in the queue for a table waits for us, too.
    if (auto limited = session->command("SET lock_timeout = '2s'", in(10s)); !limited)
      return complain(limited.error().to_error().message);
    statements.insert(statements.end(), more->begin(), more->end());
  } else {
    out << "-- tables keep their replica identity; where FULL is not wanted any more, say "
           "--replica-identity\n";
  }
  for (const auto& statement : statements) {
    out << statement << std::endl;
    if (call.dry_run)
      continue;
    if (auto done = run(*session, statement); !done)
      return complain(done.error().to_error().message);
  }
  tell_rest(out, *ours, stream, config);
  out << std::flush;
  return 0;
}

} // namespace busbar::app
