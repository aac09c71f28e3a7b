#include "gate/gatekeeper.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <spdlog/spdlog.h>

#include <string>
#include <utility>

namespace busbar::gate {

namespace {

constexpr std::chrono::milliseconds look_period{500};

tl::unexpected<error> in_setting(const char* name, const std::string& where, error why) {
  return fail(errc::misconfigured, std::string{name} + ": " + where + ": " + why.message, name);
}

} // namespace

gatekeeper::gatekeeper(gate_settings settings) : settings_{std::move(settings)} {
  if (!settings_.key_url.empty())
    token_keys_ = std::make_unique<key_source>(settings_.key_url, settings_.key_period);
  else if (!settings_.key_file.empty())
    token_keys_ = std::make_unique<key_source>(settings_.key_file);
  if (!settings_.grant_key_file.empty())
    grant_keys_ = std::make_unique<key_source>(settings_.grant_key_file);
  if (!settings_.policy_file.empty())
    policy_file_.emplace(settings_.policy_file, policy_bytes_max);
}

result<std::unique_ptr<gatekeeper>>
gatekeeper::start(gate_settings settings, const std::shared_ptr<prometheus::Registry>& registry) {
  std::unique_ptr<gatekeeper> made{new gatekeeper{std::move(settings)}};
  const auto now = std::chrono::steady_clock::now();
  const auto& in = made->settings_;
  if (made->token_keys_ && !made->token_keys_->is_url())
    if (auto read = made->token_keys_->renew(now, made->stop_); !read)
      return in_setting("BUSBAR_JWT_KEY_FILE", in.key_file, std::move(read).error());
  if (made->grant_keys_)
    if (auto read = made->grant_keys_->renew(now, made->stop_); !read)
      return in_setting("BUSBAR_GRANT_KEY_FILE", in.grant_key_file, std::move(read).error());
  if (auto read = made->read_policy(); !read)
    return in_setting("BUSBAR_POLICY_FILE", in.policy_file, std::move(read).error());
  if (registry)
    made->count_in(*registry);
  made->thread_ = std::thread{[keeper = made.get()] { keeper->run(); }};
  return made;
}

gatekeeper::~gatekeeper() {
  {
    const std::lock_guard guard{mutex_};
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable())
    thread_.join();
}

result<bool> gatekeeper::read_policy() {
  if (!policy_file_)
    return false;
  auto text = policy_file_->read_if_changed();
  if (!text)
    return fail(std::move(text).error());
  if (!*text)
    return false;
  auto read = parse_policy(**text);
  if (!read)
    return fail(std::move(read).error());
  policy_.set(std::make_shared<const policy>(*std::move(read)));
  return true;
}

void gatekeeper::count_in(prometheus::Registry& registry) {
  constexpr std::array<const char*, outcomes> names{"admitted", "no_token",  "bad_token",
                                                    "no_keys",  "forbidden", "limited"};
  auto& answers = prometheus::BuildCounter()
                      .Name("busbar_gate_requests_total")
                      .Help("Requests at the gate, by what became of them there.")
                      .Register(registry);
  for (std::size_t i = 0; i < outcomes; ++i)
    answers_[i] = &answers.Add({{"outcome", names[i]}});
  auto& limited = prometheus::BuildCounter()
                      .Name("busbar_gate_limited_total")
                      .Help("Requests and streams that a limit of their tenant refused or ended.")
                      .Register(registry);
  for (std::size_t i = 0; i < limits_known; ++i)
    limited_[i] = &limited.Add({{"limit", std::string{name_of(static_cast<limit>(i))}}});
  tenants_known_ = &prometheus::BuildGauge()
                        .Name("busbar_gate_tenants")
                        .Help("Tenants that were seen in the last ten minutes.")
                        .Register(registry)
                        .Add({});
  failures_ = &prometheus::BuildCounter()
                   .Name("busbar_gate_renewal_failures_total")
                   .Help("Times that keys or the policy could not be read anew.")
                   .Register(registry)
                   .Add({});
}

void gatekeeper::count(outcome what) noexcept {
  if (auto* counter = answers_[static_cast<std::size_t>(what)])
    counter->Increment();
}
void gatekeeper::count(limit which) noexcept {
  if (auto* counter = limited_[static_cast<std::size_t>(which)])
    counter->Increment();
}

void gatekeeper::run() {
  std::unique_lock guard{mutex_};
  while (!stop_) {
    guard.unlock();
    look();
    guard.lock();
    wake_.wait_for(guard, look_period, [this] { return stop_.load(); });
  }
}

/// What cannot be read leaves what is there: half a file must not lock everybody out.
void gatekeeper::look() {
  const auto tell = [this](const std::string& what, const result<bool>& outcome) {
    if (stop_)
      return;
    if (!outcome && failures_)
      failures_->Increment();
    if (!outcome)
      spdlog::error("gate: {}: {}", what, outcome.error().message);
    else if (*outcome)
      spdlog::info("gate: {}: read anew", what);
  };
  const auto now = std::chrono::steady_clock::now();
  for (auto* keys : {token_keys_.get(), grant_keys_.get()})
    if (keys != nullptr)
      tell(keys->where(), keys->renew(now, stop_));
  tell(settings_.policy_file, read_policy());
  const auto left = tenants_.tidy(now);
  if (tenants_known_)
    tenants_known_->Set(static_cast<double>(left));
}

} // namespace busbar::gate
