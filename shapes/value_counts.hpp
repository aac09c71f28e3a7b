// shapes/value_counts.hpp: how many rows have each value.
#pragma once

#include "base/keyed_hash.hpp"
#include "base/probe_table.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace busbar {

/// The part of a digest by which tables find it.
inline std::uint32_t short_hash(const digest& value) noexcept {
  std::uint32_t first = 0;
  std::memcpy(&first, value.data(), sizeof first);
  return first;
}

/// About 30 bytes a value. One thread at a time.
class value_counts {
  struct slot {
    digest value{};
    std::uint32_t count = 0;
    bool empty() const noexcept { return count == 0; }
    std::uint32_t hash() const noexcept { return short_hash(value); }
  };
  static auto is(const digest& value) {
    return [&value](const slot& one) { return one.value == value; };
  }

public:
  bool contains(const digest& value) const { return of(value) > 0; }
  std::uint32_t of(const digest& value) const {
    const auto* found = table_.find(short_hash(value), is(value));
    return found ? found->count : 0;
  }
  /// 0 takes it out.
  void set(const digest& value, std::uint32_t count) {
    auto* found = table_.find(short_hash(value), is(value));
    if (!found && count > 0)
      table_.insert({value, count});
    else if (found && count == 0)
      table_.erase(found);
    else if (found)
      found->count = count;
  }
  void add_one(const digest& value) {
    if (auto* found = table_.find(short_hash(value), is(value)))
      ++found->count;
    else
      table_.insert({value, 1});
  }
  template <class Visit>
  void for_each(const Visit& visit) const {
    table_.for_each([&](const slot& one) { visit(one.value, one.count); });
  }
  void reserve(std::size_t count) { table_.reserve(count); }
  std::size_t size() const noexcept { return table_.size(); }

private:
  probe_table<slot> table_;
};

} // namespace busbar
