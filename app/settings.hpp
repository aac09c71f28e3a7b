// app/settings.hpp: every setting of `busbar serve`, after environment and flags are merged and
// checked as a whole; `busbar doctor` and `busbar cleanup` read the same. Declared once, in
// settings.cpp, with name, synonym, default, range and meaning.
#pragma once

#include "base/result.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gate/settings.hpp"

namespace busbar::app {

struct settings {
  std::string database_url;          ///< DATABASE_URL. Holds a password: never print.
  std::string snapshot_database_url; ///< BUSBAR_POOLED_DATABASE_URL, else database_url.
  std::string database_ca_file;      ///< BUSBAR_DATABASE_CA_CERTIFICATE_FILE, in both URLs.
  std::chrono::seconds tcp_keepalive_idle{0};     ///< BUSBAR_DATABASE_TCP_KEEPALIVE_IDLE, in both
  std::chrono::seconds tcp_keepalive_interval{0}; ///< URLs like the next three; 0 = the default.
  unsigned tcp_keepalive_count = 0;
  std::chrono::milliseconds tcp_user_timeout{0};
  std::optional<std::string> secret;         ///< BUSBAR_SECRET; nullopt in insecure mode.
  std::uint16_t port = 3000;                 ///< BUSBAR_PORT
  std::string listen_address = "0.0.0.0";    ///< BUSBAR_LISTEN_ADDRESS
  std::uint16_t metrics_port = 9464;         ///< BUSBAR_METRICS_PORT; 0 = none
  std::string storage_dir = "./busbar-data"; ///< BUSBAR_STORAGE_DIR
  std::string stream_id = "default";         ///< BUSBAR_REPLICATION_STREAM_ID, [a-z0-9_]
  bool manual_publishing = false;            ///< BUSBAR_MANUAL_TABLE_PUBLISHING
  bool temporary_slot = false;               ///< BUSBAR_TEMPORARY_REPLICATION_SLOT
  bool random_slot_name = false;             ///< BUSBAR_TEMPORARY_REPLICATION_SLOT_USE_RANDOM_NAME
  bool failover_slot = true;                 ///< BUSBAR_FAILOVER_REPLICATION_SLOT
  std::size_t chunk_bytes = 10'485'760;      ///< BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD
  std::chrono::milliseconds unused_table{3'600'000};  ///< BUSBAR_UNUSED_TABLE_TIMEOUT
  std::chrono::milliseconds parked_shape{300'000};    ///< BUSBAR_PARKED_SHAPE_TIMEOUT
  std::chrono::milliseconds long_poll{20'000};        ///< BUSBAR_LONG_POLL_TIMEOUT
  std::chrono::milliseconds reconcile_period{60'000}; ///< BUSBAR_TWEAKS_SCHEMA_RECONCILER_PERIOD
  std::chrono::seconds cache_max_age{60};             ///< BUSBAR_CACHE_MAX_AGE
  std::chrono::seconds cache_stale_age{300};          ///< BUSBAR_CACHE_STALE_AGE
  std::size_t initial_requests_max = 300; ///< BUSBAR_MAX_CONCURRENT_REQUESTS (JSON object)
  std::size_t existing_requests_max = 10'000;
  bool integration_testing = false;        ///< BUSBAR_ENABLE_INTEGRATION_TESTING: DELETE allowed
  bool compression = true;                 ///< BUSBAR_COMPRESSION
  std::size_t snapshot_connections = 4;    ///< BUSBAR_SNAPSHOT_CONNECTIONS
  std::size_t io_threads = 0;              ///< BUSBAR_IO_THREADS; 0 = from the cores
  std::size_t materializers = 0;           ///< BUSBAR_MATERIALIZERS; 0 = from the cores
  std::size_t cache_bytes = 64u << 20;     ///< BUSBAR_CACHE_BYTES: shared bodies and blocks
  std::size_t memory_bytes = 512u << 20;   ///< BUSBAR_MEMORY_BUDGET: see base/memory_budget.hpp
  std::chrono::seconds send_timeout{30};   ///< BUSBAR_TCP_SEND_TIMEOUT
  std::chrono::seconds idle_timeout{60};   ///< BUSBAR_TCP_READ_TIMEOUT
  std::size_t shapes_max = 0;              ///< BUSBAR_MAX_SHAPES; 0 = no limit
  std::size_t storage_bytes_max = 0;       ///< BUSBAR_MAX_STORAGE_BYTES; 0 = no limit
  std::chrono::milliseconds shape_idle{0}; ///< BUSBAR_SHAPE_IDLE_TIMEOUT; 0 = for ever
  std::chrono::milliseconds expiry_period{60'000};       ///< BUSBAR_TWEAKS_EXPIRY_PERIOD
  std::size_t spool_bytes = std::size_t{8} << 30;        ///< BUSBAR_SPOOL_BYTES
  bool compaction = true;                                ///< BUSBAR_COMPACTION
  std::chrono::milliseconds compaction_horizon{600'000}; ///< BUSBAR_COMPACTION_HORIZON
  std::string log_level = "info";                        ///< BUSBAR_LOG_LEVEL
  std::vector<std::string> more_secrets;                 ///< BUSBAR_SECRETS
  gate::gate_settings gate;        ///< BUSBAR_JWT_…, BUSBAR_POLICY_FILE, BUSBAR_GRANT_KEY_FILE
  std::string log_format = "text"; ///< BUSBAR_LOG_FORMAT: text or json
  std::chrono::milliseconds slow_query{1'000};     ///< BUSBAR_SLOW_QUERY; 0 = none is slow
  std::string metrics_address = "0.0.0.0";         ///< BUSBAR_METRICS_ADDRESS
  bool status_page = true;                         ///< BUSBAR_STATUS_PAGE
  std::string tenant_column;                       ///< BUSBAR_TENANT_COLUMN; empty = none
  std::size_t tenants_listed = 20;                 ///< BUSBAR_TENANTS_LISTED
  std::vector<std::string> cluster_peers;          ///< BUSBAR_CLUSTER_PEERS: host:port of each
  std::string cluster_dns;                         ///< BUSBAR_CLUSTER_DNS: host:port
  std::string cluster_address;                     ///< BUSBAR_CLUSTER_ADDRESS: host:port
  std::string cluster_secret;                      ///< BUSBAR_CLUSTER_SECRET: never print.
  std::chrono::milliseconds cluster_grace{30'000}; ///< BUSBAR_CLUSTER_GRACE
  std::size_t cluster_log_bytes = 1u << 30;        ///< BUSBAR_CLUSTER_LOG_BYTES

  bool clustered() const noexcept { return !cluster_peers.empty() || !cluster_dns.empty(); }
};

enum class command {
  serve,
  doctor,
  cleanup,
  health,
  check_policy,
  cluster_status,
  print_version,
  print_help
};

struct invocation {
  command what = command::serve;
  std::string text; ///< For print_version and print_help: what to print, without its last newline.
  settings config;  ///< For serve, doctor and cleanup; for health only port and address, for
                    ///< cluster_status the secrets too, for check_policy only the gate's.
  std::vector<std::string> notes = {}; ///< What to warn of in the log, a line each.
  /// For doctor only: why `serve` would refuse these settings.
  std::optional<error> fault = std::nullopt;
  bool json = false;    ///< For doctor and cluster_status.
  bool dry_run = false; ///< For cleanup, as is `force`.
  bool force = false;
  bool replica_identity = false; ///< For cleanup: give tables back the one they had.
  bool must_be_active = false;   ///< For health: it is not enough that it serves.
  std::string token = {};        ///< For check_policy; "-" = from the standard input.
  std::string table = {};        ///< For check_policy; empty = all.
  bool strict = false;           ///< For cluster_status: all members must be reachable.
};

/// Reads the command line, then the environment for what it leaves open. `arguments` starts after
/// the program's name; `environment` holds NAME=value. An empty value counts as not set. An error
/// is one line that says what to do and holds no secret; `field` names the setting. What is wrong
/// with settings is `fault` for doctor; for it and for cleanup BUSBAR_SECRET need not be set.
result<invocation> parse_invocation(const std::vector<std::string>& arguments,
                                    const std::vector<std::string>& environment);

/// The effective configuration, one `NAME=value` a line, secrets masked.
std::string describe(const settings& config);

} // namespace busbar::app
