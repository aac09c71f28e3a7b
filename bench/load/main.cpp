// busbar_load: the load generators of the benchmarks. `busbar_load --help` lists the commands.
#include "bench/load/commands.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>

namespace bench = busbar::bench;

namespace {

void add_server(CLI::App& command, std::uint16_t& port, std::string& path) {
  command.add_option("--port", port, "port of the server on 127.0.0.1")->required();
  command.add_option("--path", path, "path and query of the request")->required();
}

void add_swarm(CLI::App& command, bench::swarm_options& options) {
  add_server(command, options.port, options.path);
  command.add_option("--count", options.count, "number of clients")->required();
  command.add_option("--patience", options.patience_s, "seconds without progress until it fails");
  command.add_flag("--reset", options.reset, "close with RST");
}

void add_deliveries(CLI::App& command, bench::delivery_options& options) {
  add_swarm(command, options.clients);
  command.add_option("--deliveries", options.deliveries, "changes to wait for")->required();
  command.add_option("--save-delivery", options.save_file, "save one delivery's bytes here");
}

int finish(const busbar::result<void>& done) {
  if (done)
    return 0;
  std::fprintf(stderr, "busbar_load: %s\n", done.error().message.c_str());
  return 1;
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app{"Load generators of Busbar's benchmarks; all speak to 127.0.0.1"};
  app.require_subcommand(1);

  bench::delivery_options sse_options;
  CLI::App* sse = app.add_subcommand("sse-clients", "hold event streams and time the deliveries");
  add_deliveries(*sse, sse_options);

  bench::swarm_options timed_options;
  CLI::App* timed = app.add_subcommand("timed-clients",
                                       "hold event streams of rows that say when they were sent");
  add_swarm(*timed, timed_options);

  bench::poll_options poll_options;
  CLI::App* poll = app.add_subcommand("poll-clients", "long-poll and time the deliveries");
  add_deliveries(*poll, poll_options.deliveries);
  poll->add_option("--handle", poll_options.handle, "handle of the first polls")->required();
  poll->add_option("--offset", poll_options.offset, "offset of the first polls")->required();

  bench::swarm_options syncs_options;
  CLI::App* syncs = app.add_subcommand("sync-clients", "follow a shape from -1, many at once");
  add_swarm(*syncs, syncs_options);

  bench::swarm_options park_options;
  CLI::App* park = app.add_subcommand("park", "hold long polls until SIGTERM");
  add_swarm(*park, park_options);

  bench::sync_options sync_options;
  CLI::App* sync = app.add_subcommand("get", "follow a shape from -1 until up to date");
  add_server(*sync, sync_options.port, sync_options.path);
  sync->add_flag("--count", sync_options.count, "count the changes too");

  bench::each_options each_options;
  CLI::App* each = app.add_subcommand("each", "send a request for each number of a range");
  add_server(*each, each_options.port, each_options.path);
  each->add_option("--from", each_options.from, "first {i}");
  each->add_option("--to", each_options.to, "last {i}")->required();
  each->add_option("--parallel", each_options.parallel, "connections")->check(CLI::Range(1, 4096));

  bench::churn_options churn_options;
  CLI::App* churn = app.add_subcommand("churn", "make shapes and remove older ones until SIGTERM");
  add_server(*churn, churn_options.port, churn_options.path);
  churn->add_option("--from", churn_options.from, "first {i} to make")->required();
  churn->add_option("--standing", churn_options.standing, "as many are there")->required();
  churn->add_option("--per-second", churn_options.per_second, "made, and removed, a second");
  churn->add_option("--parallel", churn_options.parallel, "connections")->check(CLI::Range(1, 256));

  bench::await_options await_options;
  CLI::App* await = app.add_subcommand("await", "poll until a response shows what is awaited");
  add_server(*await, await_options.port, await_options.path);
  await->add_option("--offset-from", await_options.offset_from, "electric-offset at least this");
  await->add_option("--seen-from", await_options.seen_from, "global_last_seen_lsn at least this");
  await->add_option("--body-has", await_options.body_has, "the body contains this");
  await->add_option("--interval-ms", await_options.interval_ms, "pause between polls");
  await->add_option("--patience", await_options.patience_s, "seconds until it fails");

  bench::run_options run_options;
  CLI::App* run = app.add_subcommand("run", "run a program and report time, CPU and memory");
  run->add_option("--report", run_options.report_file, "file for the report")->required();
  run->add_option("command", run_options.command, "after --: the program and its arguments")
      ->required();

  int cpu_pid = 0;
  CLI::App* cpu = app.add_subcommand("cpu", "print the CPU time of a process in nanoseconds");
  cpu->add_option("--pid", cpu_pid, "process")->required();

  CLI11_PARSE(app, argc, argv);
  if (*sse)
    return finish(bench::run_sse_clients(sse_options));
  if (*timed)
    return finish(bench::run_timed_clients(timed_options));
  if (*poll)
    return finish(bench::run_poll_clients(poll_options));
  if (*syncs)
    return finish(bench::run_sync_clients(syncs_options));
  if (*park)
    return finish(bench::run_parked_clients(park_options));
  if (*sync)
    return finish(bench::run_sync(sync_options));
  if (*each)
    return finish(bench::run_each(each_options));
  if (*churn)
    return finish(bench::run_churn(churn_options));
  if (*await)
    return finish(bench::run_await(await_options));
  if (*cpu)
    return finish(bench::run_cpu(cpu_pid));
  const auto status = bench::run_command(run_options);
  return status ? *status : finish(busbar::result<void>{tl::unexpected{status.error()}});
}
