// How much the fan-out does, as far as it can be seen from outside: by the memory that it takes,
// and by that which it looks at.

// Sanitizers have an operator new of their own, and these tests would be in its way.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include "tests/unit/actors/table_fanout_fixture.hpp"
#include "tests/unit/base/counted_allocations.hpp"
#include "tests/unit/base/touched_memory.hpp"

namespace busbar {
namespace {

using testing::image_row;
using testing::items_relation;
using testing::large_allocation;
using testing::large_allocations;
using testing::made_shape;
using testing::null;
using testing::oid;
using testing::where;

/// A clause over `title || …` needs room for the whole title each time that it is evaluated, so
/// with an enormous title every evaluation is one large allocation.
class FanoutEvaluations : public testing::TableFanoutTest {
protected:
  /// How often any clause is evaluated for an update of a row that matches none.
  std::size_t evaluations() {
    const image_row before{"1", std::string(large_allocation, 'a'), "f", null};
    const image_row after{"1", std::string(large_allocation, 'b'), "t", null};
    const auto frame = change().update(oid, before, after).build();
    const table_fanout::sink to{
        .wanted = [](const shape_log_writer&) { return true; },
        .affected = [](shape_log_writer&, std::vector<encoded_entry>&,
                       bool) { ADD_FAILURE() << "no clause holds"; },
        .judge = [](shape_log_writer&, row_cells, row_cells, entry_encoder&) { return false; },
        .broken = [](shape_log_writer&, const std::string& why) { ADD_FAILURE() << why; }};
    const auto taken = large_allocations;
    for (const auto one : frame.read().getChanges())
      fanout_.route(frame.read(), one, {.commit_lsn = 500, .xid = 120, .op = 0}, to);
    return large_allocations - taken;
  }
};

TEST_F(FanoutEvaluations, EqualClausesAreEvaluatedOnceARowHoweverManyShapesHaveThem) {
  fanout_.describe(items_relation());
  EXPECT_EQ(evaluations(), 0u) << "nobody asks";
  add(where("title || '!' = 'x'"));
  EXPECT_EQ(evaluations(), 2u) << "for the old row and the new one";
  for (int i = 0; i < 100; ++i)
    add(where(i % 2 ? "(title || '!') = 'x'" : "'x' = \"title\"||'!'"));
  EXPECT_EQ(evaluations(), 2u) << "it is the same in other words";
  for (int i = 0; i < 10; ++i)
    add(where("title || '!' = '" + std::to_string(i) + "'"));
  EXPECT_EQ(evaluations(), 22u) << "each other clause by itself";
}

TEST_F(FanoutEvaluations, ClauseIsEvaluatedUntilItsLastShapeHasGone) {
  fanout_.describe(items_relation());
  for (int i = 0; i < 3; ++i)
    add(where("title || '!' = 'x'"));
  for (const auto& log : logs_) {
    EXPECT_EQ(evaluations(), 2u);
    fanout_.remove(*log);
  }
  EXPECT_EQ(evaluations(), 0u);
}

TEST_F(FanoutEvaluations, WhatTheIndexIsSureOfIsNotEvaluated) {
  fanout_.describe(items_relation());
  for (int i = 0; i < 50; ++i)
    add(where("id = 2 AND title || '!' = '" + std::to_string(i) + "'"));
  EXPECT_EQ(evaluations(), 0u) << "the row has another id";
  for (int i = 0; i < 50; ++i)
    add(where("id = 1 AND title || '!' = '" + std::to_string(i) + "'"));
  EXPECT_EQ(evaluations(), 100u);
}

using FanoutTouches = testing::TableFanoutTest;

TEST_F(FanoutTouches, LittleOfAHundredThousandShapesWhenOneComesOrGoes) {
  constexpr std::size_t count = 100'000;
  const auto table = testing::items();
  // Half of the shapes have a clause that a thousand others have, too.
  for (std::size_t i = 0; i < count; ++i) {
    const auto request = where("id = " + std::to_string(i % 2 == 0 ? i : i % 100));
    logs_.push_back(std::make_unique<shape_log_writer>(made_shape(i + 1, request, table), 1000));
    fanout_.add(*logs_.back());
  }
  const auto all = testing::touched_kilobytes([&] {
    std::size_t seen = 0;
    fanout_.for_each([&](const shape_log_writer&) { ++seen; });
    EXPECT_EQ(seen, count);
  });
  if (!all)
    GTEST_SKIP() << "the kernel does not tell which memory was touched";
  for (auto i = count / 2; i < count / 2 + 10; ++i) {
    const auto touched = *testing::touched_kilobytes([&] {
      fanout_.remove(*logs_[i]);
      fanout_.add(*logs_[i]);
    });
    EXPECT_LT(touched, *all / 5) << i;
  }
}

} // namespace
} // namespace busbar

#endif
