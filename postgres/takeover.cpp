#include "postgres/takeover.hpp"

#include "base/bytes.hpp"
#include "postgres/inspection.hpp"
#include "postgres/known_faults.hpp"
#include "postgres/session.hpp"
#include "postgres/slot_sql.hpp"
#include "postgres/slot_watch.hpp"

#include <libpq-fe.h>
#include <poll.h>
#include <spdlog/spdlog.h>

#include <array>
#include <charconv>

namespace busbar::postgres {

namespace {

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds answer_max{30};        // of a statement that waits for nobody
constexpr milliseconds lock_period{100}; // between two tries for the lock
constexpr seconds deposition_period{5};
constexpr milliseconds breaker_period{10'000};
constexpr seconds slot_wait_max{3600}; // a new slot waits for every open transaction to end
constexpr milliseconds stop_period{100};
// However long wal_sender_timeout is now, it may be shortened while we stream.
constexpr milliseconds feedback_period_max{1'500};

auto broken(pg_error why) {
  return tl::unexpected<pg_error>{std::move(why)};
}
auto fatal(std::string message) {
  return broken({trouble::fatal, {}, std::move(message)});
}

deadline soon() {
  return clock::now() + answer_max;
}

template <class Field>
constexpr int at(Field field) {
  return static_cast<int>(field);
}

/// One step of the dialogue; `from` is what the steps share.
struct dialogue {
  connection& session;
  const stream_settings& settings;
  const std::atomic<bool>& stop;
  taken_over result{};

  pg_result_of<void> identify();
  void depose(lsn has);
  pg_result_of<void> wait_for_lock();
  void break_lock(std::int64_t key);
  pg_result_of<bool> prepare_publication();
  pg_result_of<bool> find_slot();
  pg_result_of<void> create_slot();
  pg_result_of<void> take_term();
};

pg_result_of<void> dialogue::identify() {
  auto& leader = result.leader;
  leader.server_version = session.server_version();
  if (leader.server_version < 140000)
    return fatal("PostgreSQL 14 or newer is required, this server is version " +
                 std::to_string(leader.server_version / 10000));
  if (const auto fault = decoding_fault(leader.server_version); !fault.empty())
    spdlog::warn("PostgreSQL {}.{}: {}; upgrade to its newest minor release",
                 leader.server_version / 10'000, leader.server_version % 10'000, fault);
  auto system = session.command("IDENTIFY_SYSTEM", soon());
  if (!system) {
    auto why = std::move(system).error();
    if (why.sqlstate == "42601")
      why.message += leads_to_a_pooler;
    return broken(std::move(why));
  }
  leader.system_id = system->text(0, 0);
  const auto timeline = system->text(0, 1);
  std::from_chars(timeline.data(), timeline.data() + timeline.size(), leader.timeline);
  leader.database = system->text(0, 3);
  if (const auto end = parse_lsn(system->text(0, 2)))
    leader.wal_end = *end;
  if (leader.timeline > 1) {
    // Without it a failover looks like any other restoration, which is safe.
    auto history = session.command("TIMELINE_HISTORY " + std::to_string(leader.timeline), soon());
    if (history)
      leader.history = parse_timeline_history(history->text(0, 1));
    else if (history.error().lost() || !session.usable())
      return broken(std::move(history).error());
  }

  // English messages where the role may ask for them; SQLSTATEs do for nearly everything else.
  auto known =
      session.command("SELECT set_config('lc_messages', 'C', false) FROM pg_roles"
                      " WHERE rolname = current_user AND rolsuper; "
                      "SELECT current_setting('wal_level'),"
                      " (SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'),"
                      " pg_is_in_recovery()",
                      soon());
  if (!known)
    return broken(std::move(known).error());
  if (known->at(0, 0) != "logical")
    return fatal("wal_level is '" + known->text(0, 0) +
                 "': set wal_level = logical in postgresql.conf and restart PostgreSQL");
  if (known->at(0, 2) == "t")
    return broken({trouble::transient, "25006",
                   "the server is a standby, which can be followed once it is promoted"});
  long timeout_ms = 0;
  const auto setting = known->text(0, 1);
  std::from_chars(setting.data(), setting.data() + setting.size(), timeout_ms);
  result.feedback_period = feedback_period_max;
  if (timeout_ms > 0)
    result.feedback_period = std::min(result.feedback_period, milliseconds{timeout_ms / 3});
  return {};
}

/// Ends a session that holds the lock, has done nothing for lock_idle_max, and does not stream
/// although the slot is there: a leader streams as soon as it has the lock. All is checked again in
/// the same statement that ends it. (Its TCP keepalives should have ended such a session long
/// before.)
void dialogue::break_lock(std::int64_t key) {
  const auto bits = static_cast<std::uint64_t>(key);
  auto broken_lock =
      session.command("SELECT l.pid, pg_terminate_backend(l.pid) FROM pg_locks l"
                      " JOIN pg_stat_activity a ON a.pid = l.pid"
                      " JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()"
                      " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
                      " AND l.classid::text = '" +
                          std::to_string(bits >> 32) +
                          "'"
                          " AND l.objid::text = '" +
                          std::to_string(bits & 0xffffffffu) +
                          "'"
                          " AND l.pid <> pg_backend_pid() AND a.state = 'idle'"
                          " AND a.state_change < clock_timestamp() - interval '" +
                          std::to_string(settings.lock_idle_max.count()) +
                          " ms'"
                          " AND EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = " +
                          quote_literal(settings.slot()) + " AND NOT active)",
                      soon());
  if (!broken_lock)
    spdlog::warn("cannot end the idle session that holds the lock: {}",
                 broken_lock.error().message);
  else
    for (int row = 0; row < broken_lock->count(); ++row)
      spdlog::warn("ended session {} that held the lock without streaming",
                   broken_lock->text(row, 0));
}

/// Ends the session that streams, and so holds the lock: its process may stand still, while its
/// kernel keeps the connection.
void dialogue::depose(lsn has) {
  auto ended =
      session.command("SELECT pg_terminate_backend(active_pid), active_pid"
                      " FROM pg_replication_slots WHERE slot_name = " +
                          quote_literal(settings.slot()) +
                          " AND active AND confirmed_flush_lsn <= '" + to_pg_string(has) + "'",
                      soon());
  if (!ended)
    spdlog::warn("cannot end the session of the leader: {}", ended.error().message);
  else
    for (int row = 0; row < ended->count(); ++row)
      spdlog::warn("ended session {} of a leader that is not to be reached", ended->text(row, 1));
}

pg_result_of<void> dialogue::wait_for_lock() {
  // Tries again and again instead of queueing inside the server, so that `stop` is seen, and a
  // waiting session holds no transaction open.
  const auto key = leader_lock(settings.lock_name());
  const auto attempt = "SELECT pg_try_advisory_lock(" + std::to_string(key) + ")";
  const auto period = std::min(breaker_period, settings.lock_idle_max);
  auto next_breaker = clock::now() + period;
  auto next_deposition = clock::now();
  for (bool told = false;; told = true) {
    if (!settings.may_lead || settings.may_lead()) {
      auto tried = session.command(attempt, soon());
      if (!tried)
        return broken(std::move(tried).error());
      if (tried->at(0, 0) == "t")
        return {};
      if (settings.may_depose && clock::now() >= next_deposition)
        if (const auto has = settings.may_depose()) {
          depose(*has);
          next_deposition = clock::now() + deposition_period;
        }
    }
    if (!told) {
      spdlog::info("another node leads stream {}; waiting for its lock", settings.stream_id);
      if (settings.on_waiting)
        settings.on_waiting();
    }
    if (clock::now() >= next_breaker) {
      break_lock(key);
      next_breaker = clock::now() + period;
    }
    if (stop.load(std::memory_order_relaxed))
      return broken({trouble::transient, {}, "stopped"});
    if (wait_for(session.raw(), POLLIN, {}, clock::now() + lock_period) == waited::ready &&
        PQconsumeInput(session.raw()) == 0)
      return broken(result_error(session.raw(), nullptr));
  }
}

/// True if the publication was not there, or not as it must be, and so the slot had to go.
pg_result_of<bool> dialogue::prepare_publication() {
  const auto name = settings.publication();
  auto found = session.command(publication_sql(name), soon());
  if (!found)
    return broken(std::move(found).error());
  const bool exists = found->count() > 0;
  if (exists && found->at(0, at(publication_field::is_whole)) == "t")
    return false;
  const auto mend = make_publication_sql(session.server_version(), name, exists);
  if (settings.manual_publishing && !exists)
    return fatal("publication \"" + name +
                 "\" does not exist, and tables are published by hand here; its owner-to-be must "
                 "run: " +
                 mend);
  if (exists && (settings.manual_publishing || found->at(0, at(publication_field::is_ours)) != "t"))
    return fatal("publication \"" + name +
                 "\" must publish insert, update, delete and truncate, and not via the partition "
                 "root; its owner must run: " +
                 mend);
  if (!exists) {
    auto allowed =
        session.command("SELECT has_database_privilege(current_database(), 'CREATE')", soon());
    if (!allowed)
      return broken(std::move(allowed).error());
    if (allowed->at(0, 0) != "t")
      return broken({trouble::fatal, "42501",
                     "the role may not create publication \"" + name +
                         "\"; run GRANT CREATE ON "
                         "DATABASE, or create it as an administrator: " +
                         mend});
  }
  // PostgreSQL looks the publication up as of each change, so an older slot would fail at the first
  // change from before it (spec 1.5). The slot goes first: a crash in between leaves neither.
  if (auto dropped = drop_slot(session, settings.slot(), soon()); !dropped)
    return broken(std::move(dropped).error());
  auto made = session.command(mend, soon());
  if (!made && made.error().sqlstate != "42710")
    return broken(std::move(made).error());
  return true;
}

/// Whether a slot that can be used is there; sets confirmed_flush.
pg_result_of<bool> dialogue::find_slot() {
  const auto name = settings.slot();
  auto found = session.command(slot_sql(session.server_version(), name), soon());
  if (!found)
    return broken(std::move(found).error());
  if (found->count() == 0)
    return false;
  if (found->at(0, at(slot_field::is_ours)) != "t" || found->at(0, at(slot_field::is_here)) != "t")
    return fatal("replication slot \"" + name + "\" is used for something else (database \"" +
                 found->text(0, at(slot_field::database)) + "\"); choose another stream id");
  const auto position = parse_lsn(found->text(0, at(slot_field::confirmed)));
  const bool is_lost = found->at(0, at(slot_field::is_lost)) == "t";
  if (position && !is_lost && !settings.temporary_slot) {
    result.leader.confirmed_flush = *position;
    return true;
  }
  const auto why = found->text(0, at(slot_field::why_lost));
  if (is_lost)
    spdlog::error("replication slot {} was invalidated{}; its WAL is gone", name,
                  why.empty() ? "" : " (" + why + ")");
  else if (!position)
    spdlog::info("replication slot {} was left half made", name);
  if (auto dropped = drop_slot(session, name, soon()); !dropped)
    return broken(std::move(dropped).error());
  return false;
}

pg_result_of<void> dialogue::create_slot() {
  const auto name = settings.slot();
  spdlog::info("creating replication slot {}; this waits for the transactions that are open now",
               name);
  const auto sql =
      create_slot_sql(session.server_version(), name,
                      {.temporary = settings.temporary_slot, .failover = settings.failover_slot});
  if (PQsendQuery(session.raw(), sql.c_str()) == 0)
    return broken(result_error(session.raw(), nullptr));
  slot_watch watch{settings.url, session.backend_pid()};
  const auto give_up = clock::now() + slot_wait_max;
  for (auto next_look = clock::now() + slot_watch::first_look;;) {
    const auto now = clock::now();
    const int unsent = PQflush(session.raw());
    if (unsent < 0)
      return broken(result_error(session.raw(), nullptr));
    if (unsent == 0 && PQisBusy(session.raw()) == 0)
      break;
    const bool stopped = stop.load(std::memory_order_relaxed);
    if (stopped || now >= give_up) {
      cancel(session.raw());
      return broken(stopped ? pg_error{trouble::transient, {}, "stopped"}
                            : timed_out("creating a replication slot"));
    }
    if (now >= next_look) {
      const auto waits_for = watch.look();
      spdlog::warn("the new replication slot {} waits for {}", name, waits_for);
      if (settings.on_slot_wait)
        settings.on_slot_wait(waits_for);
      next_look = clock::now() + slot_watch::period;
    }
    const auto events = static_cast<short>(POLLIN | (unsent == 1 ? POLLOUT : 0));
    if (wait_for(session.raw(), events, {}, std::min(next_look, now + stop_period)) ==
            waited::ready &&
        PQconsumeInput(session.raw()) == 0)
      return broken(result_error(session.raw(), nullptr));
  }
  auto made = all_results(session.raw(), soon());
  if (!made)
    return broken(std::move(made).error());
  const auto position = parse_lsn(made->text(0, 1));
  if (!position)
    return broken({trouble::transient, {}, "the new replication slot has no position"});
  result.leader.confirmed_flush = *position;
  result.leader.slot_created = true;
  return {};
}

pg_result_of<void> dialogue::take_term() {
  // The message makes the commit one that is flushed, so that the id cannot be given out again
  // after a crash of PostgreSQL: the next leader's must be higher. No standby is waited for.
  auto taken = session.command("SET LOCAL synchronous_commit = 'local'; "
                               "SELECT pg_current_xact_id(),"
                               " pg_logical_emit_message(true, 'busbar term', '')",
                               soon());
  if (!taken)
    return broken(std::move(taken).error());
  const auto text = taken->text(0, 0);
  std::from_chars(text.data(), text.data() + text.size(), result.leader.term);
  return {};
}

} // namespace

pg_result_of<bool> is_slot_lost(connection& session, const std::string& slot, deadline until) {
  auto found = session.command(slot_sql(session.server_version(), slot), until);
  if (!found)
    return broken(std::move(found).error());
  return found->count() == 0 || found->at(0, at(slot_field::is_lost)) == "t";
}

pg_result_of<void> drop_slot(connection& session, const std::string& slot, deadline until) {
  auto dropped = session.command("SELECT pg_drop_replication_slot(slot_name)"
                                 " FROM pg_replication_slots WHERE slot_type = 'logical'"
                                 " AND database = current_database() AND slot_name = " +
                                     quote_literal(slot),
                                 until);
  if (!dropped && dropped.error().sqlstate != "42704")
    return broken(std::move(dropped).error());
  return {};
}

pg_result_of<taken_over> take_over(connection& session, const stream_settings& settings,
                                   const std::atomic<bool>& stop) {
  dialogue with{session, settings, stop};
  if (auto done = with.identify(); !done)
    return broken(std::move(done).error());
  if (settings.accept)
    if (auto accepted = settings.accept(with.result.leader); !accepted)
      return fatal(accepted.error().message);
  if (auto done = with.wait_for_lock(); !done)
    return broken(std::move(done).error());
  // The leader before has seen more of the WAL than there was when the wait began.
  if (auto done = with.identify(); !done)
    return broken(std::move(done).error());
  auto slot_found = with.find_slot();
  if (!slot_found)
    return broken(std::move(slot_found).error());
  auto slot_dropped = with.prepare_publication();
  if (!slot_dropped)
    return broken(std::move(slot_dropped).error());
  if (!*slot_found || *slot_dropped)
    if (auto done = with.create_slot(); !done)
      return broken(std::move(done).error());
  if (auto done = with.take_term(); !done)
    return broken(std::move(done).error());
  return with.result;
}

} // namespace busbar::postgres
