// The series that are looked up: what nobody scrapes costs nothing.
#include "app/node_view.hpp"

namespace busbar::app {

namespace {

using monitoring::add_counter;
using monitoring::add_counters;
using monitoring::add_gauge;
using monitoring::add_gauges;
using monitoring::families;
using monitoring::labelled_value;

void collect_shapes(const node_view& view, families& to) {
  double making = 0;
  double following = 0;
  double lagging = 0;
  double sets = 0;
  for (const auto& shape : view.shapes.all()) {
    const auto p = shape->progress();
    if (shape->definition().is_set())
      ++sets;
    else if (!p.complete)
      ++making;
    else if (p.behind > 0)
      ++lagging;
    else
      ++following;
  }
  add_gauges(to, "busbar_shapes_by_state",
             "Shapes: being made, following the stream, or waiting for rows that a subquery moves "
             "into them.",
             {{{{"state", "making"}}, making},
              {{{"state", "following"}}, following},
              {{{"state", "lagging"}}, lagging}});
  add_gauge(to, "busbar_subquery_sets", "What subqueries of shapes select, kept as sets.", sets);
}

void collect_storage(const node_view& view, families& to) {
  const auto found = view.store.statistics();
  std::vector<labelled_value> files;
  std::vector<labelled_value> memory;
  for (const auto& part : found.parts) {
    const std::string name{part.family};
    files.push_back({{{"family", name}}, static_cast<double>(part.file_bytes)});
    memory.push_back({{{"family", name}}, static_cast<double>(part.memory_bytes)});
  }
  add_gauges(to, "busbar_storage_file_bytes", "Size of files on disk, by column family.", files);
  add_gauges(to, "busbar_storage_memory_bytes", "Written but not in files yet, by column family.",
             memory);
  add_gauge(to, "busbar_storage_cache_bytes", "Blocks of files that are cached.",
            static_cast<double>(found.cache_bytes));
  add_counter(to, "busbar_storage_stalls_total",
              "Times that writes were slowed down or stopped because the disk cannot keep up.",
              static_cast<double>(found.stalls));
  add_gauge(to, "busbar_storage_writes_stopped", "1 while writes wait for the disk, else 0.",
            found.is_stopped ? 1 : 0);
  add_gauge(to, "busbar_storage_accepts_writes",
            "0 while the disk refuses writes or is all but full, else 1.",
            view.store.accepts_writes() ? 1 : 0);
  if (found.disk_size == 0)
    return;
  add_gauge(to, "busbar_disk_free_bytes", "Room on the disk of the storage directory.",
            static_cast<double>(found.disk_free));
  add_gauge(to, "busbar_disk_size_bytes", "Size of the disk of the storage directory.",
            static_cast<double>(found.disk_size));
}

/// Nothing before PostgreSQL has said something: a zero would be a lie.
void collect_slot(const node_view& view, families& to) {
  const auto last = view.slot.last();
  if (!last)
    return;
  add_gauge(to, "busbar_slot_observed_timestamp_seconds",
            "When PostgreSQL was last asked about the slot, since 1970.",
            std::chrono::duration<double>(last->when.time_since_epoch()).count());
  add_gauge(to, "busbar_slot_exists", "1 if the replication slot is there, else 0.",
            last->slot ? 1 : 0);
  if (!last->slot)
    return;
  const auto& slot = *last->slot;
  add_gauge(to, "busbar_slot_retained_bytes", "WAL that PostgreSQL keeps for the slot.",
            static_cast<double>(slot.retained_bytes));
  add_gauge(to, "busbar_slot_lag_bytes", "WAL that was not confirmed yet.",
            static_cast<double>(slot.unconfirmed_bytes));
  add_gauge(to, "busbar_slot_active", "1 while somebody reads the slot, else 0.",
            slot.active_pid ? 1 : 0);
  if (slot.safe_wal_bytes)
    add_gauge(to, "busbar_slot_safe_wal_bytes",
              "WAL that may still be written before the slot can be lost, by "
              "max_slot_wal_keep_size.",
              static_cast<double>(*slot.safe_wal_bytes));
  std::vector<labelled_value> states;
  for (const char* state : {"reserved", "extended", "unreserved", "lost"})
    states.push_back({{{"status", state}}, slot.wal_status == state ? 1.0 : 0.0});
  add_gauges(to, "busbar_slot_wal_status",
             "1 for the slot's wal_status as PostgreSQL has it, else 0.", states);
}

void collect_tenants(const node_view& view, families& to) {
  if (view.config.tenant_column.empty())
    return;
  std::vector<labelled_value> requests;
  std::vector<labelled_value> sent;
  std::vector<labelled_value> logged;
  std::vector<labelled_value> shapes;
  for (const auto& share : view.tenants.shares(std::chrono::steady_clock::now())) {
    // A tenant whose own name is empty is told apart by the other label.
    const std::vector<prometheus::ClientMetric::Label> labels{
        {"tenant", share.others ? "" : share.tenant}, {"others", share.others ? "true" : "false"}};
    requests.push_back({labels, share.requests});
    sent.push_back({labels, share.sent_bytes});
    logged.push_back({labels, share.log_bytes});
    shapes.push_back({labels, share.shapes});
  }
  add_counters(to, "busbar_tenant_requests_total",
               "Reads of a tenant's shapes; of all that are not listed, together.", requests);
  add_counters(to, "busbar_tenant_sent_bytes_total",
               "Bytes of entries for clients of a tenant's shapes, before compression.", sent);
  add_counters(to, "busbar_tenant_log_bytes_total", "Bytes written to a tenant's shapes.", logged);
  add_gauges(to, "busbar_tenant_shapes", "A tenant's shapes.", shapes);
  add_gauge(to, "busbar_tenants", "Tenants that have shapes.",
            static_cast<double>(view.tenants.size()));
}

} // namespace

std::vector<monitoring::collector> node_collectors(const node_view& view) {
  return {
      {"build", [](families& to) { monitoring::collect_build(to, BUSBAR_VERSION); }},
      {"process", monitoring::collect_process},
      {"shapes", [&view](families& to) { collect_shapes(view, to); }},
      {"storage", [&view](families& to) { collect_storage(view, to); }},
      {"slot", [&view](families& to) { collect_slot(view, to); }},
      {"tenants", [&view](families& to) { collect_tenants(view, to); }},
  };
}

} // namespace busbar::app
