#include "base/probe_table.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>
#include <vector>

namespace busbar {
namespace {

struct slot {
  std::uint32_t key = 0;
  std::uint32_t value = 0; ///< 0 = empty
  bool empty() const noexcept { return value == 0; }
  std::uint32_t hash() const noexcept { return key; }
};

std::multimap<std::uint32_t, std::uint32_t> all_of(const probe_table<slot>& table) {
  std::multimap<std::uint32_t, std::uint32_t> out;
  table.for_each([&](const slot& one) { out.emplace(one.key, one.value); });
  return out;
}

TEST(ProbeTableTest, HoldsWhatAModelHoldsWhateverComesAndGoes) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  // Hashes that crowd together, also at the end of the table, where probing goes round.
  const std::vector<std::uint32_t> homes{0, 1, 0x7fffffff, 0xfffffff0, 0xffffffff};
  probe_table<slot> table;
  std::multimap<std::uint32_t, std::uint32_t> model;
  for (int round = 0; round < 20'000; ++round) {
    const bool growing = (round / 4'000) % 2 == 0;
    const auto key = static_cast<std::uint32_t>(homes[random() % homes.size()] + random() % 40);
    if (random() % 10 < (growing ? 7u : 3u)) {
      const auto value = 1 + random() % 5;
      table.insert({key, static_cast<std::uint32_t>(value)});
      model.emplace(key, static_cast<std::uint32_t>(value));
    } else if (const auto* found = table.find(key, [](const slot&) { return true; })) {
      auto gone = model.lower_bound(key);
      while (gone->second != found->value)
        ++gone;
      model.erase(gone);
      table.erase(found);
    } else {
      EXPECT_FALSE(model.contains(key));
    }
    std::size_t seen = 0;
    table.visit(key, [&](const slot& one) { seen += one.key == key ? 1 : 1000; });
    ASSERT_EQ(seen, model.count(key));
    ASSERT_EQ(table.size(), model.size());
    if (round % 500 == 0) {
      const auto held = all_of(table);
      std::multimap<std::uint32_t, std::uint32_t> left{held};
      for (const auto& one : model) {
        auto found = left.lower_bound(one.first);
        while (found != left.end() && *found != std::pair<const std::uint32_t, std::uint32_t>{one})
          ++found;
        ASSERT_NE(found, left.end());
        left.erase(found);
      }
      ASSERT_TRUE(left.empty());
    }
  }
}

TEST(ProbeTableTest, TakesLittleMoreMemoryThanItHolds) {
  probe_table<slot> table;
  std::mt19937 random{1};
  for (std::uint32_t i = 1; i <= 100'000; ++i) {
    table.insert({static_cast<std::uint32_t>(random()), i});
    if (i > 1'000) {
      ASSERT_LE(table.size_bytes(), std::size_t{i} * sizeof(slot) * 2);
    }
  }
  std::vector<slot> all;
  table.for_each([&](const slot& one) { all.push_back(one); });
  for (const auto& one : all)
    table.erase(table.find(one.key, [&](const slot& other) { return other.value == one.value; }));
  EXPECT_EQ(table.size(), 0u);
  EXPECT_LE(table.size_bytes(), 100u) << "and gives it back";
}

} // namespace
} // namespace busbar
