#include "base/snapshot.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace busbar {
namespace {

constexpr std::uint64_t epoch = std::uint64_t{1} << 32;

std::uint32_t low(std::uint64_t xid) {
  return static_cast<std::uint32_t>(xid);
}

TEST(SnapshotTest, SeesWhatWasFinished) {
  const snapshot s{.xmin = 100, .xmax = 110, .xip = {100, 105}};
  EXPECT_TRUE(s.sees(99));
  EXPECT_FALSE(s.sees(100)); // running
  EXPECT_TRUE(s.sees(101));
  EXPECT_FALSE(s.sees(105)); // running
  EXPECT_TRUE(s.sees(109));
  EXPECT_FALSE(s.sees(110)); // not yet begun
  EXPECT_FALSE(s.sees(111));
}

TEST(SnapshotTest, IsPastOnlyFromXmaxOn) {
  const snapshot s{.xmin = 100, .xmax = 110, .xip = {100}};
  EXPECT_FALSE(s.is_past(100)); // running, yet below xmax: others may still be visible
  EXPECT_FALSE(s.is_past(109));
  EXPECT_TRUE(s.is_past(110));
}

/// The stream carries 32 bits of an xid, the snapshot 64: the verdict must be that of the full ids,
/// wherever on the number line the snapshot stands (F03).
// F03
TEST(SnapshotTest, VerdictIsTheSameAtEveryPlaceOnTheNumberLine) {
  for (const std::uint64_t base :
       {std::uint64_t{1'000}, (std::uint64_t{1} << 31) - 5, (std::uint64_t{1} << 31) + 5, epoch - 5,
        epoch, epoch + 5, epoch + (std::uint64_t{1} << 31) - 5, 3 * epoch - 5, 3 * epoch + 1'000}) {
    const snapshot s{.xmin = base, .xmax = base + 10, .xip = {base, base + 4, base + 9}};
    for (std::uint64_t xid = base - 500; xid < base + 500; ++xid) {
      const bool running = xid == base || xid == base + 4 || xid == base + 9;
      EXPECT_EQ(s.widen(low(xid)), xid) << "base " << base;
      EXPECT_EQ(s.sees(low(xid)), xid < base + 10 && !running) << "base " << base << " xid " << xid;
      EXPECT_EQ(s.is_past(low(xid)), xid >= base + 10) << "base " << base << " xid " << xid;
    }
  }
}

// F03
TEST(SnapshotTest, RunningTransactionOfALaterEpochIsNotSeen) {
  const snapshot s{.xmin = 2 * epoch + 700, .xmax = 2 * epoch + 710, .xip = {2 * epoch + 705}};
  EXPECT_FALSE(s.sees(705)); // a comparison of 32 with 64 bits would take it for finished
  EXPECT_TRUE(s.sees(704));
  EXPECT_TRUE(s.sees(706));
}

// F03
TEST(SnapshotTest, TransactionBeforeTheWrapIsOlderThanOneBehindIt) {
  const snapshot s{.xmin = epoch + 3, .xmax = epoch + 10, .xip = {}};
  EXPECT_TRUE(s.sees(0xfffffff0u));  // of the epoch before
  EXPECT_FALSE(s.sees(0x00000010u)); // of this one, not yet begun
}

TEST(SnapshotTest, DistanceOfAlmostHalfTheCircleIsStillTold) {
  const std::uint64_t xmax = epoch + 42;
  const snapshot s{.xmin = xmax, .xmax = xmax, .xip = {}};
  const std::uint64_t half = std::uint64_t{1} << 31;
  EXPECT_TRUE(s.sees(low(xmax - half + 1)));
  EXPECT_FALSE(s.sees(low(xmax + half - 1)));
}

TEST(SnapshotTest, OneCoversWhatEndedNoEarlier) {
  const snapshot first{.xmin = 10, .xmax = 20, .xip = {10, 15}};
  EXPECT_TRUE(first.covers(first));
  EXPECT_TRUE(first.covers({}));
  EXPECT_FALSE(snapshot{}.covers(first));
  // 15 has ended since; 25 has begun and not ended.
  const snapshot second{.xmin = 10, .xmax = 30, .xip = {10, 25}};
  EXPECT_TRUE(second.covers(first));
  EXPECT_FALSE(first.covers(second));
  // Nothing has begun since, but 15 has ended.
  const snapshot third{.xmin = 10, .xmax = 20, .xip = {10}};
  EXPECT_TRUE(third.covers(first));
  EXPECT_FALSE(first.covers(third));
}

} // namespace
} // namespace busbar
