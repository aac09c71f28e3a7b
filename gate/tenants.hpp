// gate/tenants.hpp: what tenants use up, and when it is too much.
#pragma once

#include "base/keyed_hash.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "gate/policy.hpp"

namespace busbar::gate {

using steady_time = std::chrono::steady_clock::time_point;

enum class limit : std::uint8_t { live, shapes, snapshots, requests, bytes };
inline constexpr std::size_t limits_known = 5;
std::string_view name_of(limit which) noexcept; ///< As in the policy file, and as a metric label.

struct over_limit {
  limit which{};
  std::uint64_t retry_after = 1; ///< Seconds.
};

/// So much at a rate, a burst of it at once. What is spent may exceed what is there, by the last
/// piece; then nothing is left until that is made up for.
class bucket {
public:
  /// Seconds until one is left; 0 if there is one.
  std::uint64_t wait(double rate, double burst, steady_time now) noexcept;
  void spend(double amount) noexcept { level_ -= amount; }

private:
  double level_ = 0;
  steady_time filled_{}; ///< Never = full.
};

/// One tenant, whatever tokens it has. Any thread.
class tenant {
public:
  /// A request begins.
  std::optional<over_limit> enter(const tenant_limits& limits, steady_time now);
  /// It reads this shape, and a subset of it perhaps. A shape that was not read in the last ten
  /// minutes counts as new: it may have to be made.
  std::optional<over_limit> read(const tenant_limits& limits, const digest& shape, bool subset,
                                 steady_time now);
  std::optional<over_limit> begin_live(const tenant_limits& limits);
  void end_live();
  void sent(const tenant_limits& limits, std::size_t bytes);
  /// More was sent than may be, by far: a stream is to end.
  bool overdrawn(const tenant_limits& limits, steady_time now);
  bool idle(steady_time now) const;

private:
  mutable std::mutex mutex_;
  std::uint64_t live_ = 0;
  bucket requests_;
  bucket snapshots_;
  bucket bytes_;
  std::unordered_map<digest, steady_time, digest_hash> shapes_;
  steady_time used_{};
};

/// All of them. Any thread.
class tenant_book {
public:
  std::shared_ptr<tenant> find(const std::string& name);
  /// Forgets those that use nothing; returns how many are left.
  std::size_t tidy(steady_time now);

private:
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<tenant>> tenants_;
};

} // namespace busbar::gate
