#include "monitoring/metrics.hpp"

namespace busbar::monitoring {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Labels;
using prometheus::Registry;

Family<Counter>& counters(Registry& registry, const char* name, const char* help) {
  return BuildCounter().Name(name).Help(help).Register(registry);
}

/// Asking twice for one name yields the same family, so labelled series need no family of their
/// own.
Counter& counter(Registry& registry, const char* name, const char* help,
                 const Labels& labels = {}) {
  return counters(registry, name, help).Add(labels);
}

Gauge& gauge(Registry& registry, const char* name, const char* help, const Labels& labels = {}) {
  return BuildGauge().Name(name).Help(help).Register(registry).Add(labels);
}

/// Buckets from 1 ms to 10 min: a sync on a local disk and the snapshot of a large table both fit.
Histogram& seconds(Registry& registry, const char* name, const char* help) {
  return BuildHistogram().Name(name).Help(help).Register(registry).Add(
      {}, Histogram::BucketBoundaries{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                      2.5, 5, 10, 30, 60, 120, 300, 600});
}

constexpr auto in_use = "busbar_admission_in_use";
constexpr auto in_use_help =
    "Requests being answered, by admission class; what waits for news does not count.";
constexpr auto rejected = "busbar_admission_rejected_total";
constexpr auto rejected_help = "Requests answered 503 because their admission class was full.";
constexpr auto refetch = "busbar_must_refetch_total";
constexpr auto refetch_help = "Requests answered 409: they named a handle that is not (or no "
                              "longer) the shape's, or the shape was removed meanwhile.";

} // namespace

metrics::metrics()
    : registry_{std::make_shared<Registry>()}, http_requests{counters(
                                                   *registry_, "busbar_http_requests_total",
                                                   "HTTP requests answered, by route and status.")},
      http_connections{gauge(*registry_, "busbar_http_connections", "Open client connections.")},
      http_shed_readers{counter(
          *registry_, "busbar_http_shed_readers_total",
          "Clients disconnected because they took nothing while memory for responses was short.")},
      http_sent_bytes{counter(*registry_, "busbar_http_sent_bytes_total",
                              "Bytes written to client connections, heads included.")},
      admission_initial{gauge(*registry_, in_use, in_use_help, {{"class", "initial"}})},
      admission_existing{gauge(*registry_, in_use, in_use_help, {{"class", "existing"}})},
      admission_rejected_initial{
          counter(*registry_, rejected, rejected_help, {{"class", "initial"}})},
      admission_rejected_existing{
          counter(*registry_, rejected, rejected_help, {{"class", "existing"}})},
      waiting_readers{gauge(*registry_, "busbar_waiting_readers",
                            "Live requests that wait at the head of their shape.")},
      must_refetch_handle{counter(*registry_, refetch, refetch_help, {{"reason", "handle"}})},
      must_refetch_removed{counter(*registry_, refetch, refetch_help, {{"reason", "removed"}})},
      leader{gauge(*registry_, "busbar_leader", "1 while this node leads its stream, else 0.")},
      term{gauge(*registry_, "busbar_leader_term", "Highest leader term that this node has seen.")},
      received_lsn{gauge(*registry_, "busbar_replication_received_lsn_bytes",
                         "WAL position up to which changes were received.")},
      confirmed_lsn{gauge(*registry_, "busbar_replication_confirmed_lsn_bytes",
                          "WAL position confirmed to PostgreSQL; all before it is durable here.")},
      transactions{counter(*registry_, "busbar_replication_transactions_total",
                           "Transactions received from PostgreSQL.")},
      changes{counter(*registry_, "busbar_replication_changes_total",
                      "Row changes received from PostgreSQL.")},
      reconnects{counter(*registry_, "busbar_replication_reconnects_total",
                         "Times the replication connection was made again.")},
      rejected_control_messages{
          counter(*registry_, "busbar_control_messages_rejected_total",
                  "Logical messages with our prefix that were not signed by us.")},
      commit_to_durable{seconds(*registry_, "busbar_commit_to_durable_seconds",
                                "From PostgreSQL's commit to the sync of the shape logs.")},
      shapes{gauge(*registry_, "busbar_shapes",
                   "Shapes that exist, and what their subqueries select.")},
      shapes_created{counter(*registry_, "busbar_shapes_created_total", "Shapes created.")},
      shapes_removed{
          counters(*registry_, "busbar_shapes_removed_total", "Shapes removed, by reason.")},
      log_entries{
          counter(*registry_, "busbar_shape_log_entries_total", "Entries appended to shape logs.")},
      log_bytes{
          counter(*registry_, "busbar_shape_log_bytes_total", "Bytes appended to shape logs.")},
      snapshot_seconds{seconds(*registry_, "busbar_snapshot_seconds",
                               "Duration of a shape's initial snapshot.")},
      snapshot_rows{
          counter(*registry_, "busbar_snapshot_rows_total", "Rows read by initial snapshots.")},
      snapshot_failures{
          counter(*registry_, "busbar_snapshot_failures_total", "Initial snapshots that failed.")},
      storage_sync_seconds{
          seconds(*registry_, "busbar_storage_sync_seconds", "Duration of a storage sync.")},
      compaction_saved_bytes{counter(*registry_, "busbar_compaction_saved_bytes_total",
                                     "Bytes by which compaction has made shape logs smaller.")} {}

metrics::~metrics() = default;

} // namespace busbar::monitoring
