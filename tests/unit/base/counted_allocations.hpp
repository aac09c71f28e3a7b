// tests/unit/base/counted_allocations.hpp: counts what a thread takes from the heap. It replaces
// the program's operator new, so one file of a program may include it, and none under a sanitizer,
// which has one of its own.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

namespace busbar::testing {

inline constexpr std::size_t large_allocation = 100'000; ///< Bytes.
inline thread_local std::size_t allocations = 0;
inline thread_local std::size_t large_allocations = 0;

} // namespace busbar::testing

// Not inlined, or the compiler sees a free() for what it takes for another new.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++busbar::testing::allocations;
  busbar::testing::large_allocations += size >= busbar::testing::large_allocation ? 1 : 0;
  if (void* memory = std::malloc(size == 0 ? 1 : size))
    return memory;
  throw std::bad_alloc{};
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}
