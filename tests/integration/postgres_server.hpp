// tests/integration/postgres_server.hpp: a private PostgreSQL for the tests of one executable.
#pragma once

#include "postgres/connection.hpp"
#include "postgres/replication_stream.hpp"

#include <gtest/gtest.h>
#include <sys/types.h>

#include <string>
#include <vector>

namespace busbar::testing {

using namespace std::chrono_literals;

inline postgres::deadline in(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

/// One PostgreSQL with wal_level=logical, in a temporary directory, on a free loopback port and a
/// Unix socket. Started at the first use, stopped (by its pid) when the process ends, however it
/// ends. The superuser is "busbar" with password "secret"; over the socket everyone is trusted.
class postgres_server {
public:
  static postgres_server& shared();
  postgres_server(const postgres_server&) = delete;
  postgres_server& operator=(const postgres_server&) = delete;
  ~postgres_server();

  std::string url(const std::string& database, const std::string& user = "busbar",
                  const std::string& password = "secret") const;
  std::string socket_url(const std::string& database, const std::string& user = "busbar") const;
  int port() const noexcept { return port_; }

  /// The settings that switch TLS on, with a certificate that is its own authority, valid for
  /// 127.0.0.1; empty if there is no openssl program to make one.
  std::vector<std::string> tls_settings();
  std::string certificate() const { return directory_ + "/server.crt"; }

  /// `settings` such as "wal_level=replica" come on top of the usual ones.
  void start(const std::vector<std::string>& settings = {});
  /// SIGINT (fast), or SIGQUIT, which is as a crash: nothing is written.
  void stop(int signal);

private:
  postgres_server();
  void run(const std::vector<std::string>& command, bool wait_for_end);

  std::string directory_;
  int port_ = 0;
  pid_t pid_ = -1;
};

/// A fresh database for each test; its sessions, slots and itself are gone at the end.
class PostgresTest : public ::testing::Test {
protected:
  void SetUp() override;
  void TearDown() override;

  postgres_server& server() const { return postgres_server::shared(); }
  postgres::connection_url url() const;
  postgres::connection connect(const std::string& purpose = "test") const;
  postgres::stream_settings stream_settings() const;

  /// Fails the test if PostgreSQL refuses.
  postgres::rows sql(const std::string& statements);
  std::string value(const std::string& query) { return sql(query).text(0, 0); }
  /// Repeats `query` until it yields `wanted`; fails the test after ten seconds.
  void wait_until(const std::string& query, const std::string& wanted);

  std::string database_;
  std::optional<postgres::connection> admin_;
};

/// Unwraps, or throws with PostgreSQL's message, which fails the test.
template <class T>
T must(postgres::pg_result_of<T> outcome) {
  if (!outcome)
    throw std::runtime_error(outcome.error().sqlstate + " " + outcome.error().message);
  return std::move(*outcome);
}
inline void must(const postgres::pg_result_of<void>& outcome) {
  if (!outcome)
    throw std::runtime_error(outcome.error().sqlstate + " " + outcome.error().message);
}

} // namespace busbar::testing
