// actors/shape_index.hpp: live shapes by handle and by what they are, for every thread.
#pragma once

#include "actors/shape_state.hpp"
#include "base/number_table.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace busbar {

/// Written by the DIRECTORY only; read by any thread.
class shape_index {
public:
  using table_ptr = std::shared_ptr<const table_info>;

  /// `identity` is that of the shape's definition. False if a shape of this handle is there
  /// already.
  bool add(const shape_ptr& shape, const std::string& identity) {
    const std::unique_lock guard{mutex_};
    if (number_of(shape->handle()) != number_table::none)
      return false;
    std::uint32_t number = 0;
    if (free_.empty()) {
      number = static_cast<std::uint32_t>(shapes_.size());
      shapes_.push_back(shape);
    } else {
      number = free_.back();
      free_.pop_back();
      shapes_[number] = shape;
    }
    by_handle_.insert(hash_of(shape->handle()), number);
    by_identity_.insert(hash_of(identity), number);
    const auto& table = shape->definition().table;
    ++on_oid_[table->oid];
    auto& known = tables_[name_of(*table)];
    const auto same = find_description(known, *table);
    if (same == known.end())
      known.push_back({table, 1});
    else
      ++same->shapes;
    return true;
  }
  /// False if it has been removed already.
  bool remove(const std::string& handle) {
    const std::unique_lock guard{mutex_};
    const auto found = number_of(handle);
    if (found == number_table::none)
      return false;
    const auto shape = std::move(shapes_[found]);
    free_.push_back(found);
    by_handle_.erase(hash_of(shape->handle()), found);
    by_identity_.erase(hash_of(shape->definition().identity()), found);
    const auto& table = *shape->definition().table;
    if (const auto count = on_oid_.find(table.oid); --count->second == 0)
      on_oid_.erase(count);
    const auto known = tables_.find(name_of(table));
    const auto same = find_description(known->second, table);
    if (--same->shapes == 0)
      known->second.erase(same);
    if (known->second.empty())
      tables_.erase(known);
    return true;
  }
  shape_ptr find(const std::string& handle) const {
    const std::shared_lock guard{mutex_};
    const auto found = number_of(handle);
    // Sets are nobody's to read.
    return found == number_table::none || shapes_[found]->definition().is_set() ? nullptr
                                                                                : shapes_[found];
  }
  /// The shape of this identity that is not gone; null if there is none.
  shape_ptr find_identity(const std::string& identity) const {
    const std::shared_lock guard{mutex_};
    const auto found = by_identity_.find(hash_of(identity), [&](std::uint32_t number) {
      const auto& one = *shapes_[number];
      return !one.progress().gone && one.definition().identity() == identity;
    });
    return found == number_table::none ? nullptr : shapes_[found];
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
  /// Whether any shape, finished or not, is on the table.
  bool is_on(std::uint32_t oid) const {
    const std::shared_lock guard{mutex_};
    return on_oid_.contains(oid);
  }
  /// The shapes on a table. Where there is but one, as on a table that is new, none is looked for.
  std::vector<shape_ptr> on_table(std::uint32_t oid, const shape_ptr& one) const {
    const std::shared_lock guard{mutex_};
    const auto count = on_oid_.find(oid);
    if (count == on_oid_.end() || (count->second == 1 && one->definition().table->oid == oid))
      return {one};
    std::vector<shape_ptr> found;
    for (const auto& shape : shapes_)
      if (shape && shape->definition().table->oid == oid)
        found.push_back(shape);
    return found;
  }
  std::vector<shape_ptr> all() const {
    const std::shared_lock guard{mutex_};
    std::vector<shape_ptr> found;
    found.reserve(by_handle_.size());
    for (const auto& shape : shapes_)
      if (shape)
        found.push_back(shape);
    return found;
  }
  std::size_t size() const {
    const std::shared_lock guard{mutex_};
    return by_handle_.size();
  }

private:
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

  static std::size_t hash_of(std::string_view text) noexcept {
    return std::hash<std::string_view>{}(text);
  }
  std::uint32_t number_of(std::string_view handle) const {
    return by_handle_.find(
        hash_of(handle), [&](std::uint32_t number) { return shapes_[number]->handle() == handle; });
  }
  static table_name name_of(const table_info& table) { return {table.schema, table.name}; }
  static std::vector<description>::iterator find_description(std::vector<description>& known,
                                                             const table_info& table) {
    return std::find_if(known.begin(), known.end(), [&](const description& one) {
      return one.table.get() == &table || *one.table == table;
    });
  }

  mutable std::shared_mutex mutex_;
  std::vector<shape_ptr> shapes_; ///< By number; null where one has gone.
  std::vector<std::uint32_t> free_;
  number_table by_handle_;
  number_table by_identity_; ///< A shape can say its own again, so it is not kept here.
  std::unordered_map<table_name, std::vector<description>, name_hash> tables_;
  std::unordered_map<std::uint32_t, std::size_t> on_oid_; ///< How many shapes a table has.
};

} // namespace busbar
