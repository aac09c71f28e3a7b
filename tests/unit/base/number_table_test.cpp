#include "base/number_table.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace busbar {
namespace {

constexpr auto none = number_table::none;

TEST(NumberTableTest, NumbersWithOneHashAreToldApartByTheirKeys) {
  const std::vector<std::string> keys{"a", "b", "c"};
  number_table table;
  const auto find = [&](const std::string& key) {
    return table.find(7, [&](std::uint32_t number) { return keys[number] == key; });
  };
  EXPECT_EQ(find("a"), none);
  for (std::uint32_t number = 0; number < 3; ++number)
    table.insert(7, number);
  EXPECT_EQ(find("b"), 1u);
  table.erase(7, 1);
  EXPECT_EQ(find("a"), 0u);
  EXPECT_EQ(find("b"), none);
  EXPECT_EQ(find("c"), 2u);
}

TEST(NumberTableTest, AnyOrderOfComingAndGoingLeavesExactlyWhatIsThere) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  // Few different hashes, so that places are contested.
  const auto hash_of = [](std::uint32_t number) { return std::size_t{number % 97}; };
  for (int round = 0; round < 20; ++round) {
    number_table table;
    std::map<std::uint32_t, bool> there;
    const std::uint32_t limit = 1 + random() % 500;
    for (int i = 0; i < 2'000; ++i) {
      const auto number = static_cast<std::uint32_t>(random() % limit);
      if (std::exchange(there[number], !there[number]))
        table.erase(hash_of(number), number);
      else
        table.insert(hash_of(number), number);
    }
    std::size_t count = 0;
    for (const auto& [number, is_there] : there) {
      count += is_there ? 1 : 0;
      const auto found =
          table.find(hash_of(number), [&](std::uint32_t one) { return one == number; });
      ASSERT_EQ(found, is_there ? number : none);
    }
    EXPECT_EQ(table.size(), count);
    std::size_t visited = 0;
    table.for_each([&](std::uint32_t number) { visited += there[number] ? 1 : 0; });
    EXPECT_EQ(visited, count);
  }
}

} // namespace
} // namespace busbar
