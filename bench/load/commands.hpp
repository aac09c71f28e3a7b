// bench/load/commands.hpp: what busbar_load can do. Each command prints `name=value` words on
// standard output, for the shell; main.cpp reads the command line.
#pragma once

#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace busbar::bench {

/// Many clients at once, in one thread (swarm.hpp).
struct swarm_options {
  std::uint16_t port = 0;
  std::string path;
  std::size_t count = 0;
  int patience_s = 60; ///< Without progress this long, it fails.
  bool reset = false;  ///< Close with RST, which leaves no TIME_WAIT behind.
};
/// They wait for changes. Says "ready" when all do, "delivery i …" each time that the i-th change
/// has reached the last client, and "done …" when SIGTERM ends it.
struct delivery_options {
  swarm_options clients;
  std::size_t deliveries = 0;
  std::string save_file; ///< Where to save the bytes of one delivery; empty = nowhere.
};
/// Event streams. A change ends with its up-to-date message (streams.cpp).
result<void> run_sse_clients(const delivery_options& options);
/// Event streams of rows with a column `sent_ns`, the time at which each was written: says "ready"
/// when all are open, and at SIGTERM how late the rows came (latencies.cpp).
result<void> run_timed_clients(const swarm_options& options);
/// Long polls over kept connections; after each answer the next poll (requests.cpp).
struct poll_options {
  delivery_options deliveries;
  std::string handle;
  std::string offset;
};
result<void> run_poll_clients(const poll_options& options);
/// Opens long polls and holds them; says "parked" when all requests are sent. Ends at SIGTERM or
/// SIGINT and fails if any poll had been answered (streams.cpp).
result<void> run_parked_clients(const swarm_options& options);
/// Each follows a shape from -1 until up to date, all at once; `{i}` in the path is the client's
/// number (requests.cpp).
result<void> run_sync_clients(const swarm_options& options);

/// One client that follows a shape from -1 until up to date (sync.cpp).
struct sync_options {
  std::uint16_t port = 0;
  std::string path;   ///< Without offset and handle.
  bool count = false; ///< Also count the changes, which costs CPU time.
  int patience_s = 120;
};
result<void> run_sync(const sync_options& options);

/// The same request for each number of a range; `{i}` in the path is the number (sync.cpp).
struct each_options {
  std::uint16_t port = 0;
  std::string path;
  std::uint64_t from = 1;
  std::uint64_t to = 1;
  std::size_t parallel = 16;
};
result<void> run_each(const each_options& options);

/// Shapes come and go at a steady pace, until SIGTERM: one more is made, and the one that was made
/// `standing` before it is removed. `{i}` in the path is a shape's number; those of
/// [from - standing, from) are there already (churn.cpp).
struct churn_options {
  std::uint16_t port = 0;
  std::string path;
  std::uint64_t from = 1;
  std::uint64_t standing = 1;
  double per_second = 100; ///< If the server can; what is late is not made up for in a burst.
  std::size_t parallel = 16;
};
result<void> run_churn(const churn_options& options);

/// Polls until a response shows what is awaited; every given condition must hold (sync.cpp).
struct await_options {
  std::uint16_t port = 0;
  std::string path;
  std::optional<std::uint64_t> offset_from; ///< electric-offset's transaction is at least this.
  std::optional<std::uint64_t> seen_from;   ///< global_last_seen_lsn is at least this.
  std::string body_has;
  std::uint64_t interval_ms = 20;
  int patience_s = 120;
};
result<void> run_await(const await_options& options);

/// Runs a program and reports its time, CPU time (with its children's) and peak RSS (process.cpp).
struct run_options {
  std::string report_file;
  std::vector<std::string> command;
};
/// The exit status of the program.
result<int> run_command(const run_options& options);
/// User and system time of a whole process until now, in nanoseconds: what /proc/<pid>/stat says
/// in clock ticks.
result<void> run_cpu(int pid);

} // namespace busbar::bench
