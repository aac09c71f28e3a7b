#include "base/memory_budget.hpp"

#include <gtest/gtest.h>

namespace busbar {
namespace {

TEST(MemoryBudget, ThePartsAreNoMoreThanTheWhole) {
  for (const std::size_t total :
       {std::size_t{512} << 20, std::size_t{1} << 30, std::size_t{8} << 30})
    for (const std::size_t materializers : {1u, 2u, 3u, 8u, 64u}) {
      const memory_budget parts{total};
      EXPECT_LE(parts.frames() +
                    materializers * (parts.entries(materializers) + parts.aside(materializers) +
                                     parts.notes(materializers)) +
                    parts.subsets() + 2 * parts.moves(2) + parts.unsent(),
                total)
          << total << ' ' << materializers;
    }
}

} // namespace
} // namespace busbar
