// gate/key_source.hpp: a set of keys that is renewed from where it comes.
#pragma once

#include "base/result.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "gate/fetch.hpp"
#include "gate/key.hpp"
#include "gate/renewed.hpp"
#include "gate/watched_file.hpp"

namespace busbar::gate {

/// From a file, which is looked at every time, or from a URL: at its period, and sooner if a token
/// names a key that is not known. keys() and want() on any thread, renew() on one.
class key_source {
public:
  explicit key_source(std::string path) : file_{std::move(path)} {}
  key_source(std::string url, std::chrono::seconds period)
      : file_{{}}, url_{std::move(url)}, period_{period} {}
  key_source(const key_source&) = delete;
  key_source& operator=(const key_source&) = delete;

  const renewed<key_set>& keys() const noexcept { return keys_; }
  bool is_url() const noexcept { return !url_.empty(); }
  const std::string& where() const noexcept { return is_url() ? url_ : file_.path(); }

  /// A token names a key that is not there. Whether it may be there soon: false of a file, and of a
  /// URL that was looked at a moment ago.
  bool want(std::chrono::steady_clock::time_point now) noexcept;

  /// Looks whether there is something to do, and does it. True: the keys are others now. What goes
  /// wrong leaves the keys that are there.
  result<bool> renew(std::chrono::steady_clock::time_point now, const std::atomic<bool>& stop);

private:
  result<bool> take(std::string_view text, bool may_be_secret);
  bool is_due(std::chrono::steady_clock::time_point now) const;

  watched_file file_;
  std::string url_;
  std::chrono::seconds period_{};
  std::chrono::steady_clock::time_point last_try_{};
  std::chrono::seconds back_off_{0}; ///< After failures; 0 = the last one went well.
  std::atomic<bool> wanted_{false};
  std::atomic<std::chrono::steady_clock::time_point> looked_{}; ///< When the last look was over.
  renewed<key_set> keys_;
};

} // namespace busbar::gate
