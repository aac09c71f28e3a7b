// monitoring/metrics.hpp: every Prometheus series of the process, in one place (spec
// postgres-and-operations 3.6). Any thread.
#pragma once

#include "monitoring/journal.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <memory>
#include <string>

namespace busbar::monitoring {

/// A shape that was removed, and why.
struct removal_note {
  std::string handle; ///< Empty: all shapes at once.
  std::string table;
  std::string reason; ///< As the label of busbar_shapes_removed_total.
  std::string why;    ///< A sentence.
};
/// A query of ours that took PostgreSQL longer than BUSBAR_SLOW_QUERY.
struct slow_query_note {
  std::string kind; ///< "snapshot", "subset" or "moves"
  std::string table;
  std::string what; ///< Its condition.
  double seconds = 0;
  std::uint64_t rows = 0;
};

/// Owns the registry and the series; the rest of the process borrows them by reference and only
/// adds to them. Base units, closed label sets; nothing grows with the number of shapes or clients.
class metrics {
public:
  metrics();
  ~metrics();
  metrics(const metrics&) = delete;
  metrics& operator=(const metrics&) = delete;

  std::shared_ptr<prometheus::Registry> registry() const { return registry_; }

private:
  std::shared_ptr<prometheus::Registry> registry_;

public:
  // HTTP
  prometheus::Family<prometheus::Counter>&
      http_requests;                               ///< busbar_http_requests_total{route,status}
  prometheus::Gauge& http_connections;             ///< busbar_http_connections
  prometheus::Counter& http_shed_readers;          ///< busbar_http_shed_readers_total
  prometheus::Counter& http_sent_bytes;            ///< busbar_http_sent_bytes_total
  prometheus::Gauge& admission_initial;            ///< busbar_admission_in_use{class="initial"}
  prometheus::Gauge& admission_existing;           ///< busbar_admission_in_use{class="existing"}
  prometheus::Counter& admission_rejected_initial; ///< busbar_admission_rejected_total{class}
  prometheus::Counter& admission_rejected_existing;
  prometheus::Gauge& waiting_readers;        ///< busbar_waiting_readers
  prometheus::Counter& must_refetch_handle;  ///< busbar_must_refetch_total{reason="handle"}
  prometheus::Counter& must_refetch_removed; ///< busbar_must_refetch_total{reason="removed"}
  // Replication
  prometheus::Gauge& leader;                      ///< busbar_leader: 1 while this node leads
  prometheus::Gauge& term;                        ///< busbar_leader_term
  prometheus::Gauge& received_lsn;                ///< busbar_replication_received_lsn_bytes
  prometheus::Gauge& confirmed_lsn;               ///< busbar_replication_confirmed_lsn_bytes
  prometheus::Counter& transactions;              ///< busbar_replication_transactions_total
  prometheus::Counter& changes;                   ///< busbar_replication_changes_total
  prometheus::Counter& reconnects;                ///< busbar_replication_reconnects_total
  prometheus::Counter& rejected_control_messages; ///< busbar_control_messages_rejected_total
  prometheus::Histogram& commit_to_durable;       ///< busbar_commit_to_durable_seconds
  // Shapes
  prometheus::Gauge& shapes;           ///< busbar_shapes
  prometheus::Counter& shapes_created; ///< busbar_shapes_created_total
  prometheus::Family<prometheus::Counter>&
      shapes_removed; ///< busbar_shapes_removed_total{reason}, see actors/removal_reason.hpp
  prometheus::Counter& log_entries;            ///< busbar_shape_log_entries_total
  prometheus::Counter& log_bytes;              ///< busbar_shape_log_bytes_total
  prometheus::Histogram& snapshot_seconds;     ///< busbar_snapshot_seconds
  prometheus::Counter& snapshot_rows;          ///< busbar_snapshot_rows_total
  prometheus::Counter& snapshot_failures;      ///< busbar_snapshot_failures_total
  prometheus::Histogram& storage_sync_seconds; ///< busbar_storage_sync_seconds
  prometheus::Counter& compaction_saved_bytes; ///< busbar_compaction_saved_bytes_total

  // More of HTTP
  prometheus::Family<prometheus::Histogram>&
      http_seconds; ///< busbar_http_request_seconds{route,class,live}
  // More of replication
  prometheus::Counter& received_bytes;    ///< busbar_replication_received_bytes_total
  prometheus::Histogram& receive_lag;     ///< busbar_replication_receive_lag_seconds
  prometheus::Histogram& commit_to_shown; ///< busbar_commit_to_client_seconds
  prometheus::Family<prometheus::Counter>&
      disconnects; ///< busbar_replication_disconnects_total{cause}
  // busbar_applied_transactions_total, busbar_applied_changes_total and busbar_applied_bytes_total,
  // each {outcome}
  prometheus::Counter& transactions_stored;
  prometheus::Counter& transactions_passed;
  prometheus::Counter& changes_stored;
  prometheus::Counter& changes_passed;
  prometheus::Counter& bytes_stored;
  prometheus::Counter& bytes_passed;
  prometheus::Histogram& frame_apply_seconds; ///< busbar_frame_apply_seconds
  prometheus::Histogram& frame_write_seconds; ///< busbar_frame_write_seconds
  // Reading from PostgreSQL
  prometheus::Gauge& snapshots_queued;      ///< busbar_snapshots_queued
  prometheus::Gauge& snapshots_running;     ///< busbar_snapshots_running
  prometheus::Histogram& snapshot_wait;     ///< busbar_snapshot_wait_seconds
  prometheus::Counter& publications_done;   ///< busbar_publication_operations_total{result="ok"}
  prometheus::Counter& publications_failed; ///< busbar_publication_operations_total{…="failed"}
  prometheus::Histogram& subset_wait;       ///< busbar_subset_wait_seconds
  prometheus::Histogram& subset_seconds;    ///< busbar_subset_seconds
  prometheus::Counter& subset_failures;     ///< busbar_subset_failures_total
  prometheus::Histogram& move_wait;         ///< busbar_move_wait_seconds
  prometheus::Histogram& move_seconds;      ///< busbar_move_read_seconds
  prometheus::Gauge& subsets_running;       ///< busbar_subsets_running
  prometheus::Gauge& moves_running;         ///< busbar_move_reads_running
  prometheus::Counter& slot_looks_failed;   ///< busbar_slot_observation_failures_total
  prometheus::Counter& slow_queries;        ///< busbar_slow_queries_total
  prometheus::Family<prometheus::Counter>&
      collector_failures; ///< busbar_collector_failures_total{collector}

  // For the status page
  journal<removal_note> removals;
  journal<slow_query_note, 50> slow;
};

/// Counts its holder in a gauge for as long as it lives.
class gauge_hold {
public:
  explicit gauge_hold(prometheus::Gauge& gauge) : gauge_{gauge} { gauge_.Increment(); }
  ~gauge_hold() { gauge_.Decrement(); }
  gauge_hold(const gauge_hold&) = delete;
  gauge_hold& operator=(const gauge_hold&) = delete;

private:
  prometheus::Gauge& gauge_;
};

/// The counter of this family with one label; made if it is new.
inline prometheus::Counter& counter_of(prometheus::Family<prometheus::Counter>& family,
                                       const char* label, const std::string& value) {
  return family.Add({{label, value}});
}

} // namespace busbar::monitoring
