// monitoring/metrics.hpp: every Prometheus series of the process, in one place (spec
// postgres-and-operations 3.6). Any thread.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <memory>
#include <string>

namespace busbar::monitoring {

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
};

} // namespace busbar::monitoring
