// base/probe_table.hpp: a hash table of small plain slots in one piece of memory, for tables of
// millions: a node for each would take twice the memory of what it holds.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace busbar {

/// `Slot` is trivially copyable; a new one is `empty()`, and `hash()` is as good as random. Several
/// slots may have the same hash, and even be equal. One thread at a time.
///
/// Linear probing, at most 4/5 full. It grows by half, so that it is seldom less than half full;
/// what is taken out leaves no trace. Slots lie in the order of their hashes, so what comes in that
/// order gathers at the beginning and takes quadratic time, unless there was room for all of it:
/// reserve(), or let tables that are filled from each other use different hashes.
template <class Slot>
class probe_table {
public:
  std::size_t size() const noexcept { return size_; }
  std::size_t size_bytes() const noexcept { return slots_.capacity() * sizeof(Slot); }

  /// One that has this hash and for which `is` holds; nullptr if there is none.
  template <class Is>
  const Slot* find(std::uint32_t hash, const Is& is) const {
    if (slots_.empty())
      return nullptr;
    for (auto at = home(hash); !slots_[at].empty(); at = after(at))
      if (slots_[at].hash() == hash && is(slots_[at]))
        return &slots_[at];
    return nullptr;
  }
  /// What is changed in it must not be the hash.
  template <class Is>
  Slot* find(std::uint32_t hash, const Is& is) {
    return const_cast<Slot*>(static_cast<const probe_table*>(this)->find(hash, is));
  }

  /// Those with this hash. The table must not change meanwhile.
  template <class Visit>
  void visit(std::uint32_t hash, const Visit& visit) const {
    find(hash, [&](const Slot& slot) {
      visit(slot);
      return false;
    });
  }
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (const auto& slot : slots_)
      if (!slot.empty())
        visit(slot);
  }

  /// It is not empty. Slots move.
  void insert(const Slot& slot) {
    if (size_ + 1 > most(slots_.size()))
      resize(std::max(least, slots_.size() + slots_.size() / 2));
    place(slot);
    ++size_;
  }
  /// A slot that find() has returned. Slots move.
  void erase(const Slot* gone) {
    auto hole = static_cast<std::size_t>(gone - slots_.data());
    for (auto at = after(hole); !slots_[at].empty(); at = after(at)) {
      const auto wanted = home(slots_[at].hash());
      const bool is_between =
          hole <= at ? hole < wanted && wanted <= at : hole < wanted || wanted <= at;
      if (is_between)
        continue; // in the hole it would not be found
      slots_[hole] = slots_[at];
      hole = at;
    }
    slots_[hole] = Slot{};
    --size_;
    if (slots_.size() > least && size_ < slots_.size() / 4)
      resize(std::max(least, slots_.size() / 2));
  }
  void reserve(std::size_t count) {
    if (count > most(slots_.size())) // and not by so little that the next few reserve again
      resize(std::max({least, count + count / 4 + 1, slots_.size() + slots_.size() / 2}));
  }

private:
  static constexpr std::size_t least = 8;
  static std::size_t most(std::size_t slots) noexcept { return slots / 5 * 4; }

  std::size_t home(std::uint32_t hash) const noexcept {
    return static_cast<std::size_t>((std::uint64_t{hash} * slots_.size()) >> 32);
  }
  std::size_t after(std::size_t at) const noexcept { return at + 1 == slots_.size() ? 0 : at + 1; }

  void place(const Slot& slot) {
    auto at = home(slot.hash());
    while (!slots_[at].empty())
      at = after(at);
    slots_[at] = slot;
  }
  void resize(std::size_t slots) {
    std::vector<Slot> before(slots);
    before.swap(slots_);
    for (const auto& slot : before)
      if (!slot.empty())
        place(slot);
  }

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

} // namespace busbar
