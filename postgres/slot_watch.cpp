#include "postgres/slot_watch.hpp"

#include "postgres/session.hpp"
#include "postgres/slot_sql.hpp"

#include <spdlog/spdlog.h>

namespace busbar::postgres {

namespace {

constexpr std::chrono::seconds answer_max{2};

} // namespace

pg_result_of<rows> slot_watch::ask(const std::string& sql) {
  const auto until = std::chrono::steady_clock::now() + answer_max;
  if (!session_ || !session_->usable()) {
    session_.reset();
    auto opened = connection::open(url_, "slot watch", until);
    if (!opened)
      return tl::unexpected{std::move(opened).error()};
    session_.emplace(*std::move(opened));
  }
  return session_->command(
      pinned(session_->server_version()) + "SET LOCAL search_path = ''; " + sql, until);
}

std::string slot_watch::look() {
  auto found = ask("SELECT who, extract(epoch FROM pg_catalog.clock_timestamp() - since)::bigint"
                   " FROM (SELECT 'pid ' || pid AS who, xact_start AS since"
                   "   FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL"
                   "   AND pid NOT IN (pg_catalog.pg_backend_pid(), " +
                   std::to_string(maker_pid_) +
                   ") UNION ALL SELECT 'prepared transaction ' || gid, prepared"
                   "   FROM pg_catalog.pg_prepared_xacts) open ORDER BY since LIMIT 5");
  if (!found)
    return "transactions that cannot be looked up: " + found.error().message;
  std::string who;
  for (int row = 0; row < found->count(); ++row) {
    who += (row == 0 ? "" : ", ") + found->text(row, 0);
    if (found->at(row, 1))
      who += " (for " + found->text(row, 1) + " s)";
  }
  if (const auto hurry = standby_snapshot_sql(session_->server_version());
      may_log_ && !hurry.empty())
    if (auto logged = ask(hurry); !logged) {
      may_log_ = logged.error().sqlstate != "42883" && logged.error().sqlstate != "42501";
      spdlog::info("cannot log the running transactions: {}", logged.error().message);
    }
  return who.empty() ? "PostgreSQL to log its running transactions" : who;
}

} // namespace busbar::postgres
