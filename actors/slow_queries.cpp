#include "actors/slow_queries.hpp"

#include <spdlog/spdlog.h>

namespace busbar {

namespace {

/// Of a condition: the rest tells no more.
constexpr std::size_t condition_bytes_max = 1'000;

} // namespace

void slow_queries::note(const char* kind, const table_info& table, std::string_view condition,
                        std::chrono::steady_clock::duration took, std::uint64_t rows,
                        const monitoring::log_fields& about) const {
  if (metrics == nullptr || limit.count() == 0 || took < limit)
    return;
  const auto seconds = std::chrono::duration<double>(took).count();
  std::string shown{condition.substr(0, condition_bytes_max)};
  if (shown.size() < condition.size())
    shown += " …";
  metrics->slow_queries.Increment();
  const monitoring::log_scope scope{about};
  spdlog::warn("slow query: {} of {}.{} took {:.3f} s for {} rows{}{}", kind, table.schema,
               table.name, seconds, rows, shown.empty() ? "" : ": WHERE ", shown);
  metrics->slow.note({.kind = kind,
                      .table = table.schema + "." + table.name,
                      .what = std::move(shown),
                      .seconds = seconds,
                      .rows = rows});
}

} // namespace busbar
