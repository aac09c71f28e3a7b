// The variables of Electric's environment that have no counterpart here. A deployment keeps its
// environment, so they are accepted; where that means another behaviour, the log says so.
#include "app/setting_table.hpp"

#include <array>

namespace busbar::app {
namespace {

constexpr std::array names{
    // Database
    unused_name{"ELECTRIC_DATABASE_USE_IPV6"},
    unused_name{"ELECTRIC_DB_POOL_SIZE"},
    unused_name{"ELECTRIC_REPLICATION_IDLE_TIMEOUT", "connections are kept while idle"},
    unused_name{"ELECTRIC_PUBLICATION_ALTER_DEBOUNCE_TIME"},
    unused_name{"ELECTRIC_TWEAKS_PUBLICATION_REFRESH_PERIOD"},
    unused_name{"ELECTRIC_EXPERIMENTAL_MAX_TXN_SIZE"},
    unused_name{"ELECTRIC_EXPERIMENTAL_MAX_BATCH_SIZE"},
    unused_name{"ELECTRIC_SUBQUERY_BUFFER_MAX_TRANSACTIONS"},
    // Service and HTTP
    unused_name{"ELECTRIC_LISTEN_ON_IPV6", "set BUSBAR_LISTEN_ADDRESS=:: to listen on IPv6 too"},
    unused_name{"ELECTRIC_INSTANCE_ID"},
    unused_name{"ELECTRIC_SERVICE_NAME"},
    unused_name{"ELECTRIC_DATABASE_ID"},
    unused_name{"ELECTRIC_FEATURE_FLAGS"},
    unused_name{"ELECTRIC_TWEAKS_HTTP_API_NUM_ACCEPTORS"},
    unused_name{"ELECTRIC_TWEAKS_CONN_MAX_REQUESTS"},
    unused_name{"ELECTRIC_TWEAKS_HTTP_API_CONN_MAX_REQUESTS"},
    unused_name{"ELECTRIC_TWEAKS_HANDLER_FULLSWEEP_AFTER"},
    unused_name{"ELECTRIC_TWEAKS_HTTP_API_HANDLER_FULLSWEEP_AFTER"},
    // Shapes and storage
    unused_name{"ELECTRIC_STORAGE"},
    unused_name{"ELECTRIC_PERSISTENT_STATE"},
    unused_name{"ELECTRIC_SHAPE_HIBERNATE_AFTER"},
    unused_name{"ELECTRIC_SHAPE_SUSPEND_CONSUMER"},
    unused_name{"ELECTRIC_SHAPE_SUSPEND_AFTER"},
    unused_name{"ELECTRIC_CONSUMER_PARTITIONS"},
    unused_name{"ELECTRIC_FLUSH_STALL_GRACE_PERIOD"},
    unused_name{"ELECTRIC_CLEANUP_INTERVAL_MS"},
    unused_name{"ELECTRIC_SHAPE_DB_EXCLUSIVE_MODE"},
    unused_name{"ELECTRIC_SHAPE_DB_STORAGE_DIR"},
    unused_name{"ELECTRIC_SHAPE_DB_SYNCHRONOUS"},
    unused_name{"ELECTRIC_SHAPE_DB_CACHE_SIZE"},
    unused_name{"ELECTRIC_SHAPE_DB_ENABLE_STATS"},
    unused_name{"ELECTRIC_SHAPE_DB_ENABLE_MEMORY_STATS"},
    // Observability
    unused_name{"ELECTRIC_STATSD_HOST", "metrics are served to Prometheus only"},
    unused_name{"ELECTRIC_OTLP_ENDPOINT", "traces are not exported"},
    unused_name{"ELECTRIC_HNY_API_KEY", "traces are not exported"},
    unused_name{"ELECTRIC_HNY_DATASET"},
    unused_name{"ELECTRIC_OTEL_SAMPLING_RATIO"},
    unused_name{"ELECTRIC_METRICS_SAMPLING_RATIO"},
    unused_name{"ELECTRIC_OTEL_EXPORT_PERIOD"},
    unused_name{"ELECTRIC_SYSTEM_METRICS_POLL_INTERVAL"},
    unused_name{"ELECTRIC_STACK_TELEMETRY_INIT_DELAY"},
    unused_name{"ELECTRIC_DROP_EMPTY_RESPONSE_SPANS"},
    unused_name{"ELECTRIC_EXCLUDE_SPANS"},
    unused_name{"ELECTRIC_OTEL_DEBUG"},
    unused_name{"ELECTRIC_LIVE_DASHBOARD_PORT", "the status page is on BUSBAR_METRICS_PORT"},
    unused_name{"ELECTRIC_LOG_COLORS"},
    unused_name{"ELECTRIC_LOG_OTP_REPORTS"},
    unused_name{"ELECTRIC_PROFILE_WHERE_CLAUSES"},
    unused_name{"ELECTRIC_USAGE_REPORTING"},
    // Of Electric's runtime; ELECTRIC_TELEMETRY_… is accepted by its prefix.
    unused_name{"ELECTRIC_PROCESS_SPAWN_OPTS"},
    unused_name{"ELECTRIC_CONSUMER_GC_HEAP_THRESHOLD"},
    unused_name{"ELECTRIC_TWEAKS_PROCESS_REGISTRY_PARTITIONS"},
};

} // namespace

std::span<const unused_name> unused_names() {
  return names;
}

} // namespace busbar::app
