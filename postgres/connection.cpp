#include "postgres/connection.hpp"

#include "postgres/session.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include <utility>

namespace busbar::postgres {

namespace {

auto broken(pg_error why) {
  return tl::unexpected<pg_error>{std::move(why)};
}

std::string with_session_options(const connection_url& url, std::string_view purpose) {
  std::string conninfo = url.conninfo();
  // UTF8 even from servers in another encoding; the start-up packet is the one place where a
  // setting also passes a pooler.
  append_option(conninfo, "client_encoding", "UTF8");
  append_option(conninfo, "application_name", "busbar " + std::string{purpose});
  return conninfo;
}

pg_result_of<PGconn*> connect(const std::string& conninfo, deadline until) {
  auto addresses = look_up_hosts(conninfo, until);
  if (!addresses)
    return broken(std::move(addresses).error());
  PGconn* session = PQconnectStart((conninfo + *addresses).c_str());
  if (session == nullptr)
    return broken({trouble::transient, {}, "out of memory"});
  PQsetErrorVerbosity(session, PQERRORS_VERBOSE); // see connect_error()
  PQsetNoticeProcessor(
      session, [](void*, const char*) {}, nullptr);
  auto next = PQstatus(session) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
  while (next != PGRES_POLLING_OK) {
    std::optional<pg_error> problem;
    if (next == PGRES_POLLING_FAILED)
      problem = connect_error(session);
    else if (wait_for(session, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, {}, until) ==
             waited::timed_out)
      problem = timed_out("connecting");
    if (problem) {
      PQfinish(session);
      return broken(*std::move(problem));
    }
    next = PQconnectPoll(session);
  }
  PQsetErrorVerbosity(session, PQERRORS_DEFAULT);
  PQsetnonblocking(session, 1);
  return session;
}

} // namespace

rows::rows(pg_result* taken) noexcept : result_{taken} {}
rows::rows(rows&& other) noexcept : result_{std::exchange(other.result_, nullptr)} {}
rows& rows::operator=(rows&& other) noexcept {
  std::swap(result_, other.result_);
  return *this;
}
rows::~rows() {
  PQclear(result_);
}

int rows::count() const noexcept {
  return PQntuples(result_);
}

std::optional<std::string_view> rows::at(int row, int column) const noexcept {
  if (row >= PQntuples(result_) || column >= PQnfields(result_) ||
      PQgetisnull(result_, row, column) != 0)
    return std::nullopt;
  return std::string_view{PQgetvalue(result_, row, column),
                          static_cast<std::size_t>(PQgetlength(result_, row, column))};
}

std::string rows::text(int row, int column) const {
  return std::string{at(row, column).value_or(std::string_view{})};
}

pg_result_of<connection> connection::open(const connection_url& url, std::string_view purpose,
                                          deadline until) {
  auto session = connect(with_session_options(url, purpose), until);
  if (!session)
    return broken(std::move(session).error());
  return connection{*session};
}

pg_result_of<connection> connection::open_replication(const connection_url& url, deadline until) {
  auto conninfo = with_session_options(url, "replication");
  append_option(conninfo, "replication", "database");
  auto session = connect(conninfo, until);
  if (!session) {
    auto why = std::move(session).error();
    if (why.sqlstate == "08P01" && why.kind == trouble::fatal)
      why.message += leads_to_a_pooler;
    if (why.sqlstate == "42501")
      why.message += "; a superuser must run: ALTER ROLE … REPLICATION";
    return broken(std::move(why));
  }
  connection opened{*session};
  if (auto pinned = opened.command(pinned_for_replication(opened.server_version()), until); !pinned)
    return broken(std::move(pinned).error());
  return opened;
}

connection::connection(connection&& other) noexcept
    : session_{std::exchange(other.session_, nullptr)} {}
connection& connection::operator=(connection&& other) noexcept {
  std::swap(session_, other.session_);
  return *this;
}
connection::~connection() {
  PQfinish(session_);
}

pg_result_of<rows> connection::query(std::string_view sql,
                                     std::span<const std::optional<std::string>> parameters,
                                     deadline until) {
  if (!usable())
    return broken({trouble::transient, {}, "the connection is closed"});
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const auto& parameter : parameters)
    values.push_back(parameter ? parameter->c_str() : nullptr);
  if (PQsendQueryParams(session_, std::string{sql}.c_str(), static_cast<int>(values.size()),
                        nullptr, values.data(), nullptr, nullptr, 0) == 0)
    return broken(result_error(session_, nullptr));
  auto result = all_results(session_, until);
  if (!result && PQtransactionStatus(session_) == PQTRANS_ACTIVE)
    close();
  return result;
}

pg_result_of<rows> connection::command(const std::string& sql, deadline until) {
  if (!usable())
    return broken({trouble::transient, {}, "the connection is closed"});
  if (PQsendQuery(session_, sql.c_str()) == 0)
    return broken(result_error(session_, nullptr));
  auto result = all_results(session_, until);
  if (!result && PQtransactionStatus(session_) == PQTRANS_ACTIVE)
    close();
  return result;
}

void connection::close() noexcept {
  PQfinish(std::exchange(session_, nullptr));
}

bool connection::usable() const noexcept {
  return PQstatus(session_) == CONNECTION_OK;
}
int connection::server_version() const noexcept {
  return PQserverVersion(session_);
}
int connection::backend_pid() const noexcept {
  return PQbackendPID(session_);
}
bool connection::is_encrypted() const noexcept {
  return PQsslInUse(session_) != 0;
}

std::string quote_identifier(std::string_view name) {
  std::string out{"\""};
  for (const char c : name) {
    if (c == '"')
      out.push_back('"');
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

std::string quote_literal(std::string_view text) {
  // A backslash means itself or an escape, depending on a setting; in E'' it always escapes.
  std::string out{text.find('\\') == std::string_view::npos ? "'" : " E'"};
  for (const char c : text) {
    if (c == '\'' || c == '\\')
      out.push_back(c);
    out.push_back(c);
  }
  out.push_back('\'');
  return out;
}

} // namespace busbar::postgres
