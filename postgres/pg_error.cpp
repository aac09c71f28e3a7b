#include "postgres/session.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <array>

namespace busbar::postgres {

namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

trouble kind_of_state(std::string_view state, std::string_view message) {
  // Managed services and poolers report many things as an internal error.
  if (state == "XX000")
    return contains(message, "password authentication failed") ||
                   (contains(message, "database") && contains(message, "does not exist")) ||
                   contains(message, "endpoint") || contains(message, "quota")
               ? trouble::fatal
               : trouble::transient;
  if (state == "28000" && contains(message, "branch") && contains(message, "does not exist"))
    return trouble::transient;
  constexpr std::array<std::string_view, 5> for_a_human{"28P01", "28000", "3D000", "42501",
                                                        "42601"};
  if (std::find(for_a_human.begin(), for_a_human.end(), state) != for_a_human.end())
    return trouble::fatal;
  // A pooler's word for `replication=database`.
  if (state == "08P01" && contains(message, "startup parameter"))
    return trouble::fatal;
  if (state == "55000" && contains(message, "wal_level"))
    return trouble::fatal;
  // Invalidated, beyond max_slot_wal_keep_size, dropped; its WAL removed; or older than the
  // publication that it needs.
  if (state == "55000" && contains(message, "replication slot"))
    return trouble::slot_lost;
  if (state == "42704" &&
      (contains(message, "replication slot") || contains(message, "publication")))
    return trouble::slot_lost;
  if (state == "58P01" && contains(message, "WAL segment"))
    return trouble::slot_lost;
  return trouble::transient;
}

/// libpq's own words, in English as long as the process does not call setlocale().
trouble kind_of_text(std::string_view message) {
  if (contains(message, "Connection refused") || contains(message, "timeout") ||
      contains(message, "Temporary failure in name resolution"))
    return trouble::transient;
  constexpr std::array<std::string_view, 9> for_a_human{
      "could not translate host name",
      "does not support SSL",
      "certificate", // verification failed, root file missing, name does not match
      "no password supplied",
      "private key file",
      "invalid value", // of an option
      "invalid integer value",
      "requires SSL",
      "channel binding"};
  const auto matches = [&](std::string_view part) { return contains(message, part); };
  return std::any_of(for_a_human.begin(), for_a_human.end(), matches) ? trouble::fatal
                                                                      : trouble::transient;
}

bool is_state(std::string_view text) {
  const auto is_state_char = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
  };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return text.size() == 5 && std::all_of(text.begin(), text.end(), is_state_char) &&
         std::any_of(text.begin(), text.end(), is_digit); // "FATAL" is none
}

} // namespace

error pg_error::to_error() const {
  return {kind == trouble::fatal ? errc::misconfigured : errc::unavailable,
          sqlstate.empty() ? message : message + " (SQLSTATE " + sqlstate + ")"};
}

error pg_error::for_clients() const {
  const auto is = [&](std::string_view state) { return sqlstate == state; };
  const auto begins = [&](std::string_view state) { return sqlstate.starts_with(state); };
  if (is("42P01") || is("42703") || is("42883"))
    return {errc::must_refetch, message};
  const auto known = [](std::string text) {
    return error{errc::unavailable, std::move(text), {}, true};
  };
  if (sqlstate.empty() || lost() || begins("28") || is("3D000"))
    return known("the database is unreachable, or does not answer in time");
  if (is("53300"))
    return known("the database has no connection to spare");
  if (begins("53") || begins("58"))
    return known("the database lacks resources");
  if (is("55P03"))
    return known("the table is locked");
  if (is("57014") || begins("25P"))
    return known("the query took too long and was cancelled");
  if (is("42501") || is("42704") || is("55000") || is("55006") || begins("40"))
    return known(message);
  return {errc::corrupt, message + " (SQLSTATE " + sqlstate + ")"};
}

