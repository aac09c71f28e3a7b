#include "gate/tenants.hpp"

#include <algorithm>
#include <cmath>

namespace busbar::gate {

namespace {

constexpr std::chrono::minutes shape_memory{10};
constexpr std::chrono::minutes idle_least{10};
/// Of requests and bytes: what may be used at once after a rest, in seconds' worth.
constexpr double burst_seconds = 2;

} // namespace

std::string_view name_of(limit which) noexcept {
  switch (which) {
  case limit::live:
    return "live";
  case limit::shapes:
    return "shapes";
  case limit::snapshots:
    return "snapshots_per_minute";
  case limit::requests:
    return "requests_per_second";
  case limit::bytes:
    return "bytes_per_second";
  }
  return {};
}

std::uint64_t bucket::wait(double rate, double burst, steady_time now) noexcept {
  if (filled_ == steady_time{}) {
    level_ += burst;
  } else if (now > filled_) {
    const std::chrono::duration<double> passed = now - filled_;
    level_ = std::min(burst, level_ + rate * passed.count());
  }
  filled_ = std::max(now, filled_);
  if (level_ >= 1)
    return 0;
  return static_cast<std::uint64_t>(std::clamp(std::ceil((1 - level_) / rate), 1.0, 3600.0));
}

std::optional<over_limit> tenant::enter(const tenant_limits& limits, steady_time now) {
  const std::lock_guard guard{mutex_};
  used_ = now;
  if (limits.bytes_per_second > 0) {
    const auto rate = static_cast<double>(limits.bytes_per_second);
    if (const auto wait = bytes_.wait(rate, burst_seconds * rate, now); wait > 0)
      return over_limit{limit::bytes, wait};
  }
  if (limits.requests_per_second > 0) {
    const auto rate = static_cast<double>(limits.requests_per_second);
    if (const auto wait = requests_.wait(rate, burst_seconds * rate, now); wait > 0)
      return over_limit{limit::requests, wait};
    requests_.spend(1);
  }
  return std::nullopt;
}

std::optional<over_limit> tenant::read(const tenant_limits& limits, const digest& shape,
                                       bool subset, steady_time now) {
  if (limits.shapes == 0 && limits.snapshots_per_minute == 0)
    return std::nullopt;
  const std::lock_guard guard{mutex_};
  const auto known = shapes_.find(shape);
  const bool is_new = known == shapes_.end() || now - known->second > shape_memory;
  if (is_new && limits.shapes > 0 && shapes_.size() >= limits.shapes) {
    std::erase_if(shapes_, [now](const auto& s) { return now - s.second > shape_memory; });
    if (shapes_.size() >= limits.shapes)
      return over_limit{limit::shapes, 60};
  }
  if ((is_new || subset) && limits.snapshots_per_minute > 0) {
    const auto burst = static_cast<double>(limits.snapshots_per_minute);
    if (const auto wait = snapshots_.wait(burst / 60, burst, now); wait > 0)
      return over_limit{limit::snapshots, wait};
    snapshots_.spend(1);
  }
  // Without a limit of shapes their number is bounded by the rate at which they may be new.
  if (shapes_.size() > 10'000)
    std::erase_if(shapes_, [now](const auto& s) { return now - s.second > shape_memory; });
  shapes_.insert_or_assign(shape, now);
  return std::nullopt;
}

std::optional<over_limit> tenant::begin_live(const tenant_limits& limits) {
  const std::lock_guard guard{mutex_};
  if (limits.live > 0 && live_ >= limits.live)
    return over_limit{limit::live, 5};
  ++live_;
  return std::nullopt;
}

void tenant::end_live() {
  const std::lock_guard guard{mutex_};
  --live_;
}

void tenant::sent(const tenant_limits& limits, std::size_t bytes) {
  if (limits.bytes_per_second == 0)
    return;
  const std::lock_guard guard{mutex_};
  bytes_.spend(static_cast<double>(bytes));
}

bool tenant::overdrawn(const tenant_limits& limits, steady_time now) {
  if (limits.bytes_per_second == 0)
    return false;
  const std::lock_guard guard{mutex_};
  const auto rate = static_cast<double>(limits.bytes_per_second);
  return bytes_.wait(rate, burst_seconds * rate, now) > burst_seconds;
}

bool tenant::idle(steady_time now) const {
  const std::lock_guard guard{mutex_};
  return live_ == 0 && now - used_ > idle_least;
}

std::shared_ptr<tenant> tenant_book::find(const std::string& name) {
  const std::lock_guard guard{mutex_};
  auto& found = tenants_[name];
  if (!found)
    found = std::make_shared<tenant>();
  return found;
}

std::size_t tenant_book::tidy(steady_time now) {
  const std::lock_guard guard{mutex_};
  std::erase_if(tenants_, [now](const auto& entry) {
    return entry.second.use_count() == 1 && entry.second->idle(now);
  });
  return tenants_.size();
}

} // namespace busbar::gate
