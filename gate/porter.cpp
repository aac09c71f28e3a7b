#include "gate/porter.hpp"

#include <random>
#include <utility>

namespace busbar::gate {

namespace {

/// About 2 kB each, with their claims.
constexpr std::size_t visitors_max = 10'000;
/// Of one visitor; a request is at most 64 kB or so, and mostly a hundred bytes.
constexpr std::size_t confined_max = 64;

std::string random_secret() {
  std::random_device random;
  std::string secret;
  for (int i = 0; i < 8; ++i) {
    const auto word = random();
    secret.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  return secret;
}

tl::unexpected<denial> denied(outcome because, std::string reason) {
  return tl::unexpected{denial{because, std::move(reason)}};
}

void append_part(std::string& out, std::string_view part) {
  out += std::to_string(part.size());
  out += ':';
  out += part;
}

std::string key_of(const asked& what) {
  auto key = what.shape.cache_key();
  if (const auto& subset = what.subset) {
    append_part(key, subset->where);
    for (const auto& parameter : subset->parameters)
      append_part(key, parameter);
    key += '/';
    append_part(key, subset->order_by);
    append_part(key, std::to_string(subset->limit.value_or(0)));
    append_part(key, std::to_string(subset->offset.value_or(0)));
    key += subset->limit ? 'l' : '-';
    key += subset->offset ? 'o' : '-';
  }
  return key;
}

} // namespace

porter::porter(gatekeeper& keeper)
    : keeper_{keeper}, rules_{keeper.rules()}, hash_{random_secret(), "tokens"} {
  if (auto* source = keeper.token_keys())
    token_keys_ = std::make_unique<copy_of<key_set>>(source->keys());
  if (auto* source = keeper.grant_keys())
    grant_keys_ = std::make_unique<copy_of<key_set>>(source->keys());
}

tl::expected<visitor_ptr, denial> porter::admit(std::string_view token, wall_time now) {
  const auto name = hash_(token);
  if (const auto known = known_.find(name); known != known_.end()) {
    if (may_stay(*known->second, now))
      return known->second;
    known_.erase(known);
  }
  auto verified = verify(token, now);
  if (verified) {
    if (known_.size() >= visitors_max)
      known_.clear();
    known_.emplace(name, *verified);
  }
  return verified;
}

tl::expected<visitor_ptr, denial> porter::verify(std::string_view text, wall_time now) {
  const auto parsed = parse_token(text);
  if (!parsed)
    return denied(outcome::bad_token, parsed.error().message);
  const key* signer = nullptr;
  bool by_grant_key = false;
  bool waits_for_keys = false;
  // Whose key it is decides what a token is, never what it says of itself.
  if (token_keys_) {
    const auto& keys = token_keys_->get();
    signer = keys ? keys->verifier_of(*parsed) : nullptr;
    if (!keys)
      waits_for_keys = true;
    else if (signer == nullptr && !keys->knows(*parsed))
      waits_for_keys = keeper_.token_keys()->want(std::chrono::steady_clock::now());
  }
  if (signer == nullptr && grant_keys_)
    if (const auto& keys = grant_keys_->get()) {
      signer = keys->verifier_of(*parsed);
      by_grant_key = signer != nullptr;
    }
  if (signer == nullptr && waits_for_keys)
    return denied(outcome::no_keys, "the keys of tokens are not there yet");
  if (signer == nullptr)
    return denied(outcome::bad_token, "the token is signed by no key that is known");
  auto expected = keeper_.settings().expected;
  if (by_grant_key) { // whoever has such a key signs nothing else with it
    expected.issuer.clear();
    expected.audience.clear();
  }
  auto bearer = claims::read(parsed->claims_json, expected, now);
  if (!bearer)
    return denied(outcome::bad_token, bearer.error().message);
  const auto& rules = rules_.get();
  auto made = std::make_shared<visitor>(
      visitor{.claims = *std::move(bearer),
              .grant = std::nullopt,
              .rules = rules,
              .tenant = nullptr,
              .key = signer->fingerprint(),
              .by_grant_key = by_grant_key,
              .policy_version = rules_.version(),
              .keys_version = (by_grant_key ? grant_keys_ : token_keys_)->version()});
  if (by_grant_key) {
    auto granted = read_grant(made->claims);
    if (!granted)
      return denied(outcome::bad_token, granted.error().message);
    made->grant = *std::move(granted);
  } else if (!rules) {
    return denied(outcome::bad_token, "there is no policy for tokens");
  }
  if (rules && !rules->tenant.empty()) {
    const auto name = made->claims.text(rules->tenant);
    if (!name && !by_grant_key)
      return denied(outcome::bad_token, "the token has no claim " + rules->tenant);
    if (name)
      made->tenant = keeper_.tenants().find(*name);
  }
  return made;
}

bool porter::key_is_there(const visitor& who) {
  auto& copy = who.by_grant_key ? grant_keys_ : token_keys_;
  const auto& keys = copy->get();
  return copy->version() == who.keys_version || (keys && keys->has(who.key));
}

bool porter::may_stay(const visitor& who, wall_time now) {
  rules_.get();
  return now < who.claims.expiry() && rules_.version() == who.policy_version && key_is_there(who);
}

const sql::guard_result<asked>& porter::confine(visitor& who, const asked& what) {
  const auto name = hash_(key_of(what));
  const auto known = who.confined.find(name);
  if (known != who.confined.end())
    return known->second;
  if (who.confined.size() >= confined_max)
    who.confined.clear();
  auto confined = what;
  const auto outcome = who.grant ? gate::confine(confined, *who.grant)
                                 : gate::confine(confined, *who.rules, who.claims);
  auto kept = outcome ? sql::guard_result<asked>{std::move(confined)}
                      : sql::guard_result<asked>{tl::unexpected{outcome.error()}};
  return who.confined.emplace(name, std::move(kept)).first->second;
}

} // namespace busbar::gate
