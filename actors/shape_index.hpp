// actors/shape_index.hpp: live shapes by handle, for every thread.
#pragma once

#include "actors/shape_state.hpp"

#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace busbar {

/// Written by the DIRECTORY only; read by any thread.
class shape_index {
public:
  void add(const shape_ptr& shape) {
    const std::unique_lock guard{mutex_};
    by_handle_.insert(shape);
  }
  void remove(const std::string& handle) {
    const std::unique_lock guard{mutex_};
    if (const auto found = by_handle_.find(handle); found != by_handle_.end())
      by_handle_.erase(found);
  }
  shape_ptr find(const std::string& handle) const {
    const std::shared_lock guard{mutex_};
    const auto found = by_handle_.find(handle);
    return found == by_handle_.end() ? nullptr : *found;
  }
  /// The first shape that `is_it` accepts; in no order. Slow with many shapes.
  template <class Predicate>
  shape_ptr find_if(Predicate&& is_it) const {
    const std::shared_lock guard{mutex_};
    for (const auto& shape : by_handle_)
      if (is_it(*shape))
        return shape;
    return nullptr;
  }
  std::vector<shape_ptr> all() const {
    const std::shared_lock guard{mutex_};
    return {by_handle_.begin(), by_handle_.end()};
  }
  std::size_t size() const {
    const std::shared_lock guard{mutex_};
    return by_handle_.size();
  }

private:
  /// The handle is read where the shape has it: it need not be stored twice.
  static std::string_view handle_of(const shape_ptr& shape) { return shape->handle(); }
  static std::string_view handle_of(std::string_view handle) { return handle; }
  struct hash {
    using is_transparent = void;
    std::size_t operator()(const auto& x) const {
      return std::hash<std::string_view>{}(handle_of(x));
    }
  };
  struct equal {
    using is_transparent = void;
    bool operator()(const auto& a, const auto& b) const { return handle_of(a) == handle_of(b); }
  };

  mutable std::shared_mutex mutex_;
  std::unordered_set<shape_ptr, hash, equal> by_handle_;
};

} // namespace busbar
