// actors/shape_index.hpp: live shapes by handle, for every thread.
#pragma once

#include "actors/shape_state.hpp"

#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace busbar {

/// Written by the DIRECTORY only; read by any thread.
class shape_index {
public:
  void add(const shape_ptr& shape) {
    const std::unique_lock guard{mutex_};
    by_handle_.emplace(shape->handle(), shape);
  }
  void remove(const std::string& handle) {
    const std::unique_lock guard{mutex_};
    by_handle_.erase(handle);
  }
  shape_ptr find(const std::string& handle) const {
    const std::shared_lock guard{mutex_};
    const auto found = by_handle_.find(handle);
    return found == by_handle_.end() ? nullptr : found->second;
  }
  /// The first shape that `is_it` accepts; in no order. Slow with many shapes.
  template <class Predicate>
  shape_ptr find_if(Predicate&& is_it) const {
    const std::shared_lock guard{mutex_};
    for (const auto& [handle, shape] : by_handle_)
      if (is_it(*shape))
        return shape;
    return nullptr;
  }
  std::vector<shape_ptr> all() const {
    const std::shared_lock guard{mutex_};
    std::vector<shape_ptr> shapes;
    shapes.reserve(by_handle_.size());
    for (const auto& [handle, shape] : by_handle_)
      shapes.push_back(shape);
    return shapes;
  }
  std::size_t size() const {
    const std::shared_lock guard{mutex_};
    return by_handle_.size();
  }

private:
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, shape_ptr> by_handle_;
};

} // namespace busbar
