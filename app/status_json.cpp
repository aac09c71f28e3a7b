// The data of the status page. Positions in the WAL are strings: JavaScript's numbers are too small
// for them.
#include "app/node_view.hpp"
#include "app/setting_table.hpp"
#include "monitoring/seconds_tally.hpp"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace busbar::app {

namespace {

using nlohmann::json;
using prometheus::MetricType;

/// Of the shapes that were read last, of the largest, and of those with most clients, each.
constexpr std::size_t shapes_shown = 50;
constexpr std::size_t clause_bytes_max = 500;
constexpr std::chrono::milliseconds audience_patience{200};

template <class Time>
std::int64_t millis(Time when) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch()).count();
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "this node";
}

/// The series, by name: what has labels is summed up.
class numbers {
public:
  explicit numbers(const monitoring::families& all) {
    for (const auto& family : all)
      by_name_.emplace(family.name, &family);
  }
  double sum(const char* name, std::string_view label = {}, std::string_view value = {}) const {
    double total = 0;
    if (const auto found = by_name_.find(name); found != by_name_.end())
      for (const auto& metric : found->second->metric)
        if (label.empty() || has(metric, label, value))
          total += found->second->type == MetricType::Counter ? metric.counter.value
                                                              : metric.gauge.value;
    return total;
  }
  /// Counts by upper bound, not cumulative; the bounds are monitoring::second_bounds and infinity.
  json histogram(const char* name, std::string_view label = {}, std::string_view value = {}) const {
    std::vector<std::uint64_t> counts;
    if (const auto found = by_name_.find(name); found != by_name_.end())
      for (const auto& metric : found->second->metric) {
        if (!label.empty() && !has(metric, label, value))
          continue;
        const auto& buckets = metric.histogram.bucket;
        counts.resize(buckets.size());
        std::uint64_t before = 0;
        for (std::size_t i = 0; i < buckets.size(); ++i)
          counts[i] +=
              buckets[i].cumulative_count - std::exchange(before, buckets[i].cumulative_count);
      }
    return counts;
  }
  json by_label(const char* name, std::string_view label) const {
    json out = json::object();
    if (const auto found = by_name_.find(name); found != by_name_.end())
      for (const auto& metric : found->second->metric)
        for (const auto& one : metric.label)
          if (one.name == label)
            out[one.value] = out.value(one.value, 0.0) + (found->second->type == MetricType::Counter
                                                              ? metric.counter.value
                                                              : metric.gauge.value);
    return out;
  }

private:
  static bool has(const prometheus::ClientMetric& metric, std::string_view label,
                  std::string_view value) {
    return std::ranges::any_of(
        metric.label, [&](const auto& one) { return one.name == label && one.value == value; });
  }
  std::map<std::string_view, const prometheus::MetricFamily*> by_name_;
};

/// What a member says of itself, in a few words.
std::string words_of(const member_report& one) {
  const auto& [member, is_self, followed] = one;
  const auto& status = member.status;
  if (!is_self && !member.heard)
    return "has not been heard yet";
  if (member.away_for)
    return "not heard for " + std::to_string(member.away_for->count() / 1000) + " s";
  if (status.draining)
    return "is about to stop";
  if (status.role == cluster::member_role::leader)
    return status.leads_stream() ? "leads" : "leads, but without PostgreSQL";
  if (status.leader.empty())
    return "follows nobody";
  return (status.in_sync ? "in sync with " : "catches up with ") + status.leader;
}

json other_node(const member_report& one) {
  const auto& status = one.member.status;
  const bool away = !one.member.heard || one.member.away_for;
  return {{"name", status.name},
          {"self", false},
          {"role", away ? "away" : cluster::name_of(status.role)},
          {"term", status.term},
          {"received_lsn", to_pg_string(status.last_seen)},
          {"confirmed_lsn", to_pg_string(status.durable)},
          {"reason", words_of(one)},
          {"accepts_writes", true},
          {"away_since", status.away_since > 0 ? json(status.away_since * 1000) : json{}}};
}

