#include "app/cleanup.hpp"

#include "postgres/belongings.hpp"

#include <chrono>
#include <ostream>
#include <thread>

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

/// A walsender that was ended needs a moment to let go of its slot.
postgres::pg_result_of<void> run(connection& session, const std::string& statement) {
  for (const auto until = in(20s);;) {
    auto done = session.command(statement, in(60s));
    if (done)
      return {};
    if (done.error().sqlstate != "55006" || std::chrono::steady_clock::now() >= until)
      return tl::unexpected<postgres::pg_error>{std::move(done).error()};
    std::this_thread::sleep_for(50ms);
  }
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
  out << "-- tables keep their replica identity; where FULL is not wanted any more: ALTER TABLE … "
         "REPLICA IDENTITY DEFAULT;\n"
      << "-- the storage directory stays: " << config.storage_dir << "\n";
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
  const auto statements = postgres::removal(*ours, stream);
  if (statements.empty())
    out << "-- there is neither a slot nor a publication of stream " << config.stream_id
        << " to drop\n";
  if (call.dry_run && ours->slot && ours->slot->active_pid)
    out << "-- process " << *ours->slot->active_pid << " reads the slot: stop Busbar first\n";
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
