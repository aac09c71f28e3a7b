#include "gate/key_source.hpp"

#include <algorithm>

namespace busbar::gate {

namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

/// Tokens with made-up key ids must not become requests to somebody else's server.
constexpr seconds unknown_key_period{30};
constexpr seconds back_off_least{5};
constexpr seconds back_off_most{300};

} // namespace

bool key_source::want(steady_clock::time_point now) noexcept {
  if (!is_url())
    return false;
  wanted_.store(true);
  return now - looked_.load() >= unknown_key_period;
}

bool key_source::is_due(steady_clock::time_point now) const {
  if (last_try_ == steady_clock::time_point{})
    return true;
  const auto since = now - last_try_;
  if (back_off_ > seconds{0})
    return since >= back_off_;
  return since >= period_ || (wanted_.load() && since >= unknown_key_period);
}

result<bool> key_source::renew(steady_clock::time_point now, const std::atomic<bool>& stop) {
  if (!is_url()) {
    auto text = file_.read_if_changed();
    if (!text)
      return fail(std::move(text).error());
    return *text ? take(**text, true) : false;
  }
  if (!is_due(now))
    return false;
  last_try_ = now;
  const auto text = fetch(url_, {}, stop);
  auto outcome = text ? take(*text, false) : result<bool>{fail(text.error())};
  back_off_ = outcome ? seconds{0} : std::clamp(2 * back_off_, back_off_least, back_off_most);
  if (outcome) {
    wanted_.store(false);
    looked_.store(steady_clock::now());
  }
  return outcome;
}

result<bool> key_source::take(std::string_view text, bool may_be_secret) {
  auto read = read_keys(text, may_be_secret);
  if (!read)
    return fail(std::move(read).error());
  const auto known = keys_.get();
  const auto is_known = [&](const key& one) {
    return std::any_of(known->keys.begin(), known->keys.end(), [&](const key& other) {
      return other.fingerprint() == one.fingerprint() && other.id() == one.id();
    });
  };
  if (known && known->keys.size() == read->keys.size() &&
      std::all_of(read->keys.begin(), read->keys.end(), is_known))
    return false;
  keys_.set(std::make_shared<const key_set>(*std::move(read)));
  return true;
}

} // namespace busbar::gate