/// The members of the cluster, this one in all detail.
json nodes_of(const node_view& view, const numbers& series) {
  using phase = node_status::phase;
  const auto now = view.status.now();
  const auto why = view.status.why_not();
  json node{{"name", host_name()},
            {"self", true},
            {"role", now == phase::streaming       ? "leader"
                     : now == phase::following     ? "follower"
                     : now == phase::waiting       ? "waiting"
                     : now == phase::misconfigured ? "misconfigured"
                                                   : "starting"},
            {"term", view.status.term.load()},
            {"received_lsn", to_pg_string(lsn{static_cast<std::uint64_t>(
                                 series.sum("busbar_replication_received_lsn_bytes"))})},
            {"confirmed_lsn", to_pg_string(lsn{static_cast<std::uint64_t>(
                                  series.sum("busbar_replication_confirmed_lsn_bytes"))})},
            {"reason", now == phase::streaming ? json{} : json(why.text)},
            {"accepts_writes", view.store.accepts_writes()}};
  const auto since = view.status.away_since();
  node["away_since"] = since ? json(millis(*since)) : json{};
  if (!view.cluster)
    return json::array({std::move(node)});
  auto nodes = json::array();
  for (const auto& one : view.cluster->report()) {
    if (!one.is_self) {
      nodes.push_back(other_node(one));
      continue;
    }
    node["name"] = one.member.status.name;
    if (now == phase::following) {
      node["term"] = one.member.status.term;
      node["received_lsn"] = to_pg_string(one.member.status.last_seen);
      node["confirmed_lsn"] = to_pg_string(one.member.status.durable);
      node["reason"] = words_of(one);
    }
    nodes.push_back(node);
  }
  return nodes;
}

json slot_of(const node_view& view) {
  const auto last = view.slot.last();
  if (!last)
    return {};
  json slot{
      {"name", view.slot_name}, {"when", millis(last->when)}, {"exists", last->slot.has_value()}};
  if (!last->slot)
    return slot;
  const auto& s = *last->slot;
  slot["active"] = s.active_pid.has_value();
  slot["wal_status"] = s.wal_status;
  slot["retained_bytes"] = s.retained_bytes;
  slot["lag_bytes"] = s.unconfirmed_bytes;
  slot["safe_bytes"] = s.safe_wal_bytes ? json(*s.safe_wal_bytes) : json{};
  return slot;
}

struct seen_shape {
  shape_ptr shape;
  shape_progress progress;
  std::size_t clients = 0;
};

json describe(const seen_shape& seen) {
  const auto& shape = *seen.shape;
  const auto& definition = shape.definition();
  const auto cut = [](const std::string& text) {
    return text.size() > clause_bytes_max ? text.substr(0, clause_bytes_max) + " …" : text;
  };
  json columns;
  if (!definition.selects_all)
    for (const auto index : definition.selected)
      columns.push_back(definition.table->columns[index].name);
  json parameters = json::array();
  for (const auto& parameter : definition.parameters)
    parameters.push_back(cut(parameter));
  return {{"handle", shape.handle()},
          {"table", definition.table->schema + "." + definition.table->name},
          {"where", cut(definition.where)},
          {"parameters", std::move(parameters)},
          {"columns", std::move(columns)},
          {"changes_only", definition.changes_only},
          {"state", !seen.progress.complete    ? "making"
                    : seen.progress.behind > 0 ? "lagging"
                                               : "following"},
          {"bytes", shape.bytes()},
          {"clients", seen.clients},
          {"read_at", shape.read_at() * 1'000},
          {"made_at", made_at(shape.handle()) / 1'000},
          {"tenant", shape.tenant() ? json(shape.tenant()->name) : json{}}};
}

json shapes_of(const node_view& view, const numbers& series) {
  const auto waiting = view.listeners.count(audience_patience);
  std::vector<seen_shape> all;
  std::size_t clients = 0;
  for (auto& shape : view.shapes.all())
    if (!shape->definition().is_set()) {
      const auto found = waiting.find(shape->id());
      const auto count = found == waiting.end() ? 0 : found->second;
      clients += count;
      all.push_back({shape, shape->progress(), count});
    }
  std::unordered_set<const shape_state*> chosen;
  json listed = json::array();
  const auto list_by = [&](auto weight) {
    const auto count = std::min(shapes_shown, all.size());
    std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count), all.end(),
                      [&](const auto& a, const auto& b) { return weight(a) > weight(b); });
    for (std::size_t i = 0; i < count; ++i)
      if (chosen.insert(all[i].shape.get()).second)
        listed.push_back(describe(all[i]));
  };
  list_by([](const seen_shape& one) { return one.clients; });
  list_by([](const seen_shape& one) { return one.shape->read_at(); });
  list_by([](const seen_shape& one) { return one.shape->bytes(); });
  return {{"total", all.size()},
          {"clients", clients},
          {"by_state", series.by_label("busbar_shapes_by_state", "state")},
          {"listed", std::move(listed)}};
}

json tenants_of(const node_view& view) {
  json listed = json::array();
  if (!view.config.tenant_column.empty())
    for (const auto& share : view.tenants.shares(std::chrono::steady_clock::now()))
      listed.push_back({{"tenant", share.others ? json{} : json(share.tenant)},
                        {"requests", share.requests},
                        {"sent_bytes", share.sent_bytes},
                        {"log_bytes", share.log_bytes},
                        {"shapes", share.shapes}});
  return {{"column", view.config.tenant_column},
          {"total", view.tenants.size()},
          {"listed", std::move(listed)}};
}

