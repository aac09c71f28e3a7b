// monitoring/tenants.hpp: which tenants cause the load, without a series for each of them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace busbar::monitoring {

/// What one tenant's shapes have cost so far. Shared by these shapes; any thread adds to it.
struct tenant_load {
  explicit tenant_load(std::string name) : name{std::move(name)} {}

  const std::string name;
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> sent_bytes{0}; ///< Of entries, before they are compressed.
  std::atomic<std::uint64_t> log_bytes{0};  ///< Written to its shapes' logs.
  std::atomic<std::int64_t> shapes{0};

  void note_request() noexcept { requests.fetch_add(1, std::memory_order_relaxed); }
  void note_sent(std::uint64_t bytes) noexcept {
    sent_bytes.fetch_add(bytes, std::memory_order_relaxed);
  }
  void note_logged(std::uint64_t bytes) noexcept {
    log_bytes.fetch_add(bytes, std::memory_order_relaxed);
  }
};
using tenant_ptr = std::shared_ptr<tenant_load>;

/// A tenant's part of the load, or that of all others together.
struct tenant_share {
  std::string tenant;
  bool others = false; ///< Not one, but all that are not listed.
  double requests = 0;
  double sent_bytes = 0;
  double log_bytes = 0;
  double shapes = 0;
};

/// All tenants by name. Any thread.
///
/// The `listed_max` with the largest load of late are told by name, the rest as one. What a tenant
/// does is added to the counters of whatever it counts among at that time, so none of them ever
/// falls, and none jumps when a tenant changes sides.
class tenants {
public:
  explicit tenants(std::size_t listed_max) : listed_max_{listed_max} {}

  /// Kept as long as somebody holds it.
  tenant_ptr of(std::string_view name);
  /// Looks at what has happened since the last call; the others stand last.
  std::vector<tenant_share> shares(std::chrono::steady_clock::time_point now);
  std::size_t size() const;

private:
  struct account {
    tenant_ptr load;
    std::uint64_t requests = 0; ///< Of `load`, already counted.
    std::uint64_t sent_bytes = 0;
    std::uint64_t log_bytes = 0;
    tenant_share fresh = {};  ///< Since the last look.
    tenant_share listed = {}; ///< What has been told under its name.
    double weight = 0;        ///< The load of late.
    bool is_listed = false;
  };
  void choose();

  const std::size_t listed_max_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, account> accounts_;
  std::size_t listed_ = 0; ///< Accounts whose is_listed is true.
  tenant_share others_;
  std::chrono::steady_clock::time_point last_look_{};
  std::chrono::steady_clock::time_point last_choice_{};
};

} // namespace busbar::monitoring
