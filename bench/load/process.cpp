#include "bench/load/commands.hpp"
#include "bench/sockets.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace busbar::bench {
namespace {

double seconds(const timeval& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
}

} // namespace

result<int> run_command(const run_options& options) {
  if (options.command.empty())
    return fail(errc::invalid_argument, "run: no command after --");
  std::vector<std::string> words = options.command;
  std::vector<char*> arguments;
  for (std::string& word : words)
    arguments.push_back(word.data());
  arguments.push_back(nullptr);

  const std::int64_t begin = wall_ns();
  const pid_t child = ::fork();
  if (child < 0)
    return fail(system_error("fork"));
  if (child == 0) {
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  int status = 0;
  rusage usage{};
  if (::wait4(child, &status, 0, &usage) != child)
    return fail(system_error("wait"));
  const std::int64_t end = wall_ns();

  std::FILE* report = std::fopen(options.report_file.c_str(), "w");
  if (report == nullptr)
    return fail(system_error("write " + options.report_file));
  std::fprintf(report, "begin_ns=%lld end_ns=%lld wall_s=%.6f cpu_s=%.6f peak_kb=%ld\n",
               static_cast<long long>(begin), static_cast<long long>(end),
               static_cast<double>(end - begin) / 1e9,
               seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss);
  std::fclose(report);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

result<void> run_cpu(int pid) {
  clockid_t clock{};
  if (const int code = ::clock_getcpuclockid(pid, &clock); code != 0)
    return fail(errc::not_found, "no process " + std::to_string(pid));
  timespec used{};
  if (::clock_gettime(clock, &used) != 0)
    return fail(system_error("clock of process " + std::to_string(pid)));
  std::printf("%lld\n", static_cast<long long>(used.tv_sec) * 1'000'000'000 + used.tv_nsec);
  return {};
}

} // namespace busbar::bench
