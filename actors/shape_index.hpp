// actors/shape_index.hpp: live shapes by handle and by what they are, for every thread.
#pragma once

#include "actors/shape_state.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace busbar {

/// Written by the DIRECTORY only; read by any thread.
class shape_index {
public:
  using table_ptr = std::shared_ptr<const table_info>;

  /// `identity` is that of the shape's definition.
  void add(const shape_ptr& shape, const std::string& identity) {
    const std::unique_lock guard{mutex_};
    if (!by_handle_.insert(shape).second)
      return;
    by_identity_.emplace(hash_of(identity), shape);
    const auto& table = shape->definition().table;
    auto& known = tables_[name_of(*table)];
    const auto same = find_description(known, *table);
    if (same == known.end())
      known.push_back({table, 1});
    else
      ++same->shapes;
  }
  void remove(const std::string& handle) {
    const std::unique_lock guard{mutex_};
    const auto found = by_handle_.find(handle);
    if (found == by_handle_.end())
      return;
    const auto shape = *found;
    by_handle_.erase(found);
    const auto [first, last] = by_identity_.equal_range(hash_of(shape->definition().identity()));
    by_identity_.erase(std::find_if(first, last, [&](const auto& e) { return e.second == shape; }));
    const auto& table = *shape->definition().table;
    const auto known = tables_.find(name_of(table));
    const auto same = find_description(known->second, table);
    if (--same->shapes == 0)
      known->second.erase(same);
    if (known->second.empty())
      tables_.erase(known);
  }
  shape_ptr find(const std::string& handle) const {
    const std::shared_lock guard{mutex_};
    const auto found = by_handle_.find(handle);
    // Sets are nobody's to read.
    return found == by_handle_.end() || (*found)->definition().is_set() ? nullptr : *found;
  }
  /// The shape of this identity that is not gone; null if there is none.
  shape_ptr find_identity(const std::string& identity) const {
    const std::shared_lock guard{mutex_};
    auto [one, last] = by_identity_.equal_range(hash_of(identity));
    for (; one != last; ++one)
      if (!one->second->progress().gone && one->second->definition().identity() == identity)
        return one->second;
    return nullptr;
  }
  /// How the shapes on the table of this name know it: one description, unless it was altered or
  /// made anew while they live.
  std::vector<table_ptr> descriptions(const std::string& schema, const std::string& name) const {
    const std::shared_lock guard{mutex_};
    std::vector<table_ptr> tables;
    if (const auto known = tables_.find({schema, name}); known != tables_.end())
      for (const auto& one : known->second)
        tables.push_back(one.table);
    return tables;
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
  struct description {
    table_ptr table;
    std::size_t shapes = 0; ///< That know it so.
  };
  using table_name = std::pair<std::string, std::string>;
  struct name_hash {
    std::size_t operator()(const table_name& name) const noexcept {
      return hash_of(name.first) * 31 + hash_of(name.second);
    }
  };

  static std::size_t hash_of(const std::string& text) noexcept {
    return std::hash<std::string>{}(text);
  }
  static table_name name_of(const table_info& table) { return {table.schema, table.name}; }
  static std::vector<description>::iterator find_description(std::vector<description>& known,
                                                             const table_info& table) {
    return std::find_if(known.begin(), known.end(), [&](const description& one) {
      return one.table.get() == &table || *one.table == table;
    });
  }

  mutable std::shared_mutex mutex_;
  std::unordered_set<shape_ptr, hash, equal> by_handle_;
  /// By the identity's hash: identities are long, and a shape can say its own again.
  std::unordered_multimap<std::size_t, shape_ptr> by_identity_;
  std::unordered_map<table_name, std::vector<description>, name_hash> tables_;
};

} // namespace busbar
