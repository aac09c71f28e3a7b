#include "actors/retry_pace.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace busbar {
namespace {

using namespace std::chrono_literals;

// F46
TEST(RetryPaceTest, GrowsUntilAStreamHasRunForAWhile) {
  const retry_pace::clock::time_point begin{1'000s};
  struct attempt {
    std::optional<std::chrono::milliseconds> streamed_for; ///< None: it was never accepted.
    std::chrono::milliseconds wait;                        ///< After it.
  };
  const std::vector<attempt> table{
      {std::nullopt, 1s}, {std::nullopt, 2s}, {0ms, 4s},  {4'999ms, 8s},      {std::nullopt, 10s},
      {1s, 10s},          {5s, 1s},           {10ms, 2s}, {std::nullopt, 4s}, {3'600s, 1s}};
  retry_pace pace;
  for (std::size_t i = 0; i < table.size(); ++i) {
    SCOPED_TRACE(i);
    const auto ended = begin + 10'000s * static_cast<int>(i);
    std::optional<retry_pace::clock::time_point> since;
    if (table[i].streamed_for)
      since = ended - *table[i].streamed_for;
    EXPECT_EQ(pace.next(since, ended), table[i].wait);
  }
}

} // namespace
} // namespace busbar
