// The table of what may be found of a database at a take-over, and what becomes of the log then.
#include "actors/continuity.hpp"

#include <gmock/gmock.h>

#include <functional>

namespace busbar {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

our_past known() {
  return {.identity = storage::node_identity{"7001", 3, "app", "default"},
          .durable = lsn{1'000},
          .shown = lsn{900},
          .newest_xid = 50,
          .has_shapes = true};
}

postgres::leadership same() {
  postgres::leadership found;
  found.system_id = "7001";
  found.timeline = 3;
  found.database = "app";
  found.wal_end = lsn{2'000};
  found.term = 60;
  found.confirmed_flush = lsn{1'000};
  return found;
}

struct row {
  const char* what;
  std::function<void(our_past&, postgres::leadership&)> change;
  const char* gap; ///< Null: the log goes on.
};

// F27
TEST(ContinuityTest, TheLogGoesOnOnlyIfTheDatabaseHasAllThatWasSeenHere) {
  const std::vector<row> table{
      {"nothing has happened", [](auto&, auto&) {}, nullptr},
      {"the slot is behind", [](auto&, auto& now) { now.confirmed_flush = lsn{400}; }, nullptr},
      {"the WAL ends where we are", [](auto&, auto& now) { now.wal_end = lsn{1'000}; }, nullptr},
      {"no transaction id was ever stored", [](auto& before, auto&) { before.newest_xid = 0; },
       nullptr},
      {"the WAL ends before what is durable", [](auto&, auto& now) { now.wal_end = lsn{999}; },
       "earlier state"},
      {"the WAL ends before what was shown, though that was not synced",
       [](auto& before, auto& now) {
         before.shown = lsn{2'000};
         now.wal_end = lsn{2'000};
       },
       "earlier state"},
      {"a transaction id comes again", [](auto&, auto& now) { now.term = 50; }, "earlier state"},
      {"a transaction id of the next epoch is newer",
       [](auto& before, auto& now) {
         before.newest_xid = (std::uint64_t{1} << 32) - 1;
         now.term = (std::uint64_t{1} << 32) + 3;
       },
       nullptr},
      {"the slot is new", [](auto&, auto& now) { now.slot_created = true; }, "created anew"},
      {"the slot is ahead of storage", [](auto&, auto& now) { now.confirmed_flush = lsn{1'001}; },
       "older copy"},
      {"another timeline without a history", [](auto&, auto& now) { now.timeline = 4; },
       "another timeline"},
      {"a promoted standby that had all",
       [](auto&, auto& now) {
         now.timeline = 5;
         now.history = {{3, lsn{1'000}}, {4, lsn{1'500}}};
       },
       nullptr},
      {"a promoted standby that lacks what is durable",
       [](auto&, auto& now) {
         now.timeline = 4;
         now.history = {{3, lsn{999}}};
       },
       "failed over"},
      {"a promoted standby that lacks the last commit shown",
       [](auto& before, auto& now) {
         before.durable = lsn{800};
         now.confirmed_flush = lsn{800};
         now.timeline = 4;
         now.history = {{3, lsn{900}}};
       },
       "failed over"},
      {"a promoted standby whose slot is new",
       [](auto&, auto& now) {
         now.timeline = 4;
         now.history = {{3, lsn{1'000}}};
         now.slot_created = true;
       },
       "created anew"},
      {"back on an older timeline",
       [](auto&, auto& now) {
         now.timeline = 2;
         now.history = {{1, lsn{100}}};
       },
       "another timeline"},
  };
  for (const auto& each : table) {
    SCOPED_TRACE(each.what);
    auto before = known();
    auto now = same();
    each.change(before, now);
    const auto with_shapes = judge(before, now);
    EXPECT_EQ(with_shapes.goes_on, each.gap == nullptr);
    if (each.gap != nullptr)
      EXPECT_THAT(with_shapes.gap, HasSubstr(each.gap));
    else
      EXPECT_THAT(with_shapes.gap, IsEmpty());
    // Without shapes nobody need be told, but the log's position is as wrong.
    before.has_shapes = false;
    before.shown = {};
    const auto without = judge(before, now);
    EXPECT_THAT(without.gap, IsEmpty());
  }
}

TEST(ContinuityTest, NewStorageBeginsWithoutAWord) {
  const auto found = judge({}, same());
  EXPECT_FALSE(found.goes_on);
  EXPECT_THAT(found.gap, IsEmpty());
}

// F03
TEST(ContinuityTest, StreamedIdsAreWidenedToTheNearestOfTheTerm) {
  const auto term = (std::uint64_t{5} << 32) + 10;
  EXPECT_EQ(widen_xid(12, term), term + 2);
  EXPECT_EQ(widen_xid(0xfffffff0u, term), term - 26);
  EXPECT_EQ(widen_xid(3, (std::uint64_t{5} << 32) - 1), (std::uint64_t{5} << 32) + 3);
}

} // namespace
} // namespace busbar