pg_error::cause pg_error::why_no_stream() const {
  struct row {
    std::string_view state;
    cause means;
  };
  // The first that the SQLSTATE begins with.
  static constexpr std::array table{
      row{"28P01", {"invalid_password", "PostgreSQL refuses the password of the connection URL"}},
      row{"28", {"not_authorized", "PostgreSQL does not let the role of the connection URL in"}},
      row{"3D000", {"no_such_database", "the database of the connection URL does not exist"}},
      row{"42501",
          {"missing_privilege",
           "the role of the connection URL lacks a privilege; the server's log says which"}},
      row{"42601", {"pooler", "the connection URL leads to a pooler, which cannot replicate"}},
      row{"08P01", {"pooler", "the connection URL leads to a pooler, which cannot replicate"}},
      row{"57P", {"shutting_down", "PostgreSQL is shutting down or starting"}},
      row{"53300", {"too_many_connections", "PostgreSQL has no connection to spare"}},
      row{"53400", {"too_many_slots", "PostgreSQL has no replication slot to spare"}},
      row{"53", {"no_resources", "PostgreSQL lacks resources"}},
      row{"58", {"no_resources", "PostgreSQL meets trouble with its files"}},
      row{"25006", {"standby", "the connection URL leads to a standby"}},
      row{"55006", {"slot_in_use", "another session uses the replication slot"}},
      row{"08", {"connection_lost", "the connection to PostgreSQL was lost"}},
  };
  if (kind == trouble::slot_lost)
    return {"slot_lost", "the replication slot or the publication was lost and is being made anew"};
  const bool human = kind == trouble::fatal;
  if (human && contains(message, "wal_level"))
    return {"wal_level", "PostgreSQL's wal_level must be logical"};
  if (human && sqlstate.empty() && contains(message, "publication"))
    return {"publication",
            "the publication is not as it must be; the server's log says how to mend it"};
  if (!sqlstate.empty()) {
    for (const auto& [state, means] : table)
      if (sqlstate.starts_with(state) && (human || means.name != "pooler"))
        return means;
  } else if (contains(message, "could not translate host name")) {
    return {"unknown_host", "the host name of the connection URL is not known"};
  } else if (contains(message, "SSL") || contains(message, "certificate")) {
    return {"tls", "there is no encrypted connection to PostgreSQL as it is asked for"};
  } else if (contains(message, "Connection refused")) {
    return {"connection_refused", "PostgreSQL does not accept connections"};
  } else if (contains(message, "in time") || contains(message, "timeout")) {
    return {"timeout", "PostgreSQL does not answer in time"};
  }
  if (human)
    return {"misconfigured",
            "the database or the settings need a change; the server's log says which"};
  if (!sqlstate.empty())
    return {"database_error", "PostgreSQL reports an error; the server's log says which"};
  if (contains(message, "storage"))
    return {"storage", "storage does not accept writes"};
  return {"connection_lost", "the replication stream has ended"};
}

std::optional<error> pg_error::of_clause(std::string field) const {
  if (!sqlstate.starts_with("22"))
    return std::nullopt;
  return error{errc::invalid_argument,
               "PostgreSQL cannot evaluate the condition on a row of the table (SQLSTATE " +
                   sqlstate + ")",
               std::move(field)};
}

std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool blank = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (!blank)
      out.push_back(c);
    else if (!out.empty() && out.back() != ' ')
      out.push_back(' ');
  }
  while (!out.empty() && out.back() == ' ')
    out.pop_back();
  return out;
}

pg_error classify(std::string sqlstate, std::string message) {
  const auto kind = sqlstate.empty() ? kind_of_text(message) : kind_of_state(sqlstate, message);
  return {kind, std::move(sqlstate), std::move(message)};
}

pg_error connect_error(const PGconn* session) {
  // libpq 15 has no accessor for the SQLSTATE of a refused connection, but a verbose message reads
  // `… failed: FATAL:  28P01: password authentication failed …`, further lines after it.
  const std::string_view said = PQerrorMessage(session);
  for (std::size_t colon = said.find(':'); colon != std::string_view::npos;
       colon = said.find(':', colon + 1)) {
    if (colon < 5 || !is_state(said.substr(colon - 5, 5)) || said.substr(colon, 2) != ": ")
      continue;
    if (colon > 5 && said[colon - 6] != ' ')
      continue;
    const auto text = said.substr(colon + 2);
    return classify(std::string{said.substr(colon - 5, 5)},
                    one_line(text.substr(0, text.find('\n'))));
  }
  return classify({}, one_line(said));
}

pg_error result_error(const PGconn* session, const PGresult* result) {
  const char* state = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* primary =
      result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  if (primary == nullptr) {
    auto said = one_line(PQerrorMessage(session));
    return {trouble::transient, {}, said.empty() ? "the connection was lost" : std::move(said)};
  }
  auto found = classify(state == nullptr ? "" : state, one_line(primary));
  if (const char* detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL))
    found.message += "; " + one_line(detail);
  return found;
}

pg_error timed_out(std::string_view doing) {
  return {trouble::transient, {}, std::string{doing} + ": PostgreSQL did not answer in time"};
}

} // namespace busbar::postgres
