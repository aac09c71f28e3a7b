// gate/gatekeeper.hpp: keys, policy and tenants of the process, and the thread that renews them.
#pragma once

#include "base/result.hpp"

#include <prometheus/registry.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "gate/key_source.hpp"
#include "gate/policy.hpp"
#include "gate/renewed.hpp"
#include "gate/settings.hpp"
#include "gate/tenants.hpp"
#include "gate/watched_file.hpp"

namespace busbar::gate {

/// What becomes of a request at the gate, as a metric label.
enum class outcome : std::uint8_t { admitted, no_token, bad_token, no_keys, forbidden, limited };
inline constexpr std::size_t outcomes = 6;

/// Any thread. HTTP meets it through a porter (porter.hpp), one for each of its threads.
class gatekeeper {
public:
  /// Reads all files; an error is one line that names the setting. Keys at a URL are not waited
  /// for. Without a registry nothing is counted.
  static result<std::unique_ptr<gatekeeper>>
  start(gate_settings settings, const std::shared_ptr<prometheus::Registry>& registry);
  ~gatekeeper();
  gatekeeper(const gatekeeper&) = delete;
  gatekeeper& operator=(const gatekeeper&) = delete;

  const gate_settings& settings() const noexcept { return settings_; }
  key_source* token_keys() noexcept { return token_keys_.get(); } ///< Null if there are none.
  key_source* grant_keys() noexcept { return grant_keys_.get(); }
  const renewed<policy>& rules() const noexcept { return policy_; }
  tenant_book& tenants() noexcept { return tenants_; }

  void count(outcome what) noexcept;
  void count(limit which) noexcept;

private:
  explicit gatekeeper(gate_settings settings);
  result<bool> read_policy();
  void count_in(prometheus::Registry& registry);
  void run();
  void look();

  const gate_settings settings_;
  std::unique_ptr<key_source> token_keys_;
  std::unique_ptr<key_source> grant_keys_;
  std::optional<watched_file> policy_file_;
  renewed<policy> policy_;
  tenant_book tenants_;

  std::array<prometheus::Counter*, outcomes> answers_{};
  std::array<prometheus::Counter*, limits_known> limited_{};
  prometheus::Gauge* tenants_known_ = nullptr;
  prometheus::Counter* failures_ = nullptr;

  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
};

} // namespace busbar::gate
