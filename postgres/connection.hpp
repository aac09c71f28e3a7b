// postgres/connection.hpp: one ordinary libpq session, with deadlines and classified errors.
#pragma once

#include "base/result.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct pg_conn;
struct pg_result;

namespace busbar::postgres {

using deadline = std::chrono::steady_clock::time_point;

/// A connection URL that has been checked. Never prints its password.
class connection_url {
public:
  /// Accepts postgres:// and postgresql:// in all of libpq's forms. Errors name what is wrong
  /// (missing host or user, unknown option, `replication` given) and never repeat the password.
  /// What the URL leaves open is set so that nothing else decides it, and so that a machine that
  /// vanishes is noticed within half a minute.
  static result<connection_url> parse(std::string_view url);

  /// For logs: user, host, port and database only.
  const std::string& display() const noexcept { return display_; }
  const std::string& database() const noexcept { return database_; }
  /// What a log must not hold: for those who see to that. May be empty.
  const std::string& password() const noexcept { return password_; }
  /// For libpq only.
  const std::string& conninfo() const noexcept { return conninfo_; }

private:
  std::string conninfo_;
  std::string display_;
  std::string password_;
  std::string database_;
};

/// What PostgreSQL or the network said, and what that means for us (spec 1.8).
enum class trouble : std::uint8_t {
  none,
  transient, ///< Retry with back-off.
  fatal,     ///< A human must act; on a cold start the process exits with the message.
  slot_lost, ///< The slot is gone or invalid: drop, recreate, take all snapshots anew.
};

struct pg_error {
  trouble kind = trouble::transient;
  std::string sqlstate; ///< Empty if the trouble is ours or the network's.
  std::string message;  ///< One line, without password.

  /// errc::misconfigured for fatal, errc::unavailable otherwise.
  error to_error() const;

  /// What a client is told whose shape or subset needed the database (spec 1.8, last part; protocol
  /// 17.2): errc::must_refetch if what the shape is made of is gone, errc::unavailable and `known`
  /// for what has a name, errc::corrupt for anything else. Words of PostgreSQL and of libpq that
  /// may name hosts, roles or databases are left out.
  error for_clients() const;

  /// What a client is told whose clause, the request's `field`, met a value that it cannot be
  /// evaluated on: errc::invalid_argument, because to ask again cannot help. PostgreSQL's words may
  /// quote rows that are not the client's, so only the SQLSTATE is told. Nullopt for other errors.
  std::optional<error> of_clause(std::string field) const;

  /// A name for programs, such as "invalid_password", and a sentence for humans who may not see
  /// hosts, roles or databases: why there is no replication stream.
  struct cause {
    std::string_view name;
    std::string_view text;
  };
  cause why_no_stream() const;

  /// True if the session is lost with it.
  bool lost() const { return sqlstate.starts_with("08") || sqlstate.starts_with("57P"); }
};

template <class T>
using pg_result_of = tl::expected<T, pg_error>;

/// Rows of a finished query, all as text.
class rows {
public:
  explicit rows(pg_result* taken) noexcept;
  rows(rows&&) noexcept;
  rows& operator=(rows&&) noexcept;
  ~rows();
  int count() const noexcept;
  std::optional<std::string_view> at(int row, int column) const noexcept; ///< nullopt = NULL
  std::string text(int row, int column) const;                            ///< "" for NULL
private:
  pg_result* result_;
};

/// A session. One thread at a time. Every call blocks until its deadline at most; do not call from
/// an I/O thread or a shared CAF worker.
class connection {
public:
  /// Connects, with client_encoding UTF8 and application_name "busbar <purpose>". Sets nothing else
  /// in the session, because a pooler would hand that on to others: what a statement needs, it
  /// sets with SET LOCAL (snapshot_reader::begin() does for all that follows in its transaction).
  static pg_result_of<connection> open(const connection_url& url, std::string_view purpose,
                                       deadline until);
  /// The same for a walsender session (replication=database), which is ours alone: it has the text
  /// formats of spec 1.17, an empty search_path, no timeouts, and TCP keepalives on the server
  /// side; those on ours are in every connection_url.
  static pg_result_of<connection> open_replication(const connection_url& url, deadline until);

  connection(connection&&) noexcept;
  connection& operator=(connection&&) noexcept;
  ~connection();

  /// One statement with parameters $1…; on timeout the query is cancelled and the session closed.
  pg_result_of<rows> query(std::string_view sql,
                           std::span<const std::optional<std::string>> parameters, deadline until);
  /// Simple protocol: may hold several statements; the last one's rows.
  pg_result_of<rows> command(const std::string& sql, deadline until);

  bool usable() const noexcept;
  int server_version() const noexcept; ///< 150004 for 15.4
  int backend_pid() const noexcept;
  bool is_encrypted() const noexcept;
  pg_conn* raw() const noexcept { return session_; } ///< Only inside postgres/.
  void close() noexcept;                             ///< Nothing but destruction may follow.

private:
  explicit connection(pg_conn* session) noexcept : session_{session} {}
  pg_conn* session_;
};

/// "name" with inner quotes doubled; 'text' safe in any setting of standard_conforming_strings.
std::string quote_identifier(std::string_view name);
std::string quote_literal(std::string_view text);

} // namespace busbar::postgres
