// storage/shared_finds.hpp: what shapes that are found one by one have in common. Private to
// storage/.
#pragma once

#include "storage/shape_record.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace busbar::storage {

/// Values as long as somebody has them, by the bytes that they are read from. Any thread.
template <class Value>
class shared_values {
public:
  using pointer = std::shared_ptr<const Value>;

  /// `read` may have none; then neither has this.
  template <class Read>
  pointer find(std::string key, const Read& read) {
    const std::lock_guard guard{mutex_};
    auto& place = values_[std::move(key)];
    auto value = place.lock();
    if (!value)
      place = value = read();
    if (values_.size() > clear_at_) {
      std::erase_if(values_, [](const auto& one) { return one.second.expired(); });
      clear_at_ = 2 * values_.size() + clear_at_least;
    }
    return value;
  }

private:
  static constexpr std::size_t clear_at_least = 64;
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<const Value>, std::less<>> values_;
  std::size_t clear_at_ = clear_at_least;
};

struct shared_finds {
  shared_values<table_info> tables; ///< By digest.
  shared_values<known_facts> known; ///< By the digest of the table, and the bytes.
};

} // namespace busbar::storage
