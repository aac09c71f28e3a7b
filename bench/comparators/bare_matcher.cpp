// busbar_bare_matcher: how long ILIKE takes by itself. A loop over titles like those of the
// backlog, each matched with each pattern by the functions that a where clause calls for it.
#include "sql/letter_case.hpp"
#include "sql/text.hpp"
#include "sql/workspace.hpp"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace {

std::int64_t cpu_now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

bool matches(std::string_view text, std::string_view pattern) {
  using namespace busbar::sql;
  workspace space;
  std::string_view low_text;
  std::string_view low_pattern;
  return to_lower(text, case_rule::ascii, low_text, space) &&
         to_lower(pattern, case_rule::ascii, low_pattern, space) &&
         like(low_text, low_pattern) == match::yes;
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app{"Matches titles with patterns and prints the CPU time of one match"};
  std::uint32_t rows = 20'000;
  std::uint32_t patterns = 200;
  app.add_option("--rows", rows, "titles")->check(CLI::PositiveNumber);
  app.add_option("--patterns", patterns, "patterns")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  std::vector<std::string> wanted;
  for (std::uint32_t i = 1; i <= patterns; ++i)
    wanted.push_back("%x" + std::to_string(i) + "%");
  std::uint64_t matched = 0;
  const auto begin = cpu_now_ns();
  for (std::uint32_t i = 1; i <= rows; ++i) {
    const auto title = "title of row number " + std::to_string(i);
    for (const auto& pattern : wanted)
      matched += matches(title, pattern) ? 1 : 0;
  }
  const auto spent = static_cast<double>(cpu_now_ns() - begin);
  std::printf("ns=%.3f matched=%llu\n", spent / rows / patterns,
              static_cast<unsigned long long>(matched));
}
