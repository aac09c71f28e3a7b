// sql/workspace.hpp: memory for the values that a clause computes on its way.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>

namespace busbar::sql {

struct enum_type;

/// Pieces of memory that all live as long as it does. The first kilobyte is its own, so that an
/// evaluation with small values allocates nothing.
class workspace {
public:
  /// More than any sane clause needs for one row, and a bound for the others.
  static constexpr std::size_t bytes_max = std::size_t{256} << 20;

  /// Borrows `enums`: the enum types that type numbers stand for.
  explicit workspace(std::span<const std::shared_ptr<const enum_type>> enums = {}) noexcept
      : enums_{enums}, next_{own_}, end_{own_ + sizeof own_} {}
  workspace(const workspace&) = delete;
  workspace& operator=(const workspace&) = delete;

  std::span<const std::shared_ptr<const enum_type>> enums() const noexcept { return enums_; }

  /// Room for `count` objects, not initialised; nullptr if that is too much.
  template <class T>
  T* make(std::size_t count) noexcept {
    static_assert(std::is_trivially_destructible_v<T>);
    if (count > bytes_max / sizeof(T))
      return nullptr;
    return reinterpret_cast<T*>(take(count * sizeof(T)));
  }

  /// A copy; nullopt-like {nullptr, 0} only if `text` is too long.
  std::string_view keep(std::string_view text) noexcept {
    char* copy = make<char>(text.size());
    if (copy == nullptr)
      return {};
    std::memcpy(copy, text.data(), text.size());
    return {copy, text.size()};
  }

private:
  static constexpr std::size_t alignment = alignof(std::max_align_t);

  std::byte* take(std::size_t bytes) noexcept {
    bytes = (bytes + alignment - 1) / alignment * alignment;
    if (bytes > static_cast<std::size_t>(end_ - next_) && !grow(bytes))
      return nullptr;
    auto* taken = next_;
    next_ += bytes;
    return taken;
  }

  bool grow(std::size_t bytes) noexcept {
    const auto size = std::max(bytes, std::size_t{8192});
    if (total_ + size > bytes_max)
      return false;
    std::unique_ptr<piece> more{new (std::nothrow) piece};
    if (more == nullptr)
      return false;
    more->memory.reset(new (std::nothrow) std::byte[size]);
    if (more->memory == nullptr)
      return false;
    next_ = more->memory.get();
    end_ = next_ + size;
    total_ += size;
    more->before = std::move(pieces_);
    pieces_ = std::move(more);
    return true;
  }

  struct piece {
    std::unique_ptr<std::byte[]> memory;
    std::unique_ptr<piece> before;
    piece() = default;
    piece(const piece&) = delete;
    piece& operator=(const piece&) = delete;
    ~piece() { // one after the other: a long chain must not need a deep stack
      for (auto next = std::move(before); next != nullptr;)
        next = std::move(next->before);
    }
  };

  std::span<const std::shared_ptr<const enum_type>> enums_;
  std::byte* next_;
  std::byte* end_;
  std::size_t total_ = 0;
  std::unique_ptr<piece> pieces_;
  alignas(alignment) std::byte own_[1024];
};

} // namespace busbar::sql
