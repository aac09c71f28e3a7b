#include "monitoring/metrics.hpp"

#include "monitoring/seconds_tally.hpp"

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

Histogram::BucketBoundaries bounds() {
  return {second_bounds.begin(), second_bounds.end()};
}

Histogram& seconds(Registry& registry, const char* name, const char* help) {
  return BuildHistogram().Name(name).Help(help).Register(registry).Add({}, bounds());
}

constexpr auto in_use = "busbar_admission_in_use";
constexpr auto in_use_help =
    "Requests being answered, by admission class; what waits for news does not count.";
constexpr auto rejected = "busbar_admission_rejected_total";
constexpr auto rejected_help = "Requests answered 503 because their admission class was full.";
constexpr auto refetch = "busbar_must_refetch_total";
constexpr auto refetch_help = "Requests answered 409: they named a handle that is not (or no "
                              "longer) the shape's, or the shape was removed meanwhile.";

constexpr auto applied_transactions = "busbar_applied_transactions_total";
constexpr auto applied_transactions_help =
    "Transactions gone over by the materializers, each of which counts for itself: stored if a "
    "shape of its took something of them, else passed.";
constexpr auto applied_changes = "busbar_applied_changes_total";
constexpr auto applied_changes_help =
    "Row changes gone over by the materializers, each of which counts for itself: stored if a "
    "shape of its took them, else passed.";
constexpr auto applied_bytes = "busbar_applied_bytes_total";
constexpr auto applied_bytes_help =
    "Bytes of the row images of changes gone over by the materializers, each of which counts for "
    "itself: stored if a shape of its took the change, else passed.";
constexpr auto publications = "busbar_publication_operations_total";
constexpr auto publications_help =
    "Times that a table's membership in the publication was seen to, by result.";

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
                                     "Bytes by which compaction has made shape logs smaller.")},
      http_seconds{BuildHistogram()
                       .Name("busbar_http_request_seconds")
                       .Help("From a request's head to the last byte of its answer, by route, "
                             "class of status, and whether it was to wait for news.")
                       .Register(*registry_)},
      received_bytes{counter(*registry_, "busbar_replication_received_bytes_total",
                             "Bytes of decoded changes received from PostgreSQL.")},
      receive_lag{seconds(*registry_, "busbar_replication_receive_lag_seconds",
                          "From PostgreSQL's commit to our receipt of the transaction.")},
      commit_to_shown{seconds(
          *registry_, "busbar_commit_to_client_seconds",
          "From PostgreSQL's commit to the first byte for the first client that waits, by shape "
          "and I/O thread; of transactions that come together, the first one's commit.")},
      disconnects{counters(*registry_, "busbar_replication_disconnects_total",
                           "Times the replication stream ended or could not begin, by cause.")},
      transactions_stored{counter(*registry_, applied_transactions, applied_transactions_help,
                                  {{"outcome", "stored"}})},
      transactions_passed{counter(*registry_, applied_transactions, applied_transactions_help,
                                  {{"outcome", "passed"}})},
      changes_stored{
          counter(*registry_, applied_changes, applied_changes_help, {{"outcome", "stored"}})},
      changes_passed{
          counter(*registry_, applied_changes, applied_changes_help, {{"outcome", "passed"}})},
      bytes_stored{counter(*registry_, applied_bytes, applied_bytes_help, {{"outcome", "stored"}})},
      bytes_passed{counter(*registry_, applied_bytes, applied_bytes_help, {{"outcome", "passed"}})},
      frame_apply_seconds{seconds(*registry_, "busbar_frame_apply_seconds",
                                  "Matching a frame's changes with the shapes' filters and "
                                  "encoding what they take, by one materializer.")},
      frame_write_seconds{seconds(*registry_, "busbar_frame_write_seconds",
                                  "Writing what came of a frame into storage, without a sync.")},
      snapshots_queued{gauge(*registry_, "busbar_snapshots_queued",
                             "Shapes that wait for their initial snapshot to begin.")},
      snapshots_running{gauge(*registry_, "busbar_snapshots_running",
                              "Database sessions that read initial snapshots now; at most "
                              "BUSBAR_SNAPSHOT_CONNECTIONS.")},
      snapshot_wait{seconds(*registry_, "busbar_snapshot_wait_seconds",
                            "From a shape's creation to the beginning of its snapshot.")},
      publications_done{counter(*registry_, publications, publications_help, {{"result", "ok"}})},
      publications_failed{
          counter(*registry_, publications, publications_help, {{"result", "failed"}})},
      subset_wait{seconds(*registry_, "busbar_subset_wait_seconds",
                          "How long a subset query waits for a database session.")},
      subset_seconds{
          seconds(*registry_, "busbar_subset_seconds", "Reading a subset from PostgreSQL.")},
      subset_failures{
          counter(*registry_, "busbar_subset_failures_total", "Subset queries that failed.")},
      move_wait{seconds(*registry_, "busbar_move_wait_seconds",
                        "How long a shape waits for a database session that reads the rows that a "
                        "subquery moves into it.")},
      move_seconds{seconds(*registry_, "busbar_move_read_seconds",
                           "Reading rows that a subquery moves into shapes.")},
      subsets_running{
          gauge(*registry_, "busbar_subsets_running", "Database sessions that read subsets now.")},
      moves_running{gauge(*registry_, "busbar_move_reads_running",
                          "Database sessions that read rows that a subquery moves now.")},
      slot_looks_failed{counter(*registry_, "busbar_slot_observation_failures_total",
                                "Times that PostgreSQL could not be asked about the slot.")},
      slow_queries{counter(*registry_, "busbar_slow_queries_total",
                           "Snapshots and subsets that took longer than BUSBAR_SLOW_QUERY.")},
      collector_failures{counters(*registry_, "busbar_collector_failures_total",
                                  "Groups of series that could not be collected.")} {}

metrics::~metrics() = default;

} // namespace busbar::monitoring
