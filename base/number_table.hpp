// base/number_table.hpp: finds numbers by the hash of what they stand for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace busbar {

/// An index beside an array: keys stay where they are, and cost eight bytes and some empty places
/// here, where a node of a std::unordered_map costs ten times that. Open addressing. One thread.
class number_table {
public:
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  /// The number with this hash that `is_it` says yes to; none if there is none.
  template <class IsIt>
  std::uint32_t find(std::size_t hash, IsIt&& is_it) const {
    if (slots_.empty())
      return none;
    const auto short_hash = shorten(hash);
    for (auto at = home(short_hash); slots_[at].number != none; at = next(at))
      if (slots_[at].hash == short_hash && is_it(slots_[at].number))
        return slots_[at].number;
    return none;
  }

  /// It is not in there with this hash yet.
  void insert(std::size_t hash, std::uint32_t number) {
    if (4 * (size_ + 1) > 3 * slots_.size())
      resize(slots_.empty() ? 8 : 2 * slots_.size());
    place({shorten(hash), number});
    ++size_;
  }

  /// It is in there with this hash.
  void erase(std::size_t hash, std::uint32_t number) {
    auto hole = home(shorten(hash));
    while (slots_[hole].number != number)
      hole = next(hole);
    // What stands behind it moves up, unless it would come before its home.
    for (auto at = next(hole); slots_[at].number != none; at = next(at)) {
      const auto wanted = home(slots_[at].hash);
      if (distance(wanted, at) >= distance(hole, at)) {
        slots_[hole] = slots_[at];
        hole = at;
      }
    }
    slots_[hole] = {};
    if (--size_ == 0)
      slots_ = {};
    else if (slots_.size() > 8 && 8 * size_ < slots_.size())
      resize(slots_.size() / 2);
  }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const auto& slot : slots_)
      if (slot.number != none)
        visit(slot.number);
  }

private:
  struct slot {
    std::uint32_t hash = 0;
    std::uint32_t number = none;
  };

  /// Hashes of the standard library may be the value itself.
  static std::uint32_t shorten(std::size_t hash) noexcept {
    return static_cast<std::uint32_t>((std::uint64_t{hash} * 0x9e3779b97f4a7c15u) >> 32);
  }
  std::size_t home(std::uint32_t hash) const noexcept { return hash & (slots_.size() - 1); }
  std::size_t next(std::size_t at) const noexcept { return (at + 1) & (slots_.size() - 1); }
  std::size_t distance(std::size_t from, std::size_t to) const noexcept {
    return (to - from) & (slots_.size() - 1);
  }
  void place(const slot& what) {
    auto at = home(what.hash);
    while (slots_[at].number != none)
      at = next(at);
    slots_[at] = what;
  }
  void resize(std::size_t count) {
    std::vector<slot> before(count);
    before.swap(slots_);
    for (const auto& one : before)
      if (one.number != none)
        place(one);
  }

  std::vector<slot> slots_; ///< A power of two, or none.
  std::size_t size_ = 0;
};

} // namespace busbar
