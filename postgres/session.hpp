// postgres/session.hpp: what the sources of this folder share around libpq's non-blocking calls.
// Private to postgres/.
#pragma once

#include "base/snapshot.hpp"
#include "postgres/connection.hpp"

#include <atomic>

namespace busbar::postgres {

/// What an SQLSTATE, or without one a message of libpq's, means for us (spec 1.8).
pg_error classify(std::string sqlstate, std::string message);
/// The reason why PQconnectPoll() failed. Needs verbosity PQERRORS_VERBOSE, which shows SQLSTATEs.
pg_error connect_error(const pg_conn* session);
/// The server's error, or the session's if there is no result.
pg_error result_error(const pg_conn* session, const pg_result* result);
pg_error timed_out(std::string_view doing);
/// What a transaction of ours begins with, so that no limit that the role or the database has by
/// default ends it: we have deadlines of our own. Leaves the session as it was, because a pooler
/// may hand it on. Waits for locks stay limited as they are.
std::string pinned(int server_version);
/// What the replication session begins with, for as long as it lives. Rows must read the same there
/// as in a snapshot (spec 1.17), whatever the role or the database has set. The keepalives let the
/// server notice that we are gone: this session holds the lock.
std::string pinned_for_replication(int server_version);
inline constexpr std::string_view leads_to_a_pooler =
    "; DATABASE_URL leads to a pooler: give PostgreSQL's own address, and the pooler's as "
    "BUSBAR_POOLED_DATABASE_URL";
/// Adds ` keyword='value'` to a conninfo string.
void append_option(std::string& conninfo, std::string_view keyword, std::string_view value);
/// Reads "10:20:10,14,15", the text of a pg_snapshot.
std::optional<snapshot> parse_snapshot(std::string_view text);
/// Newlines become spaces, runs of blanks one blank.
std::string one_line(std::string_view text);

/// Host names of a conninfo string looked up, so that libpq need not block on it; returns what to
/// append to it ("" if there is nothing to look up).
pg_result_of<std::string> look_up_hosts(const std::string& conninfo, deadline until);

enum class waited : std::uint8_t { ready, woken, beside, timed_out };

/// What ends a wait besides the session itself, by being readable; -1 for none.
struct wake_fds {
  int signal = -1; ///< waited::woken
  int beside = -1; ///< waited::beside
};

/// Waits until `session`'s socket has one of `events` (or has failed), one of `wake` is readable,
/// or the deadline. Knows of input that TLS has already buffered.
waited wait_for(pg_conn* session, short events, wake_fds wake, deadline until);

/// The next result of a command that was sent, or null at its end. `stop`, if given, is looked at
/// several times a second. On timeout or stop the command is cancelled; close the session then.
pg_result_of<pg_result*> next_result(pg_conn* session, deadline until,
                                     const std::atomic<bool>* stop = nullptr);
/// All results of a command that was sent; the last one's rows.
pg_result_of<rows> all_results(pg_conn* session, deadline until,
                               const std::atomic<bool>* stop = nullptr);

/// Asks the server to give up the running command, without waiting for it.
void cancel(pg_conn* session);

} // namespace busbar::postgres
