// What the operating system knows of this process.
#include "monitoring/series.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace busbar::monitoring {

namespace {

std::string read_file(const char* path) {
  std::ifstream file{path};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct process_facts {
  double cpu_seconds = 0;
  double threads = 0;
  double start_seconds = 0; ///< Since 1970.
  double virtual_bytes = 0;
  double resident_bytes = 0;
};

/// Of /proc/self/stat: the name in brackets may hold anything, so what follows it counts.
bool read_facts(process_facts& facts) {
  const auto text = read_file("/proc/self/stat");
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos)
    return false;
  std::istringstream fields{text.substr(name_end + 1)};
  std::string skipped;
  const auto skip = [&](int count) {
    while (count-- > 0)
      fields >> skipped;
  };
  double user = 0;
  double system = 0;
  double start_ticks = 0;
  double pages = 0;
  skip(11); // state … cmajflt
  fields >> user >> system;
  skip(4); // cutime … nice
  fields >> facts.threads;
  skip(1);
  fields >> start_ticks >> facts.virtual_bytes >> pages;
  if (!fields)
    return false;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  facts.cpu_seconds = (user + system) / ticks;
  facts.resident_bytes = pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
  const auto kernel = read_file("/proc/stat");
  if (const auto at = kernel.find("\nbtime "); at != std::string::npos)
    facts.start_seconds = std::stod(kernel.substr(at + 7)) + start_ticks / ticks;
  return true;
}

double count_open_files() {
  struct closer {
    void operator()(DIR* directory) const { ::closedir(directory); }
  };
  const std::unique_ptr<DIR, closer> directory{::opendir("/proc/self/fd")};
  double count = 0;
  while (directory && ::readdir(directory.get()) != nullptr)
    ++count;
  return count > 3 ? count - 3 : 0; // ".", ".." and the directory itself
}

} // namespace

void collect_process(families& to) {
  process_facts facts;
  if (read_facts(facts)) {
    add_counter(to, "process_cpu_seconds_total", "Processor time, of user and system.",
                facts.cpu_seconds);
    add_gauge(to, "process_resident_memory_bytes", "Memory in use.", facts.resident_bytes);
    add_gauge(to, "process_virtual_memory_bytes", "Address space in use.", facts.virtual_bytes);
    add_gauge(to, "process_threads", "Threads.", facts.threads);
    if (facts.start_seconds > 0)
      add_gauge(to, "process_start_time_seconds", "When the process began, since 1970.",
                facts.start_seconds);
  }
  add_gauge(to, "process_open_fds", "Open files and sockets.", count_open_files());
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0)
    add_gauge(to, "process_max_fds", "How many files and sockets may be open.",
              static_cast<double>(files.rlim_cur));
#ifdef __GLIBC__
  const auto heap = ::mallinfo2();
  add_gauges(to, "busbar_heap_bytes",
             "The C library's heap: what is in use, and what is kept although it is free.",
             {{{{"state", "used"}}, static_cast<double>(heap.uordblks + heap.hblkhd)},
              {{{"state", "free"}}, static_cast<double>(heap.fordblks)}});
#endif
}

void collect_build(families& to, const std::string& version) {
  add_gauges(to, "busbar_build_info", "Always 1; the version is its label.",
             {{{{"version", version}}, 1}});
}

} // namespace busbar::monitoring
