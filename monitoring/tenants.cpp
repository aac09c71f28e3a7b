#include "monitoring/tenants.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace busbar::monitoring {

namespace {

/// A request costs about as much as so many bytes.
constexpr double request_bytes = 1024;
/// After so long, what a tenant did counts half.
constexpr double half_life_seconds = 120;
/// Names change no more often than this, or a graph would show nothing but changes.
constexpr std::chrono::seconds choice_period{30};
/// Who is on the list stays there until another has so many times its load.
constexpr double loyalty = 1.25;

double take_fresh(const std::atomic<std::uint64_t>& total, std::uint64_t& counted) {
  const auto now = total.load(std::memory_order_relaxed);
  return static_cast<double>(now - std::exchange(counted, now));
}

} // namespace

tenant_ptr tenants::of(std::string_view name) {
  const std::lock_guard guard{mutex_};
  const auto [found, is_new] = accounts_.try_emplace(std::string{name});
  if (is_new) {
    found->second.load = std::make_shared<tenant_load>(std::string{name});
    found->second.is_listed = listed_ < listed_max_;
    listed_ += found->second.is_listed ? 1 : 0;
  }
  return found->second.load;
}

std::size_t tenants::size() const {
  const std::lock_guard guard{mutex_};
  return accounts_.size();
}

std::vector<tenant_share> tenants::shares(std::chrono::steady_clock::time_point now) {
  const std::lock_guard guard{mutex_};
  const auto passed = last_look_ == std::chrono::steady_clock::time_point{}
                          ? 0
                          : std::chrono::duration<double>(now - last_look_).count();
  last_look_ = now;
  const auto fade = std::exp2(-passed / half_life_seconds);
  for (auto& [name, account] : accounts_) {
    account.fresh = {.tenant = {},
                     .requests = take_fresh(account.load->requests, account.requests),
                     .sent_bytes = take_fresh(account.load->sent_bytes, account.sent_bytes),
                     .log_bytes = take_fresh(account.load->log_bytes, account.log_bytes)};
    account.weight = account.weight * fade + account.fresh.requests * request_bytes +
                     account.fresh.sent_bytes + account.fresh.log_bytes;
  }
  if (now - last_choice_ >= choice_period && accounts_.size() > listed_) {
    last_choice_ = now;
    choose();
  }
  for (auto one = accounts_.begin(); one != accounts_.end();) {
    auto& account = one->second;
    auto& to = account.is_listed ? account.listed : others_;
    to.requests += account.fresh.requests;
    to.sent_bytes += account.fresh.sent_bytes;
    to.log_bytes += account.fresh.log_bytes;
    if (account.load.use_count() > 1) {
      ++one;
      continue;
    }
    // Its last shape is gone, and nobody else can ask for it meanwhile.
    listed_ -= account.is_listed ? 1 : 0;
    one = accounts_.erase(one);
  }
  std::vector<tenant_share> shares;
  others_.others = true;
  others_.shapes = 0;
  for (auto& [name, account] : accounts_) {
    const auto shapes = static_cast<double>(account.load->shapes.load(std::memory_order_relaxed));
    if (account.is_listed) {
      shares.push_back(account.listed);
      shares.back().tenant = name;
      shares.back().shapes = shapes;
    } else {
      others_.shapes += shapes;
    }
  }
  std::ranges::sort(shares, {}, &tenant_share::tenant);
  shares.push_back(others_);
  return shares;
}

void tenants::choose() {
  std::vector<std::pair<double, account*>> by_weight;
  by_weight.reserve(accounts_.size());
  for (auto& [name, account] : accounts_) {
    by_weight.emplace_back(account.weight * (account.is_listed ? loyalty : 1), &account);
    account.is_listed = false;
  }
  const auto count = std::min(listed_max_, by_weight.size());
  listed_ = count;
  std::partial_sort(by_weight.begin(), by_weight.begin() + static_cast<std::ptrdiff_t>(count),
                    by_weight.end(),
                    [](const auto& a, const auto& b) { return a.first > b.first; });
  for (std::size_t i = 0; i < count; ++i)
    by_weight[i].second->is_listed = true;
}

} // namespace busbar::monitoring
