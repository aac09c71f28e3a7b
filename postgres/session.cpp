#include "postgres/session.hpp"

#include <libpq-fe.h>
#include <openssl/ssl.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <thread>

namespace busbar::postgres {

namespace {

using clock = std::chrono::steady_clock;

constexpr auto stop_check_period = std::chrono::milliseconds{100};

int poll_milliseconds(deadline until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, 60'000));
}

/// Decrypted bytes that wait inside the TLS library are input that poll() does not see.
bool tls_has_input(PGconn* session) {
  if (PQsslInUse(session) == 0)
    return false;
  auto* tls = static_cast<SSL*>(PQsslStruct(session, "OpenSSL"));
  return tls != nullptr && SSL_pending(tls) > 0;
}

} // namespace

std::string pinned(int server_version) {
  std::string text = "SET LOCAL statement_timeout = 0; "
                     "SET LOCAL idle_in_transaction_session_timeout = 0; ";
  if (server_version >= 170000)
    text += "SET LOCAL transaction_timeout = 0; ";
  return text;
}

std::string pinned_for_replication(int server_version) {
  std::string text = "SET bytea_output = 'hex'; SET DateStyle = 'ISO, DMY'; "
                     "SET TimeZone = 'UTC'; SET extra_float_digits = 1; "
                     "SET IntervalStyle = 'iso_8601'; SET client_encoding = 'UTF8'; "
                     "SET search_path = ''; SET standard_conforming_strings = on; "
                     "SET statement_timeout = 0; SET lock_timeout = 0; "
                     "SET idle_in_transaction_session_timeout = 0; "
                     "SET idle_session_timeout = 0; "
                     "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; "
                     "SET tcp_keepalives_count = 3";
  if (server_version >= 170000)
    text += "; SET transaction_timeout = 0";
  return text;
}

waited wait_for(PGconn* session, short events, wake_fds wake, deadline until) {
  if ((events & POLLIN) != 0 && tls_has_input(session))
    return waited::ready;
  // poll() passes over what is negative.
  std::array<pollfd, 3> fds{
      {{PQsocket(session), events, 0}, {wake.signal, POLLIN, 0}, {wake.beside, POLLIN, 0}}};
  for (;;) {
    const int n = poll(fds.data(), fds.size(), poll_milliseconds(until));
    if (n < 0 && errno != EINTR)
      return waited::ready; // the next libpq call reports what is wrong
    if (n > 0)
      return fds[0].revents != 0   ? waited::ready
             : fds[1].revents != 0 ? waited::woken
                                   : waited::beside;
    if (clock::now() >= until)
      return waited::timed_out;
  }
}

void cancel(PGconn* session) {
  PGcancel* request = PQgetCancel(session);
  if (request == nullptr)
    return;
  // PQcancel() makes a connection of its own and blocks without a limit that we could set; it needs
  // nothing of ours, so it may take its time elsewhere.
  std::thread{[request] {
    std::array<char, 256> ignored{};
    PQcancel(request, ignored.data(), static_cast<int>(ignored.size()));
    PQfreeCancel(request);
  }}.detach();
}

pg_result_of<PGresult*> next_result(PGconn* session, deadline until,
                                    const std::atomic<bool>* stop) {
  for (;;) {
    const int unsent = PQflush(session);
    if (unsent < 0)
      return tl::unexpected<pg_error>{result_error(session, nullptr)};
    if (unsent == 0 && PQisBusy(session) == 0)
      return PQgetResult(session);
    const auto now = clock::now();
    const bool stopped = stop != nullptr && stop->load(std::memory_order_relaxed);
    if (stopped || now >= until) {
      cancel(session);
      return tl::unexpected<pg_error>{stopped ? pg_error{trouble::transient, {}, "stopped"}
                                              : timed_out("query")};
    }
    const auto next_look = stop == nullptr ? until : std::min(until, now + stop_check_period);
    const auto events = static_cast<short>(POLLIN | (unsent == 1 ? POLLOUT : 0));
    if (wait_for(session, events, {}, next_look) == waited::ready && PQconsumeInput(session) == 0)
      return tl::unexpected<pg_error>{result_error(session, nullptr)};
  }
}

pg_result_of<rows> all_results(PGconn* session, deadline until, const std::atomic<bool>* stop) {
  rows last{nullptr};
  std::optional<pg_error> problem;
  for (;;) {
    auto got = next_result(session, until, stop);
    if (!got)
      return tl::unexpected<pg_error>{std::move(got).error()};
    if (*got == nullptr)
      break;
    rows taken{*got};
    const auto status = PQresultStatus(*got);
    if (status == PGRES_COPY_OUT || status == PGRES_COPY_IN || status == PGRES_COPY_BOTH)
      return tl::unexpected<pg_error>{pg_error{trouble::transient, {}, "unexpected COPY"}};
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && !problem)
      problem = result_error(session, *got);
    last = std::move(taken);
  }
  if (problem)
    return tl::unexpected<pg_error>{*std::move(problem)};
  return last;
}

std::optional<snapshot> parse_snapshot(std::string_view text) {
  snapshot read;
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto number = [&](std::uint64_t& into) {
    const auto [next, problem] = std::from_chars(at, end, into);
    at = next;
    return problem == std::errc{};
  };
  const auto skip = [&](char c) { return at != end && *at++ == c; };
  if (!number(read.xmin) || !skip(':') || !number(read.xmax) || !skip(':'))
    return std::nullopt;
  while (at != end) {
    if (!read.xip.empty() && !skip(','))
      return std::nullopt;
    if (!number(read.xip.emplace_back()))
      return std::nullopt;
  }
  std::sort(read.xip.begin(), read.xip.end());
  return read;
}

} // namespace busbar::postgres