json removals_of(const node_view& view) {
  json out = json::array();
  for (const auto& [when, what] : view.metrics.removals.entries())
    out.push_back({{"when", millis(when)},
                   {"handle", what.handle},
                   {"table", what.table},
                   {"reason", what.reason},
                   {"why", what.why}});
  return out;
}

json slow_of(const node_view& view) {
  json out = json::array();
  for (const auto& [when, what] : view.metrics.slow.entries())
    out.push_back({{"when", millis(when)},
                   {"kind", what.kind},
                   {"table", what.table},
                   {"where", what.what},
                   {"seconds", what.seconds},
                   {"rows", what.rows}});
  return out;
}

json configuration_of(const settings& config) {
  const settings defaults;
  json out = json::array();
  for (const auto& s : setting_table()) {
    const auto value = s.write(config);
    out.push_back({{"name", s.name},
                   {"value", value},
                   {"changed", value != s.write(defaults)},
                   {"meaning", s.meaning}});
  }
  return out;
}

json storage_of(const node_view& view) {
  const auto found = view.store.statistics();
  json parts = json::object();
  for (const auto& part : found.parts)
    parts[std::string{part.family}] = part.file_bytes + part.memory_bytes;
  return {{"parts", std::move(parts)},
          {"stalls", found.stalls},
          {"disk_free", found.disk_free},
          {"disk_size", found.disk_size}};
}

} // namespace

std::string status_json(const node_view& view, monitoring::scraper& scraper) {
  const auto families = scraper.collect();
  const numbers series{families};
  const auto count = [&](const char* name) { return series.sum(name); };
  json out{
      {"now", millis(std::chrono::system_clock::now())},
      {"started", millis(view.started)},
      {"version", BUSBAR_VERSION},
      {"stream", view.config.stream_id},
      {"nodes", nodes_of(view, series)},
      {"slot", slot_of(view)},
      // These only rise: the page makes rates of them.
      {"counters",
       {{"transactions", count("busbar_replication_transactions_total")},
        {"changes", count("busbar_replication_changes_total")},
        {"received_bytes", count("busbar_replication_received_bytes_total")},
        {"log_entries", count("busbar_shape_log_entries_total")},
        {"log_bytes", count("busbar_shape_log_bytes_total")},
        {"requests", series.sum("busbar_http_requests_total", "route", "shape")},
        {"sent_bytes", count("busbar_http_sent_bytes_total")},
        {"snapshot_rows", count("busbar_snapshot_rows_total")},
        {"snapshots_failed", count("busbar_snapshot_failures_total")},
        {"shapes_created", count("busbar_shapes_created_total")},
        {"refused", count("busbar_admission_rejected_total")},
        {"reconnects", count("busbar_replication_reconnects_total")},
        {"cpu_seconds", count("process_cpu_seconds_total")}}},
      {"gauges",
       {{"connections", count("busbar_http_connections")},
        {"waiting", count("busbar_waiting_readers")},
        {"answering", count("busbar_admission_in_use")},
        {"snapshots_queued", count("busbar_snapshots_queued")},
        {"snapshots_running", count("busbar_snapshots_running")},
        {"resident_bytes", count("process_resident_memory_bytes")},
        {"open_files", count("process_open_fds")},
        {"subquery_sets", count("busbar_subquery_sets")},
        {"unconfirmed_bytes", std::max(0.0, count("busbar_replication_received_lsn_bytes") -
                                                count("busbar_replication_confirmed_lsn_bytes"))}}},
      {"bounds", monitoring::second_bounds},
      {"histograms",
       {{"receive", series.histogram("busbar_replication_receive_lag_seconds")},
        {"durable", series.histogram("busbar_commit_to_durable_seconds")},
        {"client", series.histogram("busbar_commit_to_client_seconds")},
        {"request", series.histogram("busbar_http_request_seconds", "live", "false")},
        {"sync", series.histogram("busbar_storage_sync_seconds")},
        {"snapshot", series.histogram("busbar_snapshot_seconds")}}},
      {"answers", series.by_label("busbar_http_requests_total", "status")},
      {"removed", series.by_label("busbar_shapes_removed_total", "reason")},
      {"shapes", shapes_of(view, series)},
      {"tenants", tenants_of(view)},
      {"removals", removals_of(view)},
      {"slow_queries", slow_of(view)},
      {"storage", storage_of(view)},
      {"configuration", configuration_of(view.config)},
  };
  // A value may hold bytes that are no text; the page must not fail for it.
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

} // namespace busbar::app
